// A program that makes one object of a class each ten milliseconds and never lets one go.

#include <cstdio>
#include <unistd.h>
#include <vector>

namespace app {
struct Session {
  virtual ~Session() {}
  long values[10] = {1};
};
struct Steady {
  virtual ~Steady() {}
  long values[20] = {2};
};
} // namespace app

int main() {
  static std::vector<void *> kept;
  // What holds them does not grow.
  kept.reserve(100000);
  for (int index = 0; index < 500; index++) kept.push_back(new app::Steady);
  puts("ready");
  fflush(stdout);
  while (kept.size() < 100000) {
    kept.push_back(new app::Session);
    usleep(10000);
  }
}
