// Eight floats that are computed on at once, and the pool of threads that the kernels share.
//
// The bits of a result are decided by this source alone: every fused multiply-add is written out, the compiler is told not
// to make others (-ffp-contract=off), and no lane ever meets another. So AVX2, the plain loops below (other processors) and
// every compiler agree.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace lockstep {

constexpr int kLanes = 8;

#if defined(__AVX2__) && defined(__FMA__)

struct Vec {
  __m256 v;
};
inline Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline Vec all(float x) { return {_mm256_set1_ps(x)}; }
inline Vec all(const float* p) { return {_mm256_broadcast_ss(p)}; }
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
/** a b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
/** c - a b, rounded once. */
inline Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
/** As std::fmin and std::fmax for numbers; of a NaN and a number, the second argument. */
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
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
template <class F>
inline Vec lanes(F f) {
  Vec r;
  for (int i = 0; i < kLanes; i++) r.v[i] = f(i);
  return r;
}
inline Vec load(const float* p) {
  return lanes([=](int i) { return p[i]; });
}
inline Vec all(float x) {
  return lanes([=](int) { return x; });
}
inline Vec all(const float* p) { return all(*p); }
inline void store(float* p, Vec a) { std::memcpy(p, a.v, sizeof a.v); }
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
inline Vec fma(Vec a, Vec b, Vec c) {
  return lanes([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return lanes([&](int i) { return __builtin_fmaf(-a.v[i], b.v[i], c.v[i]); });
}
inline Vec min(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec max(Vec a, Vec b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec nearest(Vec a) {
  return lanes([&](int i) { return __builtin_rintf(a.v[i]); });
}
inline Vec powerOfTwo(Vec a) {
  return lanes([&](int i) {
    const unsigned bits = static_cast<unsigned>(static_cast<int>(a.v[i]) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return power;
  });
}

#endif

/** Threads that `parallel` can use: TF_NUM_INTRAOP_THREADS. */
int threads();

/**
 * Calls work(i) for every i of 0 .. count-1, on as many threads as there are. Which thread does what must
 * not show in the result. Where another op has the threads already, or for one piece, the caller does all of it.
 */
void parallel(int count, const std::function<void(int)>& work);

/** Memory of this thread for intermediate results, 64-byte aligned, kept for the next op; `slot` tells uses apart. */
float* scratch(int slot, size_t floats);

}  // namespace lockstep
