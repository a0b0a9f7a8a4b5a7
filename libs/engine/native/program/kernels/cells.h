// Whole numbers and truth values, a vector of them at once, and what loads and stores either kind. Included inside the target's
// namespace.
#pragma once

/** A cell as a whole number, whatever it was written as: the compiler may not assume that it is no float. */
using AnyInt __attribute__((may_alias)) = int32_t;
inline const AnyInt* wholes(const float* p) { return reinterpret_cast<const AnyInt*>(p); }
inline AnyInt* wholes(float* p) { return reinterpret_cast<AnyInt*>(p); }

/** As many whole numbers as Vec has floats. */
struct Cells {
  int32_t v[kLanes];
};

template <class F>
inline Cells cells(F f) {
  Cells r;
  for (int i = 0; i < kLanes; i++) r.v[i] = f(i);
  return r;
}

/** Sums, differences and products wrap around. */
inline int32_t wrapped(uint32_t x) { return static_cast<int32_t>(x); }
inline uint32_t plain(int32_t x) { return static_cast<uint32_t>(x); }

/** Lanes of either kind: L is Vec or Cells; n of them, 0 < n <= kLanes. */
template <class L>
struct Lanes;
template <>
struct Lanes<Vec> {
  using One = float;
  static Vec load(const float* p, int n) { return loadSome(p, n); }
  static Vec repeat(float x) { return all(x); }
  /** One cell in all lanes. */
  static Vec one(const float* p) { return all(*p); }
  static void store(float* p, Vec a, int n) { storeSome(p, a, n); }
};
template <>
struct Lanes<Cells> {
  using One = int32_t;
  static Cells load(const float* p, int n) {
    Cells r = {};
    __builtin_memcpy(r.v, p, sizeof(int32_t) * n);
    return r;
  }
  static Cells repeat(int32_t x) {
    return cells([=](int) { return x; });
  }
  static Cells one(const float* p) {
    int32_t x;
    __builtin_memcpy(&x, p, sizeof x);
    return repeat(x);
  }
  static void store(float* p, Cells a, int n) { __builtin_memcpy(p, a.v, sizeof(int32_t) * n); }
};

inline void put(float* p, Vec a, int n) { Lanes<Vec>::store(p, a, n); }
inline void put(float* p, Cells a, int n) { Lanes<Cells>::store(p, a, n); }

/** One cell as a float or a whole number. */
template <class T>
inline T cell(const float* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}
template <class T>
inline void setCell(float* p, T value) {
  __builtin_memcpy(p, &value, sizeof value);
}

/** Truth values of lanes, as cells: the float whose bits are those of the whole number 1 is the smallest there is. */
inline Vec truth(Mask mask) { return select(mask, all(__FLT_DENORM_MIN__), all(0.0f)); }

inline void moveCells(float* to, const float* from, int64_t count) { __builtin_memcpy(to, from, sizeof(float) * count); }

/** Cells `step` apart, one after another: as whole numbers, for a float's bits may not pass through arithmetic. */
inline void gatherCells(float* to, const float* from, int64_t step, int64_t count) {
  for (int64_t i = 0; i < count; i++) wholes(to)[i] = wholes(from)[i * step];
}
