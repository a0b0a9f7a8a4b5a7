// Whole numbers and truth values, a vector of them at once, and what loads and stores either kind. Included inside the target's
// namespace.
#pragma once

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

/** What a lane function reads: cells one after another, one for all, or some way apart. */
template <class L>
struct Dense {
  const float* p;
  L at(int64_t i, int n) const { return Lanes<L>::load(p + i, n); }
};
template <class L>
struct Same {
  L v;
  explicit Same(const float* p) : v(Lanes<L>::repeat(cell<typename Lanes<L>::One>(p))) {}
  L at(int64_t, int) const { return v; }
};
template <class L>
struct Strided {
  const float* p;
  int64_t step;
  L at(int64_t i, int n) const {
    float some[kLanes] = {};
    for (int k = 0; k < n; k++) some[k] = p[(i + k) * step];
    return Lanes<L>::load(some, n);
  }
};
