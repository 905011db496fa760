// The client side of loaded_server: requests at a steady rate on a few connections.
#pragma once

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/// A connection to the server on this machine.
inline int connected(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(connection, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
    perror("connect");
    exit(1);
  }
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return connection;
}

/// Sends a request and waits until its answer has come.
inline void request(int connection) {
  const char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  if (send(connection, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1) exit(1);
  // Each answer ends with the only line that says ok.
  char last[3] = {};
  while (memcmp(last, "ok\n", 3) != 0) {
    char received[256];
    const ssize_t count = recv(connection, received, sizeof received, 0);
    if (count <= 0) exit(1);
    for (ssize_t index = 0; index < count; index++) {
      memmove(last, last + 1, 2);
      last[2] = received[index];
    }
  }
}

/// Sends so many requests a second until standard input is closed.
///
/// A line there is answered with how many have been answered.
inline void load(int port, int rate) {
  int connections[4];
  for (int &connection : connections) connection = connected(port);
  printf("ready\n");
  fflush(stdout);
  timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  for (size_t sent = 0;; sent++) {
    pollfd input{0, POLLIN, 0};
    if (poll(&input, 1, 0) == 1) {
      char asked[256];
      const ssize_t count = read(0, asked, sizeof asked);
      if (count <= 0) return;
      for (ssize_t index = 0; index < count; index++)
        if (asked[index] == '\n') printf("{\"requests\": %zu}\n", sent);
      fflush(stdout);
    }
    request(connections[sent % 4]);
    due.tv_nsec += 1'000'000'000 / rate;
    if (due.tv_nsec >= 1'000'000'000) {
      due.tv_nsec -= 1'000'000'000;
      due.tv_sec++;
    }
    // After a pause it goes on from now: what was missed is not made up for.
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > due.tv_sec) due = now;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
  }
}
