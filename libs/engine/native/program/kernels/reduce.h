// Sums and other folds over axes. Included inside the target's namespace.
//
// The reduced cells of an output, in row-major order, are cut into blocks of kChain; each is folded in one chain from the operation's
// zero, and the blocks' results by the same rule (Levels). Blocks are pieces of work of their own: so one long sum, too, is shared.
#pragma once

struct SumOf {
  static constexpr float zero = 0;
  template <class T>
  static T of(T a, T b) { return a + b; }
  static float finish(float total) { return total; }
};
struct ProductOf {
  static constexpr float zero = 1;
  template <class T>
  static T of(T a, T b) { return a * b; }
  static float finish(float total) { return total; }
};
/** Of zeros +0, so that the order does not show. */
struct LargestOf : Maximum {
  static constexpr float zero = -__builtin_inff();
  static float finish(float total) { return total + 0.0f; }
};
struct SmallestOf : Minimum {
  static constexpr float zero = __builtin_inff();
  static float finish(float total) { return total + 0.0f; }
};
template <class F, int32_t Zero>
struct OfInts : F {
  static constexpr int32_t zero = Zero;
  static int32_t finish(int32_t total) { return total; }
};

/** What Levels adds: its + is the operation. */
template <class T, class Op>
struct Folded {
  T v;
  Folded operator+(Folded other) const { return {Op::of(v, other.v)}; }
};

/** A reduction's operands: x out, rank, [kept shape], [their strides], rank, [reduced shape], [their strides]. */
struct Reduction {
  const float* x;
  float* out;
  /** Of x, and of out. */
  Axes<2> kept;
  Axes<1> reduced;
  int64_t outputs, count, blocks;
  /** One row's outputs lie one after another in x, too: lanes are outputs, and no cell is gathered. */
  bool across;

  explicit Reduction(const Call& call) {
    x = call.buffers == nullptr ? nullptr : call.in(0);
    out = call.buffers == nullptr ? nullptr : call.out(1);
    kept = axesWithDense<1>(call, 2);
    const int from = 3 + 2 * call.i(2), rank = call.i(from);
    for (int axis = 0; axis < rank; axis++) reduced.push(call.i(from + 1 + axis), {call.i(from + 1 + rank + axis)});
    outputs = kept.cells();
    count = reduced.cells();
    blocks = (count + kChain - 1) / kChain;
    across = kept.rank > 0 && kept.step(0) == 1;
  }
  int64_t length(int64_t block) const { return count - block * kChain < kChain ? count - block * kChain : kChain; }
};

inline Needs reductionNeeds(const Call& call) {
  const Reduction r(call);
  return {0, r.blocks > 1 ? static_cast<size_t>(r.outputs * r.blocks) : 0};
}

/** Calls each(offset, step, length) for the runs along the innermost reduced axis that make up cells first .. first+count-1. */
template <class F>
inline void runs(const Axes<1>& reduced, int64_t first, int64_t count, const F& each) {
  const int64_t inner = reduced.inner(), step = reduced.step(0);
  Cursor<1> cursor(reduced, first / inner, 1);
  int64_t skipped = first % inner;
  while (count > 0) {
    const int64_t length = inner - skipped < count ? inner - skipped : count;
    each(cursor.at[0] + skipped * step, step, length);
    count -= length;
    skipped = 0;
    cursor.next(reduced, 1);
  }
}

/** Folds one block for W vectors of outputs, the last of n lanes. */
template <class L, class Op, int W>
inline void foldVectors(const Reduction& r, int64_t block, const float* x, float* to, int n) {
  L chain[W];
  for (int w = 0; w < W; w++) chain[w] = Lanes<L>::repeat(Op::zero);
  runs(r.reduced, block * kChain, r.length(block), [&](int64_t at, int64_t step, int64_t length) {
    const float* p = x + at;
    for (int64_t i = 0; i < length; i++, p += step)
      for (int w = 0; w < W; w++) chain[w] = Op::of(chain[w], Lanes<L>::load(p + w * kLanes, W == 1 ? n : kLanes));
  });
  for (int w = 0; w < W; w++) Lanes<L>::store(to + w * kLanes, chain[w], W == 1 ? n : kLanes);
}

/** Chains folded side by side, each on its own numbers: one alone would wait for every addition. */
constexpr int kAbreast = 8;

/** Folds cells first .. first+length-1 of kAbreast chains; p[j] is where j's reduced cells begin. */
template <class T, class Op>
inline void foldAbreast(const Axes<1>& reduced, int64_t first, int64_t length, const float* const (&p)[kAbreast], float* to) {
  T chain[kAbreast];
  for (int j = 0; j < kAbreast; j++) chain[j] = Op::zero;
  runs(reduced, first, length, [&](int64_t at, int64_t step, int64_t some) {
    for (int64_t i = 0; i < some; i++)
      for (int j = 0; j < kAbreast; j++) chain[j] = Op::of(chain[j], cell<T>(p[j] + at + i * step));
  });
  for (int j = 0; j < kAbreast; j++) setCell<T>(to + j, chain[j]);
}

/** An operation's parts: what is done to one block of a row of outputs, of chains abreast, and to the blocks' results of one output. */
struct Folds {
  void (*row)(const Reduction& r, int64_t block, const float* x, float* to, int64_t length);
  void (*abreast)(const Axes<1>& reduced, int64_t first, int64_t length, const float* const (&p)[kAbreast], float* to);
  void (*blocks)(const float* sums, int64_t step, int64_t blocks, float* to);
};

template <class L, class Op>
constexpr Folds foldsOf() {
  using T = typename Lanes<L>::One;
  return {[](const Reduction& r, int64_t block, const float* x, float* to, int64_t length) {
            int64_t c = 0;
            for (; c + 4 * kLanes <= length; c += 4 * kLanes) foldVectors<L, Op, 4>(r, block, x + c, to + c, kLanes);
            for (; c < length; c += kLanes) foldVectors<L, Op, 1>(r, block, x + c, to + c, lanesAt(c, length));
          },
          foldAbreast<T, Op>,
          [](const float* sums, int64_t step, int64_t blocks, float* to) {
            Levels<Folded<T, Op>> levels({Op::zero});
            for (int64_t block = 0; block < blocks; block++) levels.add({cell<T>(sums + block * step)});
            setCell<T>(to, Op::finish(levels.total().v));
          }};
}

/** Lanes are outputs. */
inline void reduceAcross(const Call& call, const Reduction& r, const Folds& folds, float* sums) {
  const int64_t inner = r.kept.inner(), rows = r.outputs / inner;
  spread(call, rows * r.blocks, inner * r.length(0), [&](int64_t first, int64_t last, int) {
    for (int64_t item = first; item < last; item++) {
      const Cursor<2> cursor(r.kept, item / r.blocks, 1);
      folds.row(r, item % r.blocks, r.x + cursor.at[0], sums + item * inner, inner);
    }
  });
  spread(call, r.outputs, r.blocks, [&](int64_t first, int64_t last, int) {
    for (int64_t o = first; o < last; o++)
      folds.blocks(sums + o / inner * r.blocks * inner + o % inner, inner, r.blocks, r.out + o);
  });
}

/** Chains abreast are those of neighbouring outputs, or, where these are few, neighbouring whole blocks of one. */
inline void reduceAlong(const Call& call, const Reduction& r, const Folds& folds, float* sums) {
  const bool blocksAbreast = r.outputs < kAbreast && r.reduced.rank <= 1 && r.count / kChain >= kAbreast;
  const int64_t groups = blocksAbreast ? r.count / kChain / kAbreast : 0;
  spread(call, r.outputs * groups, kAbreast * kChain, [&](int64_t first, int64_t last, int) {
    for (int64_t item = first; item < last; item++) {
      const int64_t o = item / groups, block = item % groups * kAbreast;
      const float* x = r.x + Cursor<2>(r.kept, o, 0).at[0];
      const float* p[kAbreast];
      for (int j = 0; j < kAbreast; j++) p[j] = x + (block + j) * kChain * r.reduced.step(0);
      folds.abreast(r.reduced, 0, kChain, p, sums + o * r.blocks + block);
    }
  });
  const int64_t done = groups * kAbreast, left = r.blocks - done, teams = (r.outputs + kAbreast - 1) / kAbreast;
  spread(call, teams * left, kAbreast * r.length(0), [&](int64_t first, int64_t last, int) {
    for (int64_t item = first; item < last; item++) {
      const int64_t o = item / left * kAbreast, block = done + item % left;
      const int n = static_cast<int>(r.outputs - o < kAbreast ? r.outputs - o : kAbreast);
      Cursor<2> cursor(r.kept, o, 0);
      const float* p[kAbreast];
      for (int j = 0; j < kAbreast; j++) {
        p[j] = r.x + cursor.at[0];
        if (j + 1 < n) cursor.next(r.kept, 0);
      }
      float some[kAbreast];
      folds.abreast(r.reduced, block * kChain, r.length(block), p, some);
      for (int j = 0; j < n; j++) moveCells(sums + (o + j) * r.blocks + block, some + j, 1);
    }
  });
  spread(call, r.outputs, r.blocks, [&](int64_t first, int64_t last, int) {
    for (int64_t o = first; o < last; o++) folds.blocks(sums + o * r.blocks, 1, r.blocks, r.out + o);
  });
}

/** With one block an output, its result goes straight to its place. */
inline void reduceBy(const Call& call, const Folds& folds) {
  const Reduction r(call);
  if (r.outputs == 0) return;
  float* sums = r.blocks > 1 ? call.shared : r.out;
  if (r.count == 0) {
    for (int64_t o = 0; o < r.outputs; o++) folds.blocks(nullptr, 0, 0, r.out + o);
  } else if (r.across) {
    reduceAcross(call, r, folds, sums);
  } else {
    reduceAlong(call, r, folds, sums);
  }
}

template <class L, class Op>
void reduce(const Call& call) {
  reduceBy(call, foldsOf<L, Op>());
}

/** The sum, divided by how many there are. */
inline void mean(const Call& call) {
  reduce<Vec, SumOf>(call);
  const Reduction r(call);
  for (int64_t o = 0; o < r.outputs; o++) r.out[o] /= static_cast<float>(r.count);
}

/** The place of the first largest (or, with a sign of -1, smallest) of the reduced cells; a NaN is larger than all. */
template <int Sign>
void argument(const Call& call) {
  const Reduction r(call);
  spread(call, r.outputs, r.count, [&](int64_t first, int64_t last, int) {
    Cursor<2> cursor(r.kept, first, 0);
    for (int64_t o = first; o < last; o++, cursor.next(r.kept, 0)) {
      float best = 0;
      int32_t where = 0, number = 0;
      runs(r.reduced, 0, r.count, [&](int64_t at, int64_t step, int64_t length) {
        for (int64_t i = 0; i < length; i++, number++) {
          const float v = r.x[cursor.at[0] + at + i * step];
          if (number == 0 || Sign * v > Sign * best || (v != v && best == best)) best = v, where = number;
        }
      });
      setCell<int32_t>(r.out + o, where);
    }
  });
}
