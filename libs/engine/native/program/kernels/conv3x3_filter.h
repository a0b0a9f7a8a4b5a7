// The gradient of a 3x3 convolution's filter and bias (conv3x3.h).

/** Tiles that a thread transforms at once. */
constexpr int kTilesShared = 4;

inline size_t totalFloats(const Conv3x3& s) { return spread(static_cast<size_t>(s.in) * wholeVectors(s.co)); }

inline Needs conv3x3FilterGradientNeeds(const Call& call) {
  const Conv3x3 s(call, 4);
  const size_t V = spread(kTileChain * wholeVectors(s.in)), W = spread(panelFloats(kTileChain, s.co));
  const int chains = (s.tiles() + kTileChain - 1) / kTileChain;
  return {0, kPoints * (V + W + (chains > kChain ? 2 : 1) * totalFloats(s))};
}

/** sum [co] of dy over all pixels, by the rule of chains. */
inline void sumPixels(const Call& call, const Conv3x3& s, const float* dy, float* sum) {
  const int pixels = s.n * s.h * s.w;
  parallel(call, (s.co + kLanes - 1) / kLanes, [&](int vector, int) {
    const int c = vector * kLanes, n = least(kLanes, s.co - c);
    Levels<Vec> levels(all(0.0f));
    for (int first = 0; first < pixels; first += kChain) {
      Vec own = all(0.0f);
      const int last = least(first + kChain, pixels);
      for (int pixel = first; pixel < last; pixel++) own = own + loadSome(dy + static_cast<size_t>(pixel) * s.co + c, n);
      levels.add(own);
    }
    storeSome(sum + c, levels.total(), n);
  });
}

/** x dy dfilter dbias */
inline void conv3x3FilterGradient(const Call& call) {
  const Conv3x3 s(call, 4);
  const int tiles = s.tiles(), chains = (tiles + kTileChain - 1) / kTileChain;
  const size_t vWidth = wholeVectors(s.in), uWidth = wholeVectors(s.co);
  const size_t vStep = spread(kTileChain * vWidth), wStep = spread(panelFloats(kTileChain, s.co)), uStep = totalFloats(s);
  float* V = call.shared;
  float* W = V + kPoints * vStep;
  float* U = W + kPoints * wStep;
  float* higher = U + kPoints * uStep;
  for (int at = 0; at < chains; at++) {
    const int first = at * kTileChain, count = least(kTileChain, tiles - first);
    parallel(call, (count + kTilesShared - 1) / kTilesShared, [&](int piece, int) {
      const int from = piece * kTilesShared, some = least(kTilesShared, count - from);
      transformInput(s, first + from, some, call.in(0), s.in, s.doubled, V, vStep, from);
      transformGradient(s, first + from, some, call.in(1), from, count, W, wStep);
    });
    const bool ends = chains > kChain && ((at + 1) % kChain == 0 || at + 1 == chains);
    parallel(call, kPoints, [&](int k, int) {
      const Right right{W + k * wStep, kPanel, static_cast<size_t>(count) * kPanel};
      float* own = U + k * uStep;
      if (at % kChain == 0)
        multiplyOver<false>(s.in, s.co, count, V + k * vStep, vWidth, 1, right, own, uWidth);
      else
        multiplyOver<true>(s.in, s.co, count, V + k * vStep, vWidth, 1, right, own, uWidth);
      if (!ends) return;
      float* total = higher + k * uStep;
      const bool final = at + 1 == chains;
      for (size_t i = 0; i < s.in * uWidth; i += kLanes) {
        const Vec sum = at < kChain ? load(own + i) : load(total + i) + load(own + i);
        store((final ? own : total) + i, sum);
      }
    });
  }
  const size_t plane = static_cast<size_t>(s.in) * s.co;
  float* dfilter = call.out(2);
  parallel(call, s.in, [&](int row, int) {
    for (int c = 0; c < s.co; c += kLanes) {
      const int n = least(kLanes, s.co - c);
      Vec u[kPoints], half[18], g[9];
      for (int k = 0; k < kPoints; k++) u[k] = load(U + k * uStep + row * uWidth + c);
      for (int i = 0; i < 6; i++) filterTransposed(u + 6 * i, half + 3 * i, 1);
      for (int j = 0; j < 3; j++) filterTransposed(half + j, g + j, 3);
      for (int k = 0; k < 9; k++) storeSome(dfilter + k * plane + static_cast<size_t>(row) * s.co + c, g[k], n);
    }
  });
  sumPixels(call, s, call.in(1), call.out(3));
}
