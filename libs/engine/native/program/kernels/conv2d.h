// Convolutions of any window, stride, padding and dilation, and their gradients by the filter.

struct Conv2dShape : ConvNumbers {
  int K, chains, rows, pieces;

  explicit Conv2dShape(const Call& call) : ConvNumbers(call, 4), K(taps() * in), chains(chainsOf(K, kChain)) {
    rows = pieceRows(outputs(), kRowsTile, 2 * call.pool->threads());
    pieces = (outputs() + rows - 1) / rows;
  }
  size_t tile() const { return alignedUp(tileFloats(rows, co, chains)); }
  bool isNarrow() const { return co <= kFewChannels && strideW == 1; }
};

inline Needs conv2dNeeds(const Call& call) {
  const Conv2dShape s(call);
  if (s.isNarrow()) return {PlanarRows(s).floats(), 0};
  const size_t gathered = s.pointwise() ? 0 : static_cast<size_t>(s.rows) * least(s.K, kChain);
  return {s.tile() + gathered, static_cast<size_t>(s.K) * padded(s.co)};
}

/** Packs a matrix [K][N] whole into `shared`, its panels spread over the threads. */
inline void packShared(const Call& call, int64_t work, const float* from, size_t down, size_t along, int K, int N) {
  share(call, work, (N + kPanel - 1) / kPanel, [&](int panel, int) {
    const int column = panel * kPanel;
    pack(from, down, along, 0, K, K, column, least(column + kPanel, N), N, call.shared);
  });
}

inline void conv2d(const Call& call) {
  const Conv2dShape s(call);
  if (s.isNarrow()) return narrowConv2d(call, s);
  const float *x = call.in(0), *bias = call.in(2);
  float* out = call.out(3);
  packShared(call, s.work(), call.in(1), s.co, 1, s.K, s.co);
  share(call, s.work(), s.pieces, [&](int piece, int thread) {
    const int first = piece * s.rows, rows = least(s.rows, s.outputs() - first);
    float *own = call.own(thread), *gathered = own + s.tile();
    productTile(
        rows, s.co, s.chains,
        [&](int chain) {
          const int k = chain * kChain, count = least(kChain, s.K - k);
          if (s.pointwise())
            return Left{x + static_cast<size_t>(first) * s.in + k, 1, static_cast<size_t>(s.in), count};
          const Gathered seen = gather(windowOfInput(s, x), first, rows, k, k + count, gathered);
          return Left{seen.at, seen.perColumn, seen.perPixel, count};
        },
        [&](int chain) { return Right{call.shared, static_cast<size_t>(s.K), static_cast<size_t>(chain) * kChain}; }, bias,
        [&](int r) { return out + static_cast<size_t>(first + r) * s.co; }, s.co, own);
  });
}

/** dfilter [taps x in][co]: the left matrix is what output pixels see, transposed; k runs over the output pixels. */
struct FilterGradientShape : ConvNumbers {
  int K, chains, rows, pieces;

  explicit FilterGradientShape(const Call& call) : ConvNumbers(call, 3), K(outputs()), chains(chainsOf(K, kChain)) {
    rows = pieceRows(taps() * in, kRowsTile, 2 * call.pool->threads());
    pieces = (taps() * in + rows - 1) / rows;
  }
  size_t tile() const { return alignedUp(tileFloats(rows, co, chains)); }
  size_t packed() const { return alignedUp(static_cast<size_t>(least(K, kChain)) * padded(co)); }
};

inline Needs conv2dFilterGradientNeeds(const Call& call) {
  const FilterGradientShape s(call);
  const size_t gathered = s.pointwise() ? 0 : static_cast<size_t>(least(s.K, kChain)) * s.rows;
  return {s.tile() + s.packed() + gathered, 0};
}

inline void conv2dFilterGradient(const Call& call) {
  const FilterGradientShape s(call);
  if (s.co <= kFewChannels && s.in >= kLanes) return narrowFilterGradient(call, s);
  const float *x = call.in(0), *dy = call.in(1);
  float* dfilter = call.out(2);
  share(call, s.work(), s.pieces, [&](int piece, int thread) {
    const int first = piece * s.rows, rows = least(s.rows, s.taps() * s.in - first);
    float *own = call.own(thread), *packed = own + s.tile(), *gathered = packed + s.packed();
    productTile(
        rows, s.co, s.chains,
        [&](int chain) {
          const int k = chain * kChain, count = least(kChain, s.K - k);
          if (s.pointwise()) return Left{x + static_cast<size_t>(k) * s.in + first, static_cast<size_t>(s.in), 1, count};
          const Gathered seen = gather(windowOfInput(s, x), k, count, first, first + rows, gathered);
          return Left{seen.at, seen.perPixel, seen.perColumn, count};
        },
        [&](int chain) {
          const int k = chain * kChain, count = least(kChain, s.K - k);
          pack(dy + static_cast<size_t>(k) * s.co, s.co, 1, 0, count, count, 0, s.co, s.co, packed);
          return Right{packed, static_cast<size_t>(count), 0};
        },
        nullptr, [&](int r) { return dfilter + static_cast<size_t>(first + r) * s.co; }, s.co, own);
  });
}
