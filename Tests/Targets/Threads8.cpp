// A C++ program with 8 threads that fill containers, share some of them, and then wait.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Node {
  explicit Node(int number) : name(std::string("node ") + std::to_string(number)) {}
  virtual ~Node() = default;
  std::string name;
  std::vector<std::shared_ptr<Node>> children;
};

struct Work {
  std::map<int, std::string> ordered;
  std::unordered_map<std::string, std::vector<double>> hashed;
  std::list<std::unique_ptr<char[]>> buffers;
  std::shared_ptr<Node> root;
};

std::mutex mutex;
std::condition_variable ended;
bool has_ended = false;
std::atomic<int> settled{0};
std::vector<std::shared_ptr<Node>> shared_nodes;

void run(Work &work, int seed) {
  work.root = std::make_shared<Node>(seed);
  for (int number = 0; number < 4000; number++) {
    work.ordered[number * seed % 5003] = std::string(number % 300, 'x');
    work.hashed[std::to_string(number)].resize(number % 50);
    work.buffers.push_back(std::make_unique<char[]>(1 + number * 37 % 2500));
    auto node = std::make_shared<Node>(number);
    work.root->children.push_back(node);
    if (number % 16 == 0) {
      // Freed later by another thread than the one that allocated it.
      std::lock_guard<std::mutex> guard(mutex);
      shared_nodes.push_back(node);
      if (shared_nodes.size() > 500) shared_nodes.erase(shared_nodes.begin());
    }
    if (number % 3 == 0) work.buffers.pop_front();
    if (number % 5 == 0) work.hashed.erase(std::to_string(number / 2));
    if (number % 7 == 0) work.root->children.erase(work.root->children.begin());
  }
  settled++;
  std::unique_lock<std::mutex> lock(mutex);
  ended.wait(lock, [] { return has_ended; });
}

} // namespace

int main() {
  std::vector<Work> work(8);
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; number++)
    threads.emplace_back([&work, number] { run(work[number], number + 1); });
  while (settled < 8) std::this_thread::yield();
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) continue;
  {
    std::lock_guard<std::mutex> guard(mutex);
    has_ended = true;
  }
  ended.notify_all();
  for (auto &thread : threads) thread.join();
}
