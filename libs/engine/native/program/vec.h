// Floats that are computed on at once: 4, 8 or 16 lanes, by the target that this is compiled for. Included inside the target's
// namespace, after immintrin.h.
//
// The bits of a result are decided by the source alone: every fused multiply-add is written out (-ffp-contract=off), and no
// lane meets another. So all targets, and every compiler, agree. LOCKSTEP_LANES says how many lanes; where it does not fit what the
// processor has (plain code, and 16 lanes on a processor of 8 in tests) lanes are loops.

constexpr int kLanes = LOCKSTEP_LANES;

#if LOCKSTEP_LANES == 16 && defined(__AVX512F__) && defined(__AVX512DQ__)

struct Vec {
  __m512 v;
};
/** Lanes for which something holds. */
struct Mask {
  __mmask16 m;
};
inline __mmask16 firstLanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
/** The first n of the lanes, 0 < n < kLanes; zeros in the others. Nothing beyond them is read. */
inline Vec loadPart(const float* p, int n) { return {_mm512_maskz_loadu_ps(firstLanes(n), p)}; }
inline Vec all(float x) { return {_mm512_set1_ps(x)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
/** Stores the first n of the lanes, and touches nothing beyond. */
inline void storePart(float* p, Vec a, int n) { _mm512_mask_storeu_ps(p, firstLanes(n), a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
/** a b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/** c - a b, rounded once. */
inline Vec fnma(Vec a, Vec b, Vec c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline Vec squareRoot(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
/** a where it is smaller, else b; so b where one is a NaN. */
inline Vec smaller(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
/** a where it is larger, else b; so b where one is a NaN. */
inline Vec larger(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
/** a < b; false where one is a NaN. */
inline Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask equal(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
/** a where the mask holds, b elsewhere. */
inline Vec select(Mask mask, Vec a, Vec b) { return {_mm512_mask_blend_ps(mask.m, b.v, a.v)}; }
/** Nearest whole number, ties to even. */
inline Vec nearest(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
/** 2^a for whole a in -126 .. 127. */
inline Vec powerOfTwo(Vec a) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(a.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
}

#elif LOCKSTEP_LANES == 8 && defined(__AVX2__) && defined(__FMA__)

struct Vec {
  __m256 v;
};
/** Lanes for which something holds. */
struct Mask {
  __m256 m;
};
inline __m256i firstLanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
/** The first n of the lanes, 0 < n < kLanes; zeros in the others. Nothing beyond them is read. */
inline Vec loadPart(const float* p, int n) { return {_mm256_maskload_ps(p, firstLanes(n))}; }
inline Vec all(float x) { return {_mm256_set1_ps(x)}; }
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
/** Stores the first n of the lanes, and touches nothing beyond. */
inline void storePart(float* p, Vec a, int n) { _mm256_maskstore_ps(p, firstLanes(n), a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
/** a b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
/** c - a b, rounded once. */
inline Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
inline Vec squareRoot(Vec a) { return {_mm256_sqrt_ps(a.v)}; }
/** a where it is smaller, else b; so b where one is a NaN. */
inline Vec smaller(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
/** a where it is larger, else b; so b where one is a NaN. */
inline Vec larger(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
/** a < b; false where one is a NaN. */
inline Mask less(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask equal(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
/** a where the mask holds, b elsewhere. */
inline Vec select(Mask mask, Vec a, Vec b) { return {_mm256_blendv_ps(b.v, a.v, mask.m)}; }
/** Nearest whole number, ties to even. */
inline Vec nearest(Vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
/** 2^a for whole a in -126 .. 127. */
inline Vec powerOfTwo(Vec a) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(a.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23))};
}

#else

struct Vec {
  float v[kLanes];
};
/** Lanes for which something holds. */
struct Mask {
  bool m[kLanes];
};
template <class F>
inline Vec lanes(F f) {
  Vec r;
  for (int i = 0; i < kLanes; i++) r.v[i] = f(i);
  return r;
}
inline Vec load(const float* p) {
  return lanes([=](int i) { return p[i]; });
}
/** The first n of the lanes, 0 < n < kLanes; zeros in the others. Nothing beyond them is read. */
inline Vec loadPart(const float* p, int n) {
  return lanes([=](int i) { return i < n ? p[i] : 0.0f; });
}
inline Vec all(float x) {
  return lanes([=](int) { return x; });
}
inline void store(float* p, Vec a) { __builtin_memcpy(p, a.v, sizeof a.v); }
/** Stores the first n of the lanes, and touches nothing beyond. */
inline void storePart(float* p, Vec a, int n) {
  for (int i = 0; i < n; i++) p[i] = a.v[i];
}
inline Vec operator+(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec operator-(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec operator*(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec operator/(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] / b.v[i]; });
}
/** a b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) {
  return lanes([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
/** c - a b, rounded once. */
inline Vec fnma(Vec a, Vec b, Vec c) {
  return lanes([&](int i) { return __builtin_fmaf(-a.v[i], b.v[i], c.v[i]); });
}
inline Vec squareRoot(Vec a) {
  return lanes([&](int i) { return __builtin_sqrtf(a.v[i]); });
}
/** a where it is smaller, else b; so b where one is a NaN. */
inline Vec smaller(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
/** a where it is larger, else b; so b where one is a NaN. */
inline Vec larger(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
/** a < b; false where one is a NaN. */
inline Mask less(Vec a, Vec b) {
  Mask r;
  for (int i = 0; i < kLanes; i++) r.m[i] = a.v[i] < b.v[i];
  return r;
}
inline Mask equal(Vec a, Vec b) {
  Mask r;
  for (int i = 0; i < kLanes; i++) r.m[i] = a.v[i] == b.v[i];
  return r;
}
/** a where the mask holds, b elsewhere. */
inline Vec select(Mask mask, Vec a, Vec b) {
  return lanes([&](int i) { return mask.m[i] ? a.v[i] : b.v[i]; });
}
/** Nearest whole number, ties to even. */
inline Vec nearest(Vec a) {
  return lanes([&](int i) { return __builtin_rintf(a.v[i]); });
}
/** 2^a for whole a in -126 .. 127. */
inline Vec powerOfTwo(Vec a) {
  return lanes([&](int i) {
    // The sum's lowest bits are the whole number; a NaN, which has no power, gives something, as with vectors.
    const float shifted = a.v[i] + 12582912.0f;
    uint32_t bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4b400000u + 127u) << 23;
    float power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return power;
  });
}

#endif

/** n floats, n in 1 .. kLanes. */
inline Vec loadSome(const float* p, int n) { return n == kLanes ? load(p) : loadPart(p, n); }
inline void storeSome(float* p, Vec a, int n) {
  if (n == kLanes)
    store(p, a);
  else
    storePart(p, a, n);
}
/** Lanes that are left of `count` at `at`: kLanes but at the end. */
inline int lanesAt(int64_t at, int64_t count) { return static_cast<int>(count - at < kLanes ? count - at : kLanes); }
