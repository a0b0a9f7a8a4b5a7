// Group normalisation of x + offset, with SiLU where asked for, and its gradient. Included inside the target's namespace.
//
// x [n, pixels, channels], offset [n, channels] (null: none). A group is c = channels / groups neighbouring channels of an image. Per
// channel of an image: mean of x; S, the sum of (x - mean)^2. Per group: centre, the mean over its channels of mean + offset, and
// variance = (sum over its channels of S + pixels (mean + offset - centre)^2) / (pixels c). So no large number is taken from another
// large one.
#pragma once

struct Norm {
  int n, pixels, channels, groups;
  float epsilon;
  bool silu;

  Norm(const Call& call, int from)
      : n(call.i(from)),
        pixels(call.i(from + 1)),
        channels(call.i(from + 2)),
        groups(call.i(from + 3)),
        epsilon(call.f(from + 4)),
        silu(call.i(from + 5) != 0) {}
  int64_t image() const { return static_cast<int64_t>(pixels) * channels; }
};

/** A sum of numbers that come one after another, by the rule of sums. */
struct Sum {
  float chain = 0;
  int count = 0;
  Levels<float> levels;

  void add(float x) {
    chain = chain + x;
    if (++count < kChain) return;
    levels.add(chain);
    chain = 0;
    count = 0;
  }
  float total() {
    if (levels.counts[0] == 0 && levels.counts[1] == 0) return chain;
    if (count > 0) levels.add(chain);
    return levels.total();
  }
};

/**
 * Sums over all pixels of N values a cell, for W vectors of channels from c, the last of n lanes: `terms(at, channel, lanes, sums)` adds
 * those of the cells at `at` of the image. To to[k][channels].
 */
template <int N, int W, class F>
inline void sumStrip(const Norm& s, int c, int n, const F& terms, float* const (&to)[N]) {
  Levels<Vec> levels[W][N];
  Vec chain[W][N] = {};
  for (int first = 0; first < s.pixels; first += kChain) {
    for (int w = 0; w < W; w++)
      for (int k = 0; k < N; k++) chain[w][k] = all(0.0f);
    const int last = least(first + kChain, s.pixels);
    for (int p = first; p < last; p++)
      for (int w = 0; w < W; w++) {
        const int channel = c + w * kLanes;
        terms(static_cast<int64_t>(p) * s.channels + channel, channel, W == 1 ? n : kLanes, chain[w]);
      }
    if (s.pixels <= kChain) break;
    for (int w = 0; w < W; w++)
      for (int k = 0; k < N; k++) levels[w][k].add(chain[w][k]);
  }
  for (int w = 0; w < W; w++)
    for (int k = 0; k < N; k++)
      storeSome(to[k] + c + w * kLanes, s.pixels <= kChain ? chain[w][k] : levels[w][k].total(), W == 1 ? n : kLanes);
}

template <int N, class F>
inline void sumPixels(const Norm& s, const F& terms, float* const (&to)[N]) {
  int c = 0;
  for (; c + 4 * kLanes <= s.channels; c += 4 * kLanes) sumStrip<N, 4>(s, c, kLanes, terms, to);
  for (; c + 2 * kLanes <= s.channels; c += 2 * kLanes) sumStrip<N, 2>(s, c, kLanes, terms, to);
  for (; c < s.channels; c += kLanes) sumStrip<N, 1>(s, c, lanesAt(c, s.channels), terms, to);
}

/** Calls each(at, channel, lanes) for every vector of an image. */
template <class F>
inline void everyVector(const Norm& s, const F& each) {
  for (int p = 0; p < s.pixels; p++) {
    const int64_t at = static_cast<int64_t>(p) * s.channels;
    int c = 0;
    for (; c + kLanes <= s.channels; c += kLanes) each(at + c, c, kLanes);
    if (c < s.channels) each(at + c, c, s.channels - c);
  }
}

/** `own` is memory for 3 channels; mean, inverse and difference are what the gradient needs again. */
inline void normaliseImage(const Norm& s, const float* x, const float* offset, const float* gamma, const float* beta, float* z,
                           float* statistics, float* own) {
  const int C = s.channels, c = C / s.groups;
  const float pixels = static_cast<float>(s.pixels), M = pixels * static_cast<float>(c);
  float *mean = statistics, *inverse = statistics + C, *difference = statistics + 2 * C;
  float *squares = own, *scale = own + C, *shift = own + 2 * C;
  sumPixels<1>(
      s, [&](int64_t at, int, int n, Vec* sum) { sum[0] = sum[0] + loadSome(x + at, n); }, {mean});
  for (int i = 0; i < C; i++) mean[i] /= pixels;
  sumPixels<1>(
      s,
      [&](int64_t at, int channel, int n, Vec* sum) {
        const Vec d = loadSome(x + at, n) - loadSome(mean + channel, n);
        sum[0] = fma(d, d, sum[0]);
      },
      {squares});
  for (int g = 0; g < s.groups; g++) {
    Sum centres, variances;
    for (int i = g * c; i < (g + 1) * c; i++) {
      difference[i] = offset == nullptr ? mean[i] : mean[i] + offset[i];
      centres.add(difference[i]);
    }
    const float centre = centres.total() / static_cast<float>(c);
    for (int i = g * c; i < (g + 1) * c; i++) {
      difference[i] -= centre;
      variances.add(squares[i] + pixels * (difference[i] * difference[i]));
    }
    const float r = 1.0f / __builtin_sqrtf(variances.total() / M + s.epsilon);
    for (int i = g * c; i < (g + 1) * c; i++) {
      inverse[i] = r;
      scale[i] = r * gamma[i];
      shift[i] = beta[i] + difference[i] * scale[i];
    }
  }
  const auto normalised = [&](int64_t at, int channel, int n) {
    return fma(loadSome(x + at, n) - loadSome(mean + channel, n), loadSome(scale + channel, n), loadSome(shift + channel, n));
  };
  if (s.silu)
    everyVector(s, [&](int64_t at, int channel, int n) {
      const Vec y = normalised(at, channel, n);
      storeSome(z + at, y * sigmoidWithin(y), n);
    });
  else
    everyVector(s, [&](int64_t at, int channel, int n) { storeSome(z + at, normalised(at, channel, n), n); });
}

/** `own` is memory for 5 channels; dgamma and dbeta are this image's shares. */
inline void normGradientOfImage(const Norm& s, const float* dz, const float* x, const float* statistics, const float* gamma,
                                const float* beta, float* dx, float* doffset, float* dgamma, float* dbeta, float* own) {
  const int C = s.channels, c = C / s.groups;
  const float pixels = static_cast<float>(s.pixels), M = pixels * static_cast<float>(c);
  const float *mean = statistics, *inverse = statistics + C, *difference = statistics + 2 * C;
  float *scale = own, *shift = own + C, *S2 = own + 2 * C, *slope = own + 3 * C, *level = own + 4 * C;
  for (int i = 0; i < C; i++) {
    scale[i] = inverse[i] * gamma[i];
    shift[i] = beta[i] + difference[i] * scale[i];
  }
  // dy = dz f'(y) goes to dx's memory for the time being; dbeta is the sum of dy, S2 that of dy (x - mean).
  if (s.silu)
    sumPixels<2>(
        s,
        [&](int64_t at, int channel, int n, Vec* sum) {
          const Vec d = loadSome(x + at, n) - loadSome(mean + channel, n);
          const Vec y = fma(d, loadSome(scale + channel, n), loadSome(shift + channel, n));
          const Vec g = sigmoidWithin(y);
          const Vec dy = loadSome(dz + at, n) * fma(y * g, all(1.0f) - g, g);
          storeSome(dx + at, dy, n);
          sum[0] = sum[0] + dy;
          sum[1] = fma(dy, d, sum[1]);
        },
        {dbeta, S2});
  else
    sumPixels<2>(
        s,
        [&](int64_t at, int channel, int n, Vec* sum) {
          const Vec dy = loadSome(dz + at, n);
          sum[0] = sum[0] + dy;
          sum[1] = fma(dy, loadSome(x + at, n) - loadSome(mean + channel, n), sum[1]);
        },
        {dbeta, S2});
  for (int g = 0; g < s.groups; g++) {
    Sum P, Q;
    for (int i = g * c; i < (g + 1) * c; i++) {
      dgamma[i] = inverse[i] * (S2[i] + difference[i] * dbeta[i]);
      P.add(gamma[i] * dbeta[i]);
      Q.add(gamma[i] * dgamma[i]);
    }
    const float p = P.total(), q = Q.total();
    for (int i = g * c; i < (g + 1) * c; i++) {
      const float nR = -inverse[i] / M;
      slope[i] = nR * inverse[i] * q;
      level[i] = slope[i] * difference[i] + nR * p;
      if (doffset != nullptr) doffset[i] = scale[i] * dbeta[i] + pixels * level[i];
    }
  }
  const float* dy = s.silu ? dx : dz;
  everyVector(s, [&](int64_t at, int channel, int n) {
    const Vec d = loadSome(x + at, n) - loadSome(mean + channel, n);
    const Vec rest = fma(d, loadSome(slope + channel, n), loadSome(level + channel, n));
    storeSome(dx + at, fma(loadSome(dy + at, n), loadSome(scale + channel, n), rest), n);
  });
}

/** x offset gamma beta z statistics, n pixels channels groups, epsilon bits, silu. */
inline void groupNorm(const Call& call) {
  const Norm s(call, 6);
  const float *x = call.in(0), *offset = call.in(1), *gamma = call.in(2), *beta = call.in(3);
  float *z = call.out(4), *statistics = call.out(5);
  parallel(call, s.n, [&](int i, int thread) {
    const int64_t C = s.channels;
    normaliseImage(s, x + i * s.image(), offset == nullptr ? nullptr : offset + i * C, gamma, beta, z + i * s.image(),
                   statistics + i * 3 * C, call.own(thread));
  });
}

inline Needs groupNormNeeds(const Call& call) { return {3 * static_cast<size_t>(call.i(8)), 0}; }

/** dz x statistics gamma beta dx doffset dgamma dbeta, the same numbers. */
inline void groupNormGradient(const Call& call) {
  const Norm s(call, 9);
  const float *dz = call.in(0), *x = call.in(1), *statistics = call.in(2), *gamma = call.in(3), *beta = call.in(4);
  float *dx = call.out(5), *doffset = call.out(6), *dgamma = call.out(7), *dbeta = call.out(8);
  const int64_t C = s.channels;
  // An image's shares of dgamma and dbeta.
  float *gammas = call.shared, *betas = call.shared + s.n * C;
  parallel(call, s.n, [&](int i, int thread) {
    normGradientOfImage(s, dz + i * s.image(), x + i * s.image(), statistics + i * 3 * C, gamma, beta, dx + i * s.image(),
                        doffset == nullptr ? nullptr : doffset + i * C, gammas + i * C, betas + i * C, call.own(thread));
  });
  for (int64_t k = 0; k < C; k++) {
    Sum ofGamma, ofBeta;
    for (int i = 0; i < s.n; i++) {
      ofGamma.add(gammas[i * C + k]);
      ofBeta.add(betas[i * C + k]);
    }
    dgamma[k] = ofGamma.total();
    dbeta[k] = ofBeta.total();
  }
}

inline Needs groupNormGradientNeeds(const Call& call) {
  const size_t n = call.i(9), channels = call.i(11);
  return {5 * channels, 2 * n * channels};
}
