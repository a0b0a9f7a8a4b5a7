// Convolution with 3x3 filters, stride 1, zero padding 1, NHWC, and its gradients, by Winograd's F(4x4, 3x3): a quarter of the
// multiplications of the direct sum.
//
// A tile is 4x4 pixels of the output with the 6x6 of the input that they need; V = B'dB its transform (36 numbers a channel), U = GgG' a
// filter's, M = sum over input channels of U V by the rule of chains; the tile's output is A'MA, + bias, + residual. The filter's gradient is
// the transpose of that map: G'(sum over tiles of V times A dy A')G, in chains of kTileChain tiles, in the order of the tiles.

constexpr int kTile = 4;
constexpr int kPatch = 6;
constexpr int kPoints = kPatch * kPatch;
/** Tiles transformed together: their V and M stay in the second-level cache, and U is read once for all of them. */
constexpr int kTilesForward = 24;
/** Tiles of a chain of the filter's gradient, and transformed together. */
constexpr int kTileChain = 48;
/** Spread of the 36 matrices in memory, in floats beyond their size, so that they do not share cache sets. */
constexpr int kSpread = 16;

struct Conv3x3 {
  int n, h, w, in, co;
  bool doubled;
  explicit Conv3x3(const Call& call, int at)
      : n(call.i(at)), h(call.i(at + 1)), w(call.i(at + 2)), in(call.i(at + 3)), co(call.i(at + 4)), doubled(call.i(at + 5) != 0) {}
  int across() const { return (w + kTile - 1) / kTile; }
  int perImage() const { return (h + kTile - 1) / kTile * across(); }
  int tiles() const { return n * perImage(); }
};

struct Place {
  int image, row, column;  // of the tile's first pixel
};

inline Place placeOf(const Conv3x3& s, int index) {
  const int within = index % s.perImage();
  return {index / s.perImage(), within / s.across() * kTile, within % s.across() * kTile};
}

inline size_t spread(size_t floats) { return alignedUp(floats) + kSpread; }

/** Where a column (a multiple of kLanes) of a row lies in a right-hand matrix in panels. */
inline size_t inPanels(int row, int column, int rows) {
  return static_cast<size_t>(column / kPanel) * kPanel * rows + static_cast<size_t>(row) * kPanel + column % kPanel;
}

/** U [36][in] in panels of columns co, of filter [3, 3, in, co]; `turned`: of the filter that takes dy to dx, [36][co] of columns in. */
inline void transformFilter(const Call& call, const Conv3x3& s, const float* filter, bool turned, float* U) {
  const int rows = turned ? s.co : s.in, columns = turned ? s.in : s.co;
  const size_t step = spread(panelFloats(rows, columns)), plane = static_cast<size_t>(s.in) * s.co;
  parallel(call, rows, [&](int row, int) {
    for (int column = 0; column < columns; column += kLanes) {
      const int n = least(kLanes, columns - column);
      Vec g[9], half[18], u[kPoints];
      for (int k = 0; k < 9; k++) {
        if (!turned) {
          g[k] = loadSome(filter + k * plane + static_cast<size_t>(row) * s.co + column, n);
          continue;
        }
        // Turned by half a circle, its channels exchanged.
        float gathered[kLanes] = {};
        const float* from = filter + (8 - k) * plane + static_cast<size_t>(column) * s.co + row;
        for (int i = 0; i < n; i++) gathered[i] = from[static_cast<size_t>(i) * s.co];
        g[k] = load(gathered);
      }
      for (int j = 0; j < 3; j++) filterTransform(g + j, half + j, 3);
      for (int i = 0; i < 6; i++) filterTransform(half + 3 * i, u + 6 * i, 1);
      float* to = U + inPanels(row, column, rows);
      for (int k = 0; k < kPoints; k++) store(to + k * step, u[k]);
      // The last panel's other vector is multiplied too, if there is a row block for it: it must hold numbers.
      if (column + kLanes >= columns && column % kPanel == 0 && kColumns > 1)
        for (int k = 0; k < kPoints; k++) store(to + k * step + kLanes, all(0.0f));
    }
  });
}

/** V [36][count][wholeVectors(channels)] of the tiles first .. first+count-1 of x. */
inline void transformInput(const Conv3x3& s, int first, int count, const float* x, int channels, bool doubled, float* V, size_t step,
                           int tile0) {
  const int rows = doubled ? s.h / 2 : s.h, columns = doubled ? s.w / 2 : s.w;
  const size_t width = wholeVectors(channels);
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(s, first + tile);
    const float* from[kPoints];
    for (int i = 0; i < kPatch; i++)
      for (int j = 0; j < kPatch; j++) {
        int row = place.row + i - 1, column = place.column + j - 1;
        const bool inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
        if (doubled) row >>= 1, column >>= 1;
        from[i * kPatch + j] = inside ? x + ((static_cast<size_t>(place.image) * rows + row) * columns + column) * channels : nullptr;
      }
    float* to = V + static_cast<size_t>(tile0 + tile) * width;
    for (int c = 0; c < channels; c += kLanes) {
      const int n = least(kLanes, channels - c);
      Vec half[kPoints];
      for (int j = 0; j < kPatch; j++) {
        Vec d[kPatch], t[kPatch];
        for (int i = 0; i < kPatch; i++) {
          const float* pixel = from[i * kPatch + j];
          d[i] = pixel == nullptr ? all(0.0f) : loadSome(pixel + c, n);
        }
        inputTransform(d, t, 1);
        for (int i = 0; i < kPatch; i++) half[i * kPatch + j] = t[i];
      }
      for (int i = 0; i < kPatch; i++) {
        Vec t[kPatch];
        inputTransform(half + i * kPatch, t, 1);
        for (int j = 0; j < kPatch; j++) store(to + (i * kPatch + j) * step + c, t[j]);
      }
    }
  }
}

/** W [36][rows] in panels = A dy A' of tiles first .. first+count-1, which become the rows row0 ..; pixels beyond the edge are zeros. */
inline void transformGradient(const Conv3x3& s, int first, int count, const float* dy, int row0, int rows, float* W, size_t step) {
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(s, first + tile);
    for (int c = 0; c < s.co; c += kLanes) {
      const int n = least(kLanes, s.co - c);
      float* to = W + inPanels(row0 + tile, c, rows);
      Vec half[kPatch * kTile];
      for (int j = 0; j < kTile; j++) {
        Vec d[kTile], t[kPatch];
        for (int i = 0; i < kTile; i++) {
          const int row = place.row + i, column = place.column + j;
          const size_t pixel = (static_cast<size_t>(place.image) * s.h + row) * s.w + column;
          d[i] = row < s.h && column < s.w ? loadSome(dy + pixel * s.co + c, n) : all(0.0f);
        }
        outputTransposed(d, t, 1);
        for (int i = 0; i < kPatch; i++) half[i * kTile + j] = t[i];
      }
      for (int i = 0; i < kPatch; i++) {
        Vec t[kPatch];
        outputTransposed(half + i * kTile, t, 1);
        for (int j = 0; j < kPatch; j++) store(to + (i * kPatch + j) * step, t[j]);
      }
      if (c + kLanes >= s.co && c % kPanel == 0 && kColumns > 1)
        for (int k = 0; k < kPoints; k++) store(to + k * step + kLanes, all(0.0f));
    }
  }
}

/** y of the tiles from M [36][count][wholeVectors(channels)]. `pooled` adds each two by two pixels up, the transpose of `doubled`. */
inline void transformOutput(const Conv3x3& s, int first, int count, const float* M, size_t step, int channels, const float* bias,
                            const float* residual, bool pooled, float* y) {
  const size_t width = wholeVectors(channels);
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(s, first + tile);
    const float* from = M + static_cast<size_t>(tile) * width;
    const int rows = least(kTile, s.h - place.row), columns = least(kTile, s.w - place.column);
    for (int c = 0; c < channels; c += kLanes) {
      const int n = least(kLanes, channels - c);
      Vec half[kTile * kPatch], out[kTile * kTile];
      for (int j = 0; j < kPatch; j++) {
        Vec m[kPatch], t[kTile];
        for (int i = 0; i < kPatch; i++) m[i] = load(from + (i * kPatch + j) * step + c);
        outputTransform(m, t, 1);
        for (int i = 0; i < kTile; i++) half[i * kPatch + j] = t[i];
      }
      for (int i = 0; i < kTile; i++) outputTransform(half + i * kPatch, out + i * kTile, 1);
      if (pooled) {
        for (int i = 0; i < rows; i += 2)
          for (int j = 0; j < columns; j += 2) {
            const Vec* corner = out + i * kTile + j;
            const size_t pixel =
                (static_cast<size_t>(place.image) * (s.h / 2) + (place.row + i) / 2) * (s.w / 2) + (place.column + j) / 2;
            storeSome(y + pixel * channels + c, (corner[0] + corner[1]) + (corner[kTile] + corner[kTile + 1]), n);
          }
        continue;
      }
      const Vec b = bias == nullptr ? all(0.0f) : loadSome(bias + c, n);
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
          const size_t at = ((static_cast<size_t>(place.image) * s.h + place.row + i) * s.w + place.column + j) * channels + c;
          Vec value = out[i * kTile + j] + b;
          if (residual != nullptr) value = value + loadSome(residual + at, n);
          storeSome(y + at, value, n);
        }
    }
  }
}

/** Floats of U, and of a thread's V and M. */
inline Needs winogradNeeds(int from, int to) {
  const size_t V = spread(kTilesForward * wholeVectors(from)), M = spread(kTilesForward * wholeVectors(to));
  return {kPoints * (V + M), kPoints * spread(panelFloats(from, to))};
}

inline void winograd(const Call& call, const Conv3x3& s, const float* x, int from, int to, const float* U, const float* bias,
                     const float* residual, bool doubled, bool pooled, float* y) {
  const int tiles = s.tiles();
  const size_t uStep = spread(panelFloats(from, to)), vWidth = wholeVectors(from), mWidth = wholeVectors(to);
  const size_t vStep = spread(kTilesForward * vWidth), mStep = spread(kTilesForward * mWidth);
  parallel(call, (tiles + kTilesForward - 1) / kTilesForward, [&](int group, int thread) {
    const int first = group * kTilesForward, count = least(kTilesForward, tiles - first);
    float* V = call.own(thread);
    float* M = V + kPoints * vStep;
    transformInput(s, first, count, x, from, doubled, V, vStep, 0);
    for (int k = 0; k < kPoints; k++) {
      // One chain is the sum; the sums of more are added up.
      for (int at = 0; at < from; at += kChain) {
        const int length = least(kChain, from - at);
        const Right right{U + k * uStep + static_cast<size_t>(at) * kPanel, kPanel, static_cast<size_t>(from) * kPanel};
        if (at == 0)
          multiplyOver<false>(count, to, length, V + k * vStep, 1, vWidth, right, M + k * mStep, mWidth);
        else
          multiplyOver<true>(count, to, length, V + k * vStep + at, 1, vWidth, right, M + k * mStep, mWidth);
      }
    }
    transformOutput(s, first, count, M, mStep, to, bias, residual, pooled, y);
  });
}

inline Needs conv3x3Needs(const Call& call) {
  const Conv3x3 s(call, 5);
  return winogradNeeds(s.in, s.co);
}

/** x filter bias residual out */
inline void conv3x3(const Call& call) {
  const Conv3x3 s(call, 5);
  transformFilter(call, s, call.in(1), false, call.shared);
  winograd(call, s, call.in(0), s.in, s.co, call.shared, call.in(2), call.in(3), s.doubled, false, call.out(4));
}

inline Needs conv3x3InputGradientNeeds(const Call& call) {
  const Conv3x3 s(call, 3);
  return winogradNeeds(s.co, s.in);
}

/** dy filter dx */
inline void conv3x3InputGradient(const Call& call) {
  const Conv3x3 s(call, 3);
  transformFilter(call, s, call.in(1), true, call.shared);
  winograd(call, s, call.in(0), s.co, s.in, call.shared, nullptr, nullptr, false, s.doubled, call.out(2));
}
