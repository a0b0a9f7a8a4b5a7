#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "vector.h"

namespace lockstep {
namespace {

/** Threads that wait for a piece of work; they live as long as the process. */
class Pool {
 public:
  Pool() {
    const char* setting = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int threads = setting == nullptr ? 1 : std::atoi(setting);
    for (int i = 1; i < threads; i++) std::thread([this] { serve(); }).detach();
    helpers_ = threads - 1;
  }

  int helpers() const { return helpers_; }

  bool run(int count, const std::function<void(int)>& work) {
    std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
    if (!turn.owns_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      count_ = count;
      next_ = 0;
      busy_ = helpers_;
      round_++;
    }
    wake_.notify_all();
    take(work, count);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    return true;
  }

 private:
  void take(const std::function<void(int)>& work, int count) {
    for (int i; (i = next_.fetch_add(1)) < count;) work(i);
  }

  void serve() {
    for (unsigned seen = 0;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      const std::function<void(int)>* work = work_;
      const int count = count_;
      lock.unlock();
      take(*work, count);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* work_ = nullptr;
  int helpers_ = 0, count_ = 0, busy_ = 0;
  unsigned round_ = 0;
  std::atomic<int> next_{0};
};

/** Never destroyed: its threads may outlive the destructors of static objects. */
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

constexpr size_t kAlignment = 64;
constexpr int kSlots = 4;

struct Free {
  void operator()(float* p) const { std::free(p); }
};
struct Slot {
  std::unique_ptr<float, Free> memory;
  size_t floats = 0;
};

}  // namespace

int threads() { return pool().helpers() + 1; }

void parallel(int count, const std::function<void(int)>& work) {
  if (count > 1 && pool().helpers() > 0 && pool().run(count, work)) return;
  for (int i = 0; i < count; i++) work(i);
}

float* scratch(int slot, size_t floats) {
  thread_local Slot slots[kSlots];
  Slot& mine = slots[slot];
  if (mine.floats < floats) {
    const size_t bytes = (floats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    mine.memory.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
    mine.floats = floats;
  }
  return mine.memory.get();
}

}  // namespace lockstep
