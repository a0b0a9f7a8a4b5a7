// Sums of many numbers, and small things that several kernels need. Included inside the target's namespace.

/**
 * Numbers that are added up in one chain. A sum of more is cut into blocks of so many, each a chain from 0, and the blocks' sums are
 * summed by the same rule. So no chain is long, rounding grows slowly, and a GPU can do all blocks at once.
 */
constexpr int kChain = 256;
/** Levels of such sums: 256^4 numbers and more. */
constexpr int kLevels = 5;

inline int least(int a, int b) { return a < b ? a : b; }
inline int most(int a, int b) { return a > b ? a : b; }
inline size_t alignedUp(size_t floats) { return (floats + 15) / 16 * 16; }

/** Adds sums of blocks up, level by level, in their order. T has + and a zero. */
template <class T>
struct Levels {
  T sums[kLevels];
  int counts[kLevels];
  T zero;

  Levels() : Levels(T{}) {}
  explicit Levels(T nothing) : zero(nothing) {
    for (int level = 0; level < kLevels; level++) counts[level] = 0, sums[level] = nothing;
  }

  /** The sum of the next whole block. Not inlined, as total: they are called seldom, and take long to compile. */
  [[gnu::noinline]] void add(T block) {
    for (int level = 0; level < kLevels; level++) {
      sums[level] = counts[level] == 0 ? zero + block : sums[level] + block;
      if (++counts[level] < kChain || level + 1 == kLevels) return;
      block = sums[level];
      counts[level] = 0;
    }
  }

  /** The sum of all. What is not a whole block of a level goes up as it is. */
  [[gnu::noinline]] T total() const {
    // The number of levels follows from how many there were alone.
    int top = 0;
    for (int level = 0; level < kLevels; level++)
      if (counts[level] > 0) top = level;
    bool some = false;
    T carried = zero;
    for (int level = 0; level <= top; level++) {
      T sum = counts[level] == 0 ? zero : sums[level];
      if (some) sum = sum + carried;
      some = some || counts[level] > 0;
      carried = sum;
    }
    return carried;
  }
};
