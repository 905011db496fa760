// A plain HTTP request to a server that a test has started on this machine.

import Glibc

/// The body of what the server on this machine's `port` answers to `GET path`.
///
/// - Throws: `TestKitError.system` if it cannot be reached or is silent for long, or
///   `TestKitError.malformed` if it does not answer with success.
func httpBody(port: UInt16, path: String) throws(TestKitError) -> String {
  let subject = "127.0.0.1:\(port)"
  let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
  guard connection >= 0 else { throw .system(call: "socket", subject: subject, errno: errno) }
  defer { close(connection) }
  var patience = timeval(tv_sec: 60, tv_usec: 0)
  setsockopt(
    connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))

  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
  let connected = withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
      connect(connection, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
  guard connected == 0 else { throw .system(call: "connect", subject: subject, errno: errno) }

  let request = Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
  // Shorter than any socket's buffer, and so sent whole or not at all.
  guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
  else { throw .system(call: "send", subject: subject, errno: errno) }
  var answer: [UInt8] = []
  var part = [UInt8](repeating: 0, count: 1 << 14)
  while true {
    let count = recv(connection, &part, part.count, 0)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw .system(call: "recv", subject: subject, errno: errno) }
    if count == 0 { break }
    answer += part.prefix(count)
  }
  // Swift takes CR LF for one character.
  let lines = String(decoding: answer, as: UTF8.self)
    .split(omittingEmptySubsequences: false) { $0 == "\r\n" }
  guard lines[0].hasPrefix("HTTP/1.1 200"), let end = lines.firstIndex(of: "") else {
    throw .malformed(what: "an answer of \(subject)", text: String(lines[0]))
  }
  return lines[(end + 1)...].joined(separator: "\r\n")
}
