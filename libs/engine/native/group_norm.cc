#include "group_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "vector.h"

namespace lockstep {
namespace {

/** Channels walked through together: four vectors of running sums, and their pixels are whole cache lines. */
constexpr int kStrip = 4 * kLanes;
/** Pixels added up before the sum goes to the total: rounding grows with the length of a chain of additions. */
constexpr int kChain = 32;

/**
 * e^x to within 2 units in the last place, for x clamped to -87 .. 88: x = k ln 2 + r, |r| <= ln 2 / 2, and a polynomial of r
 * (the coefficients are Taylor's, the last two trimmed for the interval; ln 2 is taken off in two parts, after Cody and Waite
 * 1980).
 */
inline Vec exponential(Vec x) {
  x = min(max(x, all(-87.0f)), all(88.0f));
  const Vec k = nearest(x * all(1.44269504f));
  const Vec r = fnma(k, all(-2.12194440e-4f), fnma(k, all(0.693359375f), x));
  Vec p = all(1.0f / 5040);
  p = fma(p, r, all(1.0f / 720));
  p = fma(p, r, all(1.0f / 120));
  p = fma(p, r, all(1.0f / 24));
  p = fma(p, r, all(1.0f / 6));
  p = fma(p, r, all(0.5f));
  p = fma(p, r, all(1.0f));
  p = fma(p, r, all(1.0f));
  return p * powerOfTwo(k);
}

inline Vec sigmoid(Vec y) { return all(1.0f) / (all(1.0f) + exponential(all(0.0f) - y)); }

/** Calls each(first, vectors) for strips of channels. */
template <class F>
inline void strips(int channels, F each) {
  for (int c = 0; c < channels; c += kStrip) each(c, std::min(kStrip, channels - c) / kLanes);
}

/**
 * Sums over all pixels of what `terms(at, vector, values)` gives for the vector at float `at` of the image: N values each.
 * to[k][channels], k < N.
 */
template <int N, class F>
inline void sums(const NormShape& s, F terms, float* const (&to)[N]) {
  strips(s.channels, [&](int c, int vectors) {
    Vec total[4][N], chain[4][N];
    for (int v = 0; v < 4; v++)
      for (int k = 0; k < N; k++) total[v][k] = all(0.0f);
    for (int first = 0; first < s.pixels; first += kChain) {
      for (int v = 0; v < 4; v++)
        for (int k = 0; k < N; k++) chain[v][k] = all(0.0f);
      const int last = std::min(first + kChain, s.pixels);
      for (int p = first; p < last; p++)
        for (int v = 0; v < vectors; v++) {
          const int channel = c + v * kLanes;
          terms(static_cast<size_t>(p) * s.channels + channel, channel, chain[v]);
        }
      for (int v = 0; v < vectors; v++)
        for (int k = 0; k < N; k++) total[v][k] = total[v][k] + chain[v][k];
    }
    for (int v = 0; v < vectors; v++)
      for (int k = 0; k < N; k++) store(to[k] + c + v * kLanes, total[v][k]);
  });
}

/** Calls each(at, channel) for every vector of an image. */
template <class F>
inline void everyVector(const NormShape& s, F each) {
  for (int p = 0; p < s.pixels; p++)
    for (int c = 0; c < s.channels; c += kLanes) each(static_cast<size_t>(p) * s.channels + c, c);
}

void normaliseImage(const NormShape& s, const float* x, const float* offset, const float* gamma, const float* beta, float* z,
                    float* mean, float* inverse, float* difference) {
  const int C = s.channels, c = C / s.groups;
  const float pixels = static_cast<float>(s.pixels), M = pixels * static_cast<float>(c);
  std::vector<float> squares(C), scale(C), shift(C);
  float* const toMean[] = {mean};
  sums<1>(s, [&](size_t at, int, Vec* sum) { sum[0] = sum[0] + load(x + at); }, toMean);
  for (int i = 0; i < C; i++) mean[i] /= pixels;
  float* const toSquares[] = {squares.data()};
  sums<1>(s,
          [&](size_t at, int channel, Vec* sum) {
            const Vec d = load(x + at) - load(mean + channel);
            sum[0] = fma(d, d, sum[0]);
          },
          toSquares);
  for (int g = 0; g < s.groups; g++) {
    float centre = 0, variance = 0;
    for (int i = g * c; i < (g + 1) * c; i++) centre += mean[i] + offset[i];
    centre /= static_cast<float>(c);
    for (int i = g * c; i < (g + 1) * c; i++) {
      const float d = (mean[i] + offset[i]) - centre;
      variance += squares[i] + pixels * (d * d);
    }
    const float r = 1.0f / std::sqrt(variance / M + s.epsilon);
    for (int i = g * c; i < (g + 1) * c; i++) {
      inverse[i] = r;
      difference[i] = (mean[i] + offset[i]) - centre;
      scale[i] = r * gamma[i];
      shift[i] = beta[i] + difference[i] * scale[i];
    }
  }
  everyVector(s, [&](size_t at, int channel) {
    const Vec y = fma(load(x + at) - load(mean + channel), load(&scale[channel]), load(&shift[channel]));
    store(z + at, s.silu ? y * sigmoid(y) : y);
  });
}

void gradientOfImage(const NormShape& s, const float* dz, const float* x, const float* statistics, const float* gamma,
                     const float* beta, float* dx, float* doffset, float* dgamma, float* dbeta) {
  const int C = s.channels, c = C / s.groups;
  const float pixels = static_cast<float>(s.pixels), M = pixels * static_cast<float>(c);
  const float *mean = statistics, *inverse = statistics + C, *difference = statistics + 2 * C;
  std::vector<float> scale(C), shift(C), S2(C), slope(C), level(C);
  for (int i = 0; i < C; i++) {
    scale[i] = inverse[i] * gamma[i];
    shift[i] = beta[i] + difference[i] * scale[i];
  }
  // dy goes to dx's memory for the time being; S1 is dbeta's share of this image.
  float* const to[] = {dbeta, S2.data()};
  sums<2>(s,
          [&](size_t at, int channel, Vec* sum) {
            const Vec d = load(x + at) - load(mean + channel);
            Vec dy = load(dz + at);
            if (s.silu) {
              const Vec y = fma(d, load(&scale[channel]), load(&shift[channel]));
              const Vec g = sigmoid(y);
              dy = dy * fma(y * g, all(1.0f) - g, g);
              store(dx + at, dy);
            }
            sum[0] = sum[0] + dy;
            sum[1] = fma(dy, d, sum[1]);
          },
          to);
  for (int g = 0; g < s.groups; g++) {
    float P = 0, Q = 0;
    for (int i = g * c; i < (g + 1) * c; i++) {
      dgamma[i] = inverse[i] * (S2[i] + difference[i] * dbeta[i]);
      P += gamma[i] * dbeta[i];
      Q += gamma[i] * dgamma[i];
    }
    for (int i = g * c; i < (g + 1) * c; i++) {
      const float nR = -inverse[i] / M;
      slope[i] = nR * inverse[i] * Q;
      level[i] = slope[i] * difference[i] + nR * P;
      doffset[i] = scale[i] * dbeta[i] + pixels * level[i];
    }
  }
  const float* dy = s.silu ? dx : dz;
  everyVector(s, [&](size_t at, int channel) {
    const Vec d = load(x + at) - load(mean + channel);
    const Vec rest = fma(d, load(&slope[channel]), load(&level[channel]));
    store(dx + at, fma(load(dy + at), load(&scale[channel]), rest));
  });
}

}  // namespace

void normalise(const NormShape& s, const float* x, const float* offset, const float* gamma, const float* beta, float* z,
               float* statistics) {
  const size_t image = static_cast<size_t>(s.pixels) * s.channels, C = s.channels;
  parallel(s.n, [&](int i) {
    float* own = statistics + i * 3 * C;
    normaliseImage(s, x + i * image, offset + i * C, gamma, beta, z + i * image, own, own + C, own + 2 * C);
  });
}

void normaliseGradient(const NormShape& s, const float* dz, const float* x, const float* statistics, const float* gamma,
                       const float* beta, float* dx, float* doffset, float* dgamma, float* dbeta) {
  const size_t image = static_cast<size_t>(s.pixels) * s.channels, C = s.channels;
  std::vector<float> gammas(s.n * C), betas(s.n * C);
  parallel(s.n, [&](int i) {
    gradientOfImage(s, dz + i * image, x + i * image, statistics + i * 3 * C, gamma, beta, dx + i * image, doffset + i * C,
                    &gammas[i * C], &betas[i * C]);
  });
  std::fill(dgamma, dgamma + C, 0.0f);
  std::fill(dbeta, dbeta + C, 0.0f);
  for (int i = 0; i < s.n; i++)
    for (size_t k = 0; k < C; k++) {
      dgamma[k] += gammas[i * C + k];
      dbeta[k] += betas[i * C + k];
    }
}

}  // namespace lockstep
