// A program of C++ with names and types of many sorts, and what is done to its file.

import Glibc
import HeapModel
import LinuxTarget
import TestKit

@testable import Symbols

/// A program in a directory of its own.
final class SymbolFixture {
  static let source = """
    #include <stdint.h>
    #include <unistd.h>
    #include <cstddef>
    #include <cstdio>
    #include <string>
    #include <vector>
    #include <memory>
    namespace app {
    struct Base { virtual ~Base() {} uint64_t base_word = 1; };
    struct Other { virtual int other() { return 2; } int other_word = 2; };
    template <class T, unsigned long N> struct Holder { T values[N]; const char *name; };
    class Session : public Base, public Other {
    public:
      struct Impl;
      struct Inner { short a; int *b; };
      int other() override { return 3; }
      char tag = 1; std::string title; std::vector<long> list; Inner inner{}; Impl *impl = nullptr;
      static int counted;
      unsigned low : 3, high : 7;
      uint8_t bytes[3][5];
    };
    struct Session::Impl { double weight; Session *back; };
    int Session::counted = 4;
    enum class Color : short { red };
    struct Paint { Color color; union { int number; double exact; }; long double wide; void (*call)(int); };
    }
    namespace { struct Hidden { virtual void act() {} int only; }; }
    typedef struct { int x; long y; } Alias;
    typedef struct _tagged { char c; struct _tagged *next; } Tagged;
    app::Session session; Hidden hidden; Alias alias; Tagged tagged; app::Paint paint;
    app::Session::Impl impl;
    app::Holder<unsigned long, 4> holder; app::Holder<const char *, 2> pointers;
    app::Holder<app::Holder<int, 1>, 3> nested;
    char zeros[1 << 20];
    static const int constants[64] = {1, 2, 3};
    int numbers[300] = {1};
    __attribute__((noinline)) static long twice(long n) { return n * 2 + constants[n & 63]; }
    __attribute__((noinline)) long app_run(long n) { return twice(n) + numbers[n & 255]; }
    extern "C" __attribute__((alias("_Z7app_runl"))) long run_alias(long);
    #define SIZE(type) printf("size %s %zu\\n", #type, sizeof(type))
    #define PLACE(type, member) printf("member %s %s %zu\\n", #type, #member, offsetof(type, member))
    int main(int count, char **) {
      if (count > 1) {
        SIZE(app::Session); PLACE(app::Session, tag); PLACE(app::Session, title);
        PLACE(app::Session, list); PLACE(app::Session, inner); PLACE(app::Session, impl);
        PLACE(app::Session, bytes); PLACE(app::Session, base_word); PLACE(app::Session, other_word);
        SIZE(app::Session::Inner); PLACE(app::Session::Inner, a); PLACE(app::Session::Inner, b);
        SIZE(app::Session::Impl); PLACE(app::Session::Impl, weight); PLACE(app::Session::Impl, back);
        SIZE(Hidden); PLACE(Hidden, only); SIZE(Alias); PLACE(Alias, y); SIZE(Tagged);
        PLACE(Tagged, next); SIZE(app::Paint); PLACE(app::Paint, color); PLACE(app::Paint, number);
        PLACE(app::Paint, exact); PLACE(app::Paint, wide); PLACE(app::Paint, call);
        return 0;
      }
      zeros[5] = app_run(count) + run_alias(count) + (long)&session + (long)&hidden;
      pause();
    }
    """

  let directory: TestKit.TemporaryDirectory
  /// The program.
  let program: String

  /// Compiles it.
  init(
    _ flags: [String] = [], compiler: String = "c++", source: String = SymbolFixture.source
  ) throws {
    directory = try TestKit.TemporaryDirectory()
    let input = directory.file("app.cpp")
    try write(source, toFile: input)
    program = directory.file("app")
    _ = try run(
      [compiler, "-w", "-g", "-O1", "-Wl,--build-id", "-o", program, input] + flags)
  }

  /// Runs `script` in the directory, with the program's build id as the directory and the name of a debug
  /// file in `$id`.
  func shell(_ script: String) throws {
    let file = try ELFFile(OwnedDescriptor(opening: program), path: program)
    let id = BuildID.text(file.buildID)
    let name = id.isEmpty ? "" : "\(id.prefix(2))/\(id.dropFirst(2)).debug"
    _ = try run(["sh", "-e", "-c", "cd '\(directory.path)'\nid='\(name)'\n" + script])
  }

  /// Starts it and gives its pid and what answers for it.
  func start() throws -> StartedFixture {
    try StartedFixture(program, directory: directory.file("debug"))
  }
}

/// A running program and what answers for it.
struct StartedFixture: ~Copyable {
  let child: WaitingChild
  let symbols: ProcessSymbols
  /// Its path.
  let program: String

  init(_ program: String, _ arguments: [String] = [], directory: String? = nil) throws {
    let child = try WaitingChild([program] + arguments)
    let mappings = try child.mappings()
    symbols = ProcessSymbols(pid: child.pid, mappings: mappings, directory: directory)
    self.program = program
    self.child = child
  }
}
