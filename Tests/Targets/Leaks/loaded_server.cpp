// A server with several worker threads whose heap grows in one of several ways, and its load.
//
//   loaded_server leak | fragment | steady | retain   a server on a port of 127.0.0.1
//   loaded_server load PORT RATE                      so many requests a second to such a server
//   loaded_server idle | churn | big MEBIBYTES        no server: only a heap
//
// In use grows by a node with each request (leak); free memory grows, and in use does not
// (fragment); nothing grows (steady); GET /burst takes 200 MB and frees nearly all of it, but the
// heap stays large (retain). Each says `ready`, after `port N` if it serves. A line on standard
// input or SIGUSR1 is answered with a line of JSON, and it ends when standard input is closed.
#include "figures.h"
#include "load.h"
#include "work.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <thread>

namespace {

std::string mode;
Sessions sessions;

/// What has come on a connection since the end of the last request.
struct Connection {
  explicit Connection(int socket) : socket(socket) {}
  int socket;
  size_t length = 0;
  char text[2048];
};

/// A thread that serves some of the connections.
struct Worker {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  unsigned seed;
  Node *kept = nullptr;
  Random random;

  explicit Worker(unsigned seed) : seed(seed), random(seed) {}

  void handle(const char *request) {
    if (mode == "leak") leak(kept);
    if (mode == "fragment") sessions.replace();
    if (mode == "steady") work_steadily(random);
    if (mode == "retain" && strncmp(request, "GET /burst ", 11) == 0) burst(random);
    figures.requests++;
  }

  /// Answers what is complete, and returns whether the connection stays.
  bool serve(Connection &connection) {
    const size_t room = sizeof connection.text - 1 - connection.length;
    const ssize_t count = recv(connection.socket, connection.text + connection.length, room, 0);
    if (count <= 0) return false;
    connection.length += count;
    connection.text[connection.length] = 0;
    while (char *end = strstr(connection.text, "\r\n\r\n")) {
      *end = 0;
      handle(connection.text);
      const bool is_last = strcasestr(connection.text, "\r\nConnection: close") != nullptr;
      const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
      if (send(connection.socket, text, sizeof text - 1, MSG_NOSIGNAL) < 0 || is_last) return false;
      const size_t used = end + 4 - connection.text;
      connection.length -= used;
      memmove(connection.text, end + 4, connection.length + 1);
    }
    return connection.length + 1 < sizeof connection.text;
  }

  void run() {
    while (true) {
      epoll_event event;
      if (epoll_wait(epoll, &event, 1, -1) != 1) continue;
      auto *connection = static_cast<Connection *>(event.data.ptr);
      if (!serve(*connection)) {
        close(connection->socket);
        delete connection;
      }
    }
  }
};

std::vector<Worker *> workers;

int listening() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, generic, length) != 0 || listen(listener, 64) != 0 ||
      getsockname(listener, generic, &length) != 0) {
    perror("listen");
    exit(1);
  }
  printf("port %d\n", ntohs(address.sin_port));
  return listener;
}

void accept_one(int listener) {
  static size_t accepted = 0;
  const int socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket < 0) return;
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto *connection = new Connection(socket);
  epoll_event event{EPOLLIN, {connection}};
  epoll_ctl(workers[accepted++ % workers.size()]->epoll, EPOLL_CTL_ADD, socket, &event);
}

/// Starts the threads, and returns the socket that they serve.
int serve() {
  if (mode == "fragment") sessions.fill();
  // Threads have arenas of their own: only a burst by the same thread finds what the last one left.
  const unsigned worker_count = mode == "retain" ? 1 : 4;
  for (unsigned number = 1; number <= worker_count; number++) {
    workers.push_back(new Worker(number));
    std::thread(&Worker::run, workers.back()).detach();
  }
  return listening();
}

} // namespace

int main(int count, char **arguments) {
  mode = count > 1 ? arguments[1] : "";
  if (mode == "load" && count == 4) {
    load(atoi(arguments[2]), std::max(1, atoi(arguments[3])));
    return 0;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  // Before there are threads, which inherit it.
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  int listener = -1;
  if (mode == "leak" || mode == "fragment" || mode == "steady" || mode == "retain") {
    listener = serve();
  } else if (mode == "churn") {
    for (unsigned seed = 1; seed <= 4; seed++) std::thread(churn, seed).detach();
    while (figures.held_blocks < 8000) usleep(1000);
  } else if (mode == "big" && count == 3) {
    hold(atoi(arguments[2]));
  } else if (mode != "idle") {
    fprintf(stderr, "loaded_server: what mode?\n");
    return 2;
  }
  printf("ready\n");
  fflush(stdout);

  pollfd watched[] = {
      {0, POLLIN, 0}, {signalfd(-1, &signals, SFD_CLOEXEC), POLLIN, 0}, {listener, POLLIN, 0}};
  while (true) {
    poll(watched, 3, -1);
    if (watched[0].revents != 0 && !read_questions(mode.c_str())) _exit(0);
    if (watched[1].revents != 0) {
      signalfd_siginfo received;
      if (read(watched[1].fd, &received, sizeof received) == sizeof received) answer(mode.c_str());
    }
    if (watched[2].revents != 0) accept_one(listener);
  }
}
