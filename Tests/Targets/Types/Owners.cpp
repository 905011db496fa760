// Objects that own buffers by fields of every sort, and how many of each there are.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace app {
struct Base {
  virtual ~Base() {}
  char *inherited = static_cast<char *>(calloc(1, 100));
};
struct Session : Base {
  long id = 7;
  char *buffer = static_cast<char *>(calloc(1, 200));
  std::string title = std::string(40, 't');
  std::vector<int> numbers = std::vector<int>(50, 1);
  std::vector<std::string> names = std::vector<std::string>(3, std::string(60, 'n'));
  std::list<std::string> lines = std::list<std::string>(4, std::string(70, 'l'));
  std::map<int, long> table = {{1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}};
  char *shared;
};
} // namespace app

static std::vector<app::Session *> *sessions;

int main() {
  sessions = new std::vector<app::Session *>;
  auto *shared = static_cast<char *>(calloc(1, 300));
  for (int index = 0; index < 10; index++) {
    sessions->push_back(new app::Session);
    sessions->back()->shared = shared;
  }
  // What nothing in the heap leads to, and what is freed, have no owner.
  static void *lonely = calloc(1, 400);
  auto *freed = static_cast<void **>(malloc(500));
  freed[5] = lonely;
  free(freed);
  puts("planted 10 app::Session.inherited\n"
       "planted 10 app::Session.buffer\n"
       "planted 10 app::Session.title\n"
       "planted 10 app::Session.numbers\n"
       "planted 10 app::Session.names\n"
       "planted 30 app::Session.names[]\n"
       "planted 40 app::Session.lines\n"
       "planted 40 app::Session.lines[]\n"
       "planted 50 app::Session.table\n"
       "planted 10 app::Session\n"
       "ready");
  fflush(stdout);
  getchar();
}
