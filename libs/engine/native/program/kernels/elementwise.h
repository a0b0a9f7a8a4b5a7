// Functions of one, two and three cells, one after another. Included inside the target's namespace.
//
// Of infinities and NaN each gives what IEEE 754 says of its operations; of a NaN a function of floats gives a NaN, a comparison false.
#pragma once

/** Calls f for all of a row's lanes: f(i, n) for the n cells from i. */
template <class F>
inline void eachLanes(int64_t count, const F& f) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
  if (i < count) f(i, static_cast<int>(count - i));
}

/** x out, count; `row` does a row. */
inline void unaryBy(const Call& call, void (*row)(const float* x, float* out, int64_t length)) {
  const float* x = call.in(0);
  float* out = call.out(1);
  Axes<1> axes;
  axes.push(call.i(2), {1});
  eachRow(call, axes, [&](const int64_t (&at)[1], int64_t length) { row(x + at[0], out + at[0], length); });
}

/** Of L, Vec or Cells, F::of gives a Vec or Cells. */
template <class L, class F>
void unary(const Call& call) {
  unaryBy(call, [](const float* x, float* out, int64_t length) {
    eachLanes(length, [&](int64_t i, int n) { put(out + i, F::of(Lanes<L>::load(x + i, n)), n); });
  });
}

/** How far apart a row's operands lie: both dense, or one of them one cell for all. */
enum class Steps { dense, oneA, oneB };
using BinaryRow = void (*)(Steps steps, const float* a, const float* b, float* out, int64_t length);

/** Cells of an operand that are brought together, or written again and again, before a row is done. */
constexpr int kTogether = 512;

/**
 * Whether operand k is the same for every row, and the other one and the output are dense over the two innermost axes: a vector along
 * the last axis. Rows are short there, so some are done as one, with the vector as often one after the other.
 */
inline bool repeatsRow(const Axes<3>& axes, int k) {
  const int other = 1 - k, rank = axes.rank;
  if (rank < 2 || axes.inner() > kTogether / 2) return false;
  return axes.step(k) == 1 && axes.strides[k][rank - 2] == 0 && axes.step(other) == 1 &&
         axes.strides[other][rank - 2] == axes.inner();
}

/** Operand k repeats: its axes' innermost two become one, along which it is `period` long. */
inline void binaryRepeating(const Call& call, const Axes<3>& axes, int k, BinaryRow row) {
  const float *repeated = call.in(k), *dense = call.in(1 - k);
  float* out = call.out(2);
  const int64_t period = axes.inner(), run = kTogether / period * period;
  Axes<3> joined = axes;
  joined.rank--;
  joined.shape[joined.rank - 1] = axes.shape[axes.rank - 2] * period;
  for (int operand = 0; operand < 3; operand++) joined.strides[operand][joined.rank - 1] = operand == k ? 0 : 1;
  eachRow(call, joined, [&](const int64_t (&at)[3], int64_t length) {
    // A piece may begin within a row of the output, whose rows begin at multiples of the period.
    const int64_t phase = at[2] % period;
    float some[kTogether];
    const int64_t filled = run < length ? run : length;
    for (int64_t i = 0, place = phase; i < filled;) {
      const int64_t now = period - place < filled - i ? period - place : filled - i;
      moveCells(some + i, repeated + at[k] + place, now);
      i += now;
      place = 0;
    }
    for (int64_t i = 0; i < length; i += run) {
      const int64_t now = length - i < run ? length - i : run;
      const float* from = dense + at[1 - k] + i;
      row(Steps::dense, k == 0 ? some : from, k == 0 ? from : some, out + at[2] + i, now);
    }
  });
}

/** a b out, rank, [shape], [strides of a], [strides of b]; `row` does a row. */
inline void binaryBy(const Call& call, BinaryRow row) {
  const float *a = call.in(0), *b = call.in(1);
  float* out = call.out(2);
  const Axes<3> axes = axesWithDense<2>(call, 3);
  if (repeatsRow(axes, 1)) return binaryRepeating(call, axes, 1, row);
  if (repeatsRow(axes, 0)) return binaryRepeating(call, axes, 0, row);
  const int64_t stepA = axes.step(0), stepB = axes.step(1);
  eachRow(call, axes, [&](const int64_t (&at)[3], int64_t length) {
    const float *fromA = a + at[0], *fromB = b + at[1];
    float* to = out + at[2];
    if (stepA == 1 && stepB == 1) return row(Steps::dense, fromA, fromB, to, length);
    if (stepA == 1 && stepB == 0) return row(Steps::oneB, fromA, fromB, to, length);
    if (stepA == 0 && stepB == 1) return row(Steps::oneA, fromA, fromB, to, length);
    float someA[kTogether], someB[kTogether];
    for (int64_t i = 0; i < length; i += kTogether) {
      const int64_t some = length - i < kTogether ? length - i : kTogether;
      gatherCells(someA, fromA + i * stepA, stepA, some);
      gatherCells(someB, fromB + i * stepB, stepB, some);
      row(Steps::dense, someA, someB, to + i, some);
    }
  });
}

template <class L, class F>
void binary(const Call& call) {
  binaryBy(call, [](Steps steps, const float* a, const float* b, float* out, int64_t length) {
    if (steps == Steps::dense) {
      eachLanes(length, [&](int64_t i, int n) {
        put(out + i, F::of(Lanes<L>::load(a + i, n), Lanes<L>::load(b + i, n)), n);
      });
    } else if (steps == Steps::oneB) {
      const L one = Lanes<L>::one(b);
      eachLanes(length, [&](int64_t i, int n) { put(out + i, F::of(Lanes<L>::load(a + i, n), one), n); });
    } else {
      const L one = Lanes<L>::one(a);
      eachLanes(length, [&](int64_t i, int n) { put(out + i, F::of(one, Lanes<L>::load(b + i, n)), n); });
    }
  });
}

/** condition a b out, rank, [shape], [strides of condition], [strides of a], [strides of b]. */
inline void choose(const Call& call) {
  const float *condition = call.in(0), *a = call.in(1), *b = call.in(2);
  float* out = call.out(3);
  const Axes<4> axes = axesWithDense<3>(call, 4);
  const int64_t stepC = axes.step(0), stepA = axes.step(1), stepB = axes.step(2);
  eachRow(call, axes, [&](const int64_t (&at)[4], int64_t length) {
    const AnyInt* c = wholes(condition) + at[0];
    const AnyInt* fromA = wholes(a) + at[1];
    const AnyInt* fromB = wholes(b) + at[2];
    AnyInt* to = wholes(out) + at[3];
    if (stepC == 1 && stepA == 1 && stepB == 1) {
      for (int64_t i = 0; i < length; i++) {
        const int32_t x = fromA[i], y = fromB[i];
        to[i] = c[i] != 0 ? x : y;
      }
      return;
    }
    for (int64_t i = 0; i < length; i++) {
      const int32_t x = fromA[i * stepA], y = fromB[i * stepB];
      to[i] = c[i * stepC] != 0 ? x : y;
    }
  });
}

struct Neg {
  static Vec of(Vec x) { return all(-0.0f) - x; }
};
struct Abs {
  static Vec of(Vec x) { return select(less(all(0.0f), x), x, all(0.0f) - x); }
};
struct Sign {
  static Vec of(Vec x) { return select(less(all(0.0f), x), all(1.0f), select(less(x, all(0.0f)), all(-1.0f), x)); }
};
struct Square {
  static Vec of(Vec x) { return x * x; }
};
struct Reciprocal {
  static Vec of(Vec x) { return all(1.0f) / x; }
};
struct Sqrt {
  static Vec of(Vec x) { return squareRoot(x); }
};
/** Two roundings: of the root, and of the quotient. */
struct Rsqrt {
  static Vec of(Vec x) { return all(1.0f) / squareRoot(x); }
};
struct Exp {
  static Vec of(Vec x) { return exponential(x); }
};
/** 0 below -88.72, where 1 + e^-x is infinite. */
struct Sigmoid {
  static Vec of(Vec x) { return all(1.0f) / (all(1.0f) + exponential(Neg::of(x))); }
};
struct Relu {
  static Vec of(Vec x) { return select(less(x, all(0.0f)), all(0.0f), x); }
};
struct Floor {
  static Vec of(Vec x) {
    const Vec near = nearest(x);
    return select(less(x, near), near - all(1.0f), near);
  }
};
/** Of -0.5 it is -0, as IEEE 754 has it. */
struct Ceil {
  static Vec of(Vec x) { return Neg::of(Floor::of(Neg::of(x))); }
};
/** Ties to even. */
struct Round {
  static Vec of(Vec x) { return nearest(x); }
};
struct IsNan {
  static Vec of(Vec x) { return select(equal(x, x), all(0.0f), all(__FLT_DENORM_MIN__)); }
};
/** Rounded to nearest, as by the processor's own conversion. */
inline void toFloat(const Call& call) {
  unaryBy(call, [](const float* x, float* out, int64_t length) {
    const AnyInt* from = wholes(x);
    for (int64_t i = 0; i < length; i++) out[i] = static_cast<float>(from[i]);
  });
}

/** Towards zero; what lies beyond int32 becomes its nearest number, a NaN 0. */
inline void toInt(const Call& call) {
  unaryBy(call, [](const float* x, float* out, int64_t length) {
    AnyInt* to = wholes(out);
    for (int64_t i = 0; i < length; i++) {
      const float f = x[i];
      const bool inside = f < 2147483648.0f && f >= -2147483648.0f;
      to[i] = inside ? static_cast<int32_t>(f) : f > 0 ? INT32_MAX : f < 0 ? INT32_MIN : 0;
    }
  });
}

inline void logicalNot(const Call& call) {
  unaryBy(call, [](const float* x, float* out, int64_t length) {
    const AnyInt* from = wholes(x);
    AnyInt* to = wholes(out);
    for (int64_t i = 0; i < length; i++) to[i] = from[i] == 0 ? 1 : 0;
  });
}

struct Add {
  static Vec of(Vec a, Vec b) { return a + b; }
};
struct Sub {
  static Vec of(Vec a, Vec b) { return a - b; }
};
struct Mul {
  static Vec of(Vec a, Vec b) { return a * b; }
};
struct Div {
  static Vec of(Vec a, Vec b) { return a / b; }
};
/** a where a > b or a is a NaN, else b. */
struct Maximum {
  static Vec of(Vec a, Vec b) { return select(equal(a, a), larger(a, b), a); }
  static float of(float a, float b) { return a > b || a != a ? a : b; }
};
/** a where a < b or a is a NaN, else b. */
struct Minimum {
  static Vec of(Vec a, Vec b) { return select(equal(a, a), smaller(a, b), a); }
  static float of(float a, float b) { return a < b || a != a ? a : b; }
};
struct SquaredDifference {
  static Vec of(Vec a, Vec b) { return (a - b) * (a - b); }
};
struct Less {
  static Vec of(Vec a, Vec b) { return truth(less(a, b)); }
};
struct LessEqual {
  static Vec of(Vec a, Vec b) { return select(less(a, b), truth(less(a, b)), truth(equal(a, b))); }
};
struct Greater {
  static Vec of(Vec a, Vec b) { return truth(less(b, a)); }
};
struct GreaterEqual {
  static Vec of(Vec a, Vec b) { return LessEqual::of(b, a); }
};
struct Equal {
  static Vec of(Vec a, Vec b) { return truth(equal(a, b)); }
};
struct NotEqual {
  static Vec of(Vec a, Vec b) { return select(equal(a, b), all(0.0f), all(__FLT_DENORM_MIN__)); }
};
/** dy where x > 0, else 0; where x is a NaN, a NaN. */
struct ReluGradient {
  static Vec of(Vec dy, Vec x) { return select(less(all(0.0f), x), dy, select(equal(x, x), all(0.0f), x)); }
};
struct SigmoidGradient {
  static Vec of(Vec y, Vec dy) { return (dy * y) * (all(1.0f) - y); }
};
struct TanhGradient {
  static Vec of(Vec y, Vec dy) { return dy * fnma(y, y, all(1.0f)); }
};

#define LOCKSTEP_OF_INTS(Name, expression)                    \
  struct Name {                                               \
    static int32_t of(int32_t a, int32_t b) { return expression; } \
    static Cells of(Cells a, Cells b) {                       \
      return cells([&](int i) { return of(a.v[i], b.v[i]); });  \
    }                                                         \
  };
LOCKSTEP_OF_INTS(AddInt, wrapped(plain(a) + plain(b)))
LOCKSTEP_OF_INTS(SubInt, wrapped(plain(a) - plain(b)))
LOCKSTEP_OF_INTS(MulInt, wrapped(plain(a) * plain(b)))
LOCKSTEP_OF_INTS(MaximumInt, a > b ? a : b)
LOCKSTEP_OF_INTS(MinimumInt, a < b ? a : b)
LOCKSTEP_OF_INTS(LessInt, a < b ? 1 : 0)
LOCKSTEP_OF_INTS(LessEqualInt, a <= b ? 1 : 0)
LOCKSTEP_OF_INTS(GreaterInt, a > b ? 1 : 0)
LOCKSTEP_OF_INTS(GreaterEqualInt, a >= b ? 1 : 0)
LOCKSTEP_OF_INTS(EqualInt, a == b ? 1 : 0)
LOCKSTEP_OF_INTS(NotEqualInt, a != b ? 1 : 0)
LOCKSTEP_OF_INTS(And, a != 0 && b != 0 ? 1 : 0)
LOCKSTEP_OF_INTS(Or, a != 0 || b != 0 ? 1 : 0)
#undef LOCKSTEP_OF_INTS
