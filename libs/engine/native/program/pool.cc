#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace lockstep {
namespace {

/** Looks at what others have done before a thread goes to sleep: instructions are short, and waking takes longer than many of them. */
constexpr int kSpins = 2000;

class Threads : public Pool {
 public:
  explicit Threads(int threads) : threads_(threads) {
    for (int i = 1; i < threads; i++) std::thread([this, i] { serve(i); }).detach();
  }

  int threads() const override { return threads_; }

  void run(int count, Work work, void* data) override {
    work_ = work;
    data_ = data;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(threads_ - 1, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take(0);
    for (int spin = 0; spin < kSpins; spin++)
      if (busy_.load(std::memory_order_acquire) == 0) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_.load(std::memory_order_acquire) == 0; });
  }

 private:
  void take(int thread) {
    for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) work_(data_, i, thread);
  }

  void serve(int thread) {
    for (unsigned seen = 0;;) {
      for (int spin = 0; spin < kSpins && round_.load(std::memory_order_acquire) == seen; spin++) {
      }
      if (round_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
      }
      seen++;
      take(thread);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard<std::mutex> lock(mutex_);
        done_.notify_one();
      }
    }
  }

  const int threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Work work_ = nullptr;
  void* data_ = nullptr;
  int count_ = 0;
  std::atomic<int> next_{0}, busy_{0};
  std::atomic<unsigned> round_{0};
};

}  // namespace

Pool* poolOf(int threads) {
  static std::mutex mutex;
  // Never destroyed: the threads may outlive the destructors of static objects. A pool a thread that runs programs, so that none waits.
  thread_local std::map<int, Pool*>* pools = new std::map<int, Pool*>;
  std::lock_guard<std::mutex> lock(mutex);
  Pool*& pool = (*pools)[threads];
  if (pool == nullptr) pool = new Threads(threads);
  return pool;
}

}  // namespace lockstep
