// What a program's instruction is given, and what a kernel is: a function of an instruction's operands and of memory, without
// allocation, without state, and with bits that neither threads nor vectors decide.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep {

/** A piece of work: `index` of count, done by thread `thread`. */
using Work = void (*)(void* data, int index, int thread);

/** Threads that share the work of one instruction. Which does what must not show in the result. */
class Pool {
 public:
  virtual ~Pool() = default;
  virtual int threads() const = 0;
  /** Calls work for every index of 0 .. count-1, and returns when all is done. */
  virtual void run(int count, Work work, void* data) = 0;
};

/** Scratch memory of one instruction, in floats; what is in it at the start is not defined. */
struct Needs {
  /** For each thread its own. */
  size_t perThread;
  /** One piece for all threads. */
  size_t shared;
};

enum class Failure : int32_t { none = 0, indexOutOfRange = 1 };

/** One instruction: operands are whole numbers; what is a buffer is a number of one, or -1 where it is left out. */
struct Call {
  const int32_t* operands;
  float* const* buffers;
  Pool* pool;
  float* shared;
  float* scratch;
  size_t scratchPerThread;
  /** Set where the numbers themselves forbid to go on; the run then fails. */
  Failure* failure;

  int i(int k) const { return operands[k]; }
  /** An operand that holds a float32's bits. */
  float f(int k) const {
    float value;
    __builtin_memcpy(&value, operands + k, sizeof value);
    return value;
  }
  /** Null where it is left out. */
  const float* in(int k) const { return operands[k] < 0 ? nullptr : buffers[operands[k]]; }
  float* out(int k) const { return operands[k] < 0 ? nullptr : buffers[operands[k]]; }
  /** The same for cells that hold whole numbers. */
  const int32_t* ints(int k) const { return reinterpret_cast<const int32_t*>(in(k)); }
  int32_t* outInts(int k) const { return reinterpret_cast<int32_t*>(out(k)); }
  float* own(int thread) const { return scratch + static_cast<size_t>(thread) * scratchPerThread; }
};

struct Kernel {
  const char* name;
  void (*run)(const Call& call);
  /** Null where it needs none. Called with `operands` and `pool` alone. */
  Needs (*needs)(const Call& call);
};

/** Kernels compiled for one kind of processor. */
struct Target {
  const char* name;
  const Kernel* kernels;
  int count;
};

/** Calls each(index, thread) for all indices of 0 .. count-1; on the caller's thread alone where it does not pay to share. */
template <class F>
inline void parallel(const Call& call, int count, const F& each) {
  if (count <= 1 || call.pool->threads() == 1) {
    for (int index = 0; index < count; index++) each(index, 0);
    return;
  }
  call.pool->run(
      count, [](void* data, int index, int thread) { (*static_cast<const F*>(data))(index, thread); },
      const_cast<void*>(static_cast<const void*>(&each)));
}

}  // namespace lockstep
