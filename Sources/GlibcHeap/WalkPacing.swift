// What a walk needs to go on in more than one stop of the target, or in none.

package import HeapModel
package import RemoteMemory

/// Who stops the target for a walk that takes several stops, or lets it run all the time.
///
/// A class: what it controls is one process, whoever holds it.
package protocol WalkPacing: AnyObject {
  /// Whether the target stands still between two calls of `proceed`.
  var stopsTarget: Bool { get }
  /// Whether no more should be read before a call of `proceed`.
  var isDue: Bool { get }

  /// Whether so much of the time in which more may be read is over that what takes long should wait for
  /// the next call of `proceed`.
  var isHalfOver: Bool { get }

  /// Says that what every stop needs has been read, so that the stop's own part begins: it is to get
  /// some time even if the first took all.
  func beginWork()

  /// Lets the target run on, until `proceed` stops it again.
  func letRun()

  /// Lets the target run on for a while and stops it again; returns its threads as they are then.
  ///
  /// - Throws: a fault that ends the walk.
  func proceed() throws(ReadFault) -> [ThreadState]

  /// Does what must be done every few milliseconds while the target runs.
  func attend()

  /// Whether a thread of the target may yet stop that should run, so that `attend` must not wait.
  var hasStragglers: Bool { get }

  /// The target's mappings as they are now.
  ///
  /// Of a process with thousands of them, reading them takes longer than a stop may last.
  ///
  /// - Throws: a fault that ends the walk.
  func mappings() throws(ReadFault) -> [MemoryMapping]
}

/// How the parts of a walk agree in time.
struct WalkProgress {
  /// The number of the present stop, from 0 on; of a target that runs, of the present look.
  var moment = 0
  /// How often chunks had moved from where the walk was to go on.
  var resynchronisations = 0
  /// The bytes that could not be attributed because of that.
  var movedBytes: UInt64 = 0
  /// In how many moments a thread was inside malloc or an arena was locked.
  var busyMoments = 0
}

extension WalkPacing {
  /// None; who stops the target replaces this.
  package var hasStragglers: Bool { false }
}
