// Convolutions of 3x3 with zero padding and stride 1, and their gradients by the input, by Winograd's transforms.

/** Tiles transformed together: their V and M stay in the second-level cache, and U is read once for all of them. */
constexpr int kTilesForward = 24;

/** x [n, h, w, in] (or half of h and w, doubled) to y [n, h, w, out] (or half of them, pooled). */
struct Conv3x3Shape {
  Images images;
  int in, out, chains, tiles, groups;
  bool turned;

  /** The convolution, or `turned` the one from dy to dx. */
  Conv3x3Shape(const Call& call, int at, bool back)
      : images{call.i(at), call.i(at + 1), call.i(at + 2)}, in(call.i(at + (back ? 4 : 3))), out(call.i(at + (back ? 3 : 4))),
        chains(chainsOf(in, kChain)), turned(back) {
    tiles = pieceRows(images.tiles(), kTilesForward, 2 * call.pool->threads());
    groups = (images.tiles() + tiles - 1) / tiles;
  }
  size_t vStep() const { return spread(static_cast<size_t>(tiles) * padded(in)); }
  size_t mStep() const { return spread(static_cast<size_t>(tiles) * padded(out)); }
  size_t uStep() const { return spread(static_cast<size_t>(in) * padded(out)); }
  /** For the rest of sums of very many channels. */
  size_t higher() const { return higherLevels(chains) * tiles * padded(out); }
  int64_t work() const { return static_cast<int64_t>(images.tiles()) * kPoints * in * out; }
  Needs needs() const {
    const size_t filter = turned ? static_cast<size_t>(9) * in * out : 0;
    return {kPoints * (vStep() + mStep()) + higher() + in, kPoints * uStep() + filter};
  }
};

inline Needs conv3x3Needs(const Call& call) { return Conv3x3Shape(call, 5, false).needs(); }
inline Needs conv3x3InputGradientNeeds(const Call& call) { return Conv3x3Shape(call, 3, true).needs(); }

inline void convolve(const Call& call, const Conv3x3Shape& s, const float* x, const float* filter, const float* bias,
                     const float* residual, bool doubled, bool pooled, float* y) {
  float* U = call.shared;
  if (s.turned) {
    float* exchanged = U + kPoints * s.uStep();
    const float* from = filter;
    const size_t plane = static_cast<size_t>(s.in) * s.out;
    share(call, s.work(), 9, [&](int k, int) { turn(from + k * plane, s.out, s.in, s.in, exchanged + k * plane, s.out); });
    filter = exchanged;
  }
  const int rows = 8;
  share(call, s.work(), (s.in + rows - 1) / rows, [&](int piece, int) {
    for (int row = piece * rows; row < least(s.in, (piece + 1) * rows); row++)
      transformFilter(filter, s.in, s.out, row, s.turned, U);
  });
  share(call, s.work(), s.groups, [&](int group, int thread) {
    const int first = group * s.tiles, count = least(s.tiles, s.images.tiles() - first);
    const size_t width = padded(s.in), columns = padded(s.out), vStep = spread(count * width), mStep = spread(count * columns);
    float *V = call.own(thread), *M = V + kPoints * s.vStep(), *higher = M + kPoints * s.mStep(), *zeros = higher + s.higher();
    clearFloats(zeros, s.in);
    transformInput(s.images, first, count, x, s.in, doubled, zeros, V);
    for (int k = 0; k < kPoints; k++)
      sumChains(s.chains, 1, count * columns, M + k * mStep, higher, [&](int chain, int, End end) {
        const int channel = chain * kChain;
        const Left left{V + k * vStep + channel, 1, width, least(kChain, s.in - channel)};
        const Right right{U + k * s.uStep(), static_cast<size_t>(s.in), static_cast<size_t>(channel)};
        multiply(count, static_cast<int>(columns), left, right, end, nullptr, M + k * mStep, columns);
      });
    if (pooled)
      transformPooled(s.images, first, count, M, s.out, y);
    else
      transformOutput(s.images, first, count, M, {bias, residual, y, s.out});
  });
}

inline void conv3x3(const Call& call) {
  const Conv3x3Shape s(call, 5, false);
  convolve(call, s, call.in(0), call.in(1), call.in(2), call.in(3), call.i(10) != 0, false, call.out(4));
}

inline void conv3x3InputGradient(const Call& call) {
  const Conv3x3Shape s(call, 3, true);
  convolve(call, s, call.in(0), call.in(1), nullptr, nullptr, false, call.i(8) != 0, call.out(2));
}
