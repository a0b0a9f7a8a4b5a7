// Winograd's transforms for 3x3 filters and tiles of 4x4 pixels, F(4x4, 3x3) (Lavin & Gray 2016): 36 products of matrices, one for each
// point of the 6x6 patch, in place of 144 for the pixels and taps of a tile.
//
// U: the filter's transform [36][in][out]. V: of the input [36][tiles][in]. W: of dy [36][tiles][out]. M = V U.

constexpr int kTile = 4;   // pixels of a tile's side
constexpr int kPatch = 6;  // pixels of the side of the input that it needs
constexpr int kPoints = kPatch * kPatch;
/** Spread of the 36 matrices in memory, in floats beyond their size, so that they do not share cache sets. */
constexpr int kSpread = 16;

// One-dimensional transforms of vectors `from[i * step]` to `to[k * step]`.

inline void inputTransform(const Vec* d, Vec* t, int step) {
  const Vec four = all(4), five = all(5), two = all(2);
  const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const Vec a = fnma(four, d2, d4), b = fnma(four, d1, d3), c = d4 - d2, e = two * (d3 - d1);
  t[0] = fma(four, d0, fnma(five, d2, d4));
  t[step] = a + b;
  t[2 * step] = a - b;
  t[3 * step] = c + e;
  t[4 * step] = c - e;
  t[5 * step] = fma(four, d1, fnma(five, d3, d5));
}

inline void outputTransform(const Vec* m, Vec* y, int step) {
  const Vec s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step];
  const Vec s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
  y[0] = m[0] + s1 + s2;
  y[step] = fma(all(2), d2, d1);
  y[2 * step] = fma(all(4), s2, s1);
  y[3 * step] = fma(all(8), d2, d1) + m[5 * step];
}

/** The transpose of outputTransform. */
inline void outputTransposed(const Vec* y, Vec* w, int step) {
  const Vec y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
  const Vec p = y0 + y2, q = y1 + y3;
  const Vec r = fma(all(4), y2, y0), s = fma(all(8), y3, all(2) * y1);
  w[0] = y0;
  w[step] = p + q;
  w[2 * step] = p - q;
  w[3 * step] = r + s;
  w[4 * step] = r - s;
  w[5 * step] = y3;
}

inline void filterTransform(const Vec* g, Vec* u, int step) {
  const Vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
  const Vec a = all(-1.0f / 6) * (g0 + g2), b = all(1.0f / 6) * g1;
  const Vec c = fma(all(1.0f / 6), g2, all(1.0f / 24) * g0), d = all(1.0f / 12) * g1;
  u[0] = all(0.25f) * g0;
  u[step] = a - b;
  u[2 * step] = a + b;
  u[3 * step] = c + d;
  u[4 * step] = c - d;
  u[5 * step] = g2;
}

/** The transpose of filterTransform. */
inline void filterTransposed(const Vec* u, Vec* g, int step) {
  const Vec s1 = u[step] + u[2 * step], d1 = u[2 * step] - u[step];
  const Vec s2 = u[3 * step] + u[4 * step], d2 = u[3 * step] - u[4 * step];
  const Vec third = all(-1.0f / 6) * s1;
  g[0] = fma(all(0.25f), u[0], fma(all(1.0f / 24), s2, third));
  g[step] = fma(all(1.0f / 12), d2, all(1.0f / 6) * d1);
  g[2 * step] = fma(all(1.0f / 6), s2, third) + u[5 * step];
}

/** Floats from one of the 36 matrices to the next. */
inline size_t spread(size_t size) { return size + kSpread; }

/** Images of h x w pixels, and which of them have channels stored: all, or (doubled) one for each 2 x 2. */
struct Images {
  int n, h, w;

  int across() const { return (w + kTile - 1) / kTile; }
  int perImage() const { return (h + kTile - 1) / kTile * across(); }
  int tiles() const { return n * perImage(); }
};

/** A tile's image and first pixel. */
struct TilePlace {
  int image, row, column;

  TilePlace(const Images& s, int index) {
    const int perImage = s.perImage(), across = s.across(), within = index % perImage;
    image = index / perImage;
    row = within / across * kTile;
    column = within % across * kTile;
  }
};

/** Where column `column` (a multiple of a vector) of row `row` lies in panels [rows][columns]; columns are whole vectors. */
inline size_t inPanels(int row, int column, int rows, int columns) {
  const int panel = column / kPanel * kPanel;
  return static_cast<size_t>(panel) * rows + static_cast<size_t>(row) * least(kPanel, columns - panel) + (column - panel);
}

/** U of one row (input channel) of a filter [3][3][in][out]. `turned`: of the filter turned by half a circle. */
inline void transformFilter(const float* filter, int in, int out, int row, bool turned, float* U) {
  const size_t plane = static_cast<size_t>(in) * out, step = spread(static_cast<size_t>(in) * padded(out));
  for (int column = 0; column < out; column += kLanes) {
    const float* from = filter + static_cast<size_t>(row) * out + column;
    float* to = U + inPanels(row, column, in, padded(out));
    const int lanes = lanesAt(column, out);
    Vec g[9], half[18], u[36];
    for (int k = 0; k < 9; k++) g[turned ? 8 - k : k] = loadSome(from + k * plane, lanes);
    for (int j = 0; j < 3; j++) filterTransform(g + j, half + j, 3);
    for (int i = 0; i < 6; i++) filterTransform(half + 3 * i, u + 6 * i, 1);
    for (int k = 0; k < kPoints; k++) store(to + k * step, u[k]);
  }
}

template <bool kWhole>
inline Vec some(const float* p, int lanes) {
  return kWhole ? load(p) : loadPart(p, lanes);
}

template <bool kWhole>
inline void inputPatch(const float* const* from, int channel, int lanes, float* to, size_t step) {
  Vec half[kPoints];
  for (int j = 0; j < kPatch; j++) {
    Vec d[kPatch], t[kPatch];
    for (int i = 0; i < kPatch; i++) {
      const float* pixel = from[i * kPatch + j];
      d[i] = pixel == nullptr ? all(0.0f) : some<kWhole>(pixel + channel, lanes);
    }
    inputTransform(d, t, 1);
    for (int i = 0; i < kPatch; i++) half[i * kPatch + j] = t[i];
  }
  for (int i = 0; i < kPatch; i++) {
    Vec t[kPatch];
    inputTransform(half + i * kPatch, t, 1);
    for (int j = 0; j < kPatch; j++) store(to + (i * kPatch + j) * step, t[j]);
  }
}

/** V [36][count][padded channels] of tiles first .. first+count-1 of x [n, h, w, channels]. */
inline void transformInput(const Images& s, int first, int count, const float* x, int channels, bool doubled, float* V) {
  const size_t width = padded(channels), step = spread(count * width);
  const int rows = doubled ? s.h / 2 : s.h, columns = doubled ? s.w / 2 : s.w;
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    const float* from[kPoints];
    for (int i = 0; i < kPatch; i++)
      for (int j = 0; j < kPatch; j++) {
        int row = place.row + i - 1, column = place.column + j - 1;
        const bool inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
        if (doubled) row >>= 1, column >>= 1;
        const size_t pixel = (static_cast<size_t>(place.image) * rows + row) * columns + column;
        from[i * kPatch + j] = inside ? x + pixel * channels : nullptr;
      }
    for (int c = 0; c < channels; c += kLanes) {
      const int lanes = lanesAt(c, channels);
      float* to = V + tile * width + c;
      if (lanes == kLanes)
        inputPatch<true>(from, c, lanes, to, step);
      else
        inputPatch<false>(from, c, lanes, to, step);
    }
  }
}

/** W [36][count][channels] = A dy A', in panels, of the tiles of dy, whose pixels beyond the edge are zeros. */
inline void transformGradient(const Images& s, int first, int count, const float* dy, int channels, float* W) {
  const size_t step = spread(static_cast<size_t>(count) * padded(channels));
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    const float* from = dy + ((static_cast<size_t>(place.image) * s.h + place.row) * s.w + place.column) * channels;
    for (int c = 0; c < channels; c += kLanes) {
      float* to = W + inPanels(tile, c, count, padded(channels));
      const int lanes = lanesAt(c, channels);
      Vec half[kPatch * kTile];
      for (int j = 0; j < kTile; j++) {
        Vec d[kTile], t[kPatch];
        for (int i = 0; i < kTile; i++) {
          const bool inside = place.row + i < s.h && place.column + j < s.w;
          d[i] = inside ? loadSome(from + (static_cast<size_t>(i) * s.w + j) * channels + c, lanes) : all(0.0f);
        }
        outputTransposed(d, t, 1);
        for (int i = 0; i < kPatch; i++) half[i * kTile + j] = t[i];
      }
      for (int i = 0; i < kPatch; i++) {
        Vec t[kPatch];
        outputTransposed(half + i * kTile, t, 1);
        for (int j = 0; j < kPatch; j++) store(to + (i * kPatch + j) * step, t[j]);
      }
    }
  }
}

/** y of the tiles from M [36][count][padded channels]. `pooled` adds each two by two pixels up, the transpose of `doubled`. */
inline void transformOutput(const Images& s, int first, int count, const float* M, int channels, const float* bias,
                            const float* residual, bool pooled, float* y) {
  const size_t width = padded(channels), step = spread(count * width);
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    const int rows = least(kTile, s.h - place.row), columns = least(kTile, s.w - place.column);
    for (int c = 0; c < channels; c += kLanes) {
      const float* from = M + tile * width + c;
      const int lanes = lanesAt(c, channels);
      Vec half[kTile * kPatch], out[kTile * kTile];
      for (int j = 0; j < kPatch; j++) {
        Vec m[kPatch], t[kTile];
        for (int i = 0; i < kPatch; i++) m[i] = load(from + (i * kPatch + j) * step);
        outputTransform(m, t, 1);
        for (int i = 0; i < kTile; i++) half[i * kPatch + j] = t[i];
      }
      for (int i = 0; i < kTile; i++) outputTransform(half + i * kPatch, out + i * kTile, 1);
      if (pooled) {
        for (int i = 0; i < rows; i += 2)
          for (int j = 0; j < columns; j += 2) {
            const Vec* corner = out + i * kTile + j;
            const size_t pixel = (static_cast<size_t>(place.image) * (s.h / 2) + (place.row + i) / 2) * (s.w / 2) + (place.column + j) / 2;
            storeSome(y + pixel * channels + c, (corner[0] + corner[1]) + (corner[kTile] + corner[kTile + 1]), lanes);
          }
        continue;
      }
      const Vec b = bias == nullptr ? all(0.0f) : loadSome(bias + c, lanes);
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
          const size_t at = ((static_cast<size_t>(place.image) * s.h + place.row + i) * s.w + place.column + j) * channels + c;
          Vec value = out[i * kTile + j];
          if (bias != nullptr) value = value + b;
          if (residual != nullptr) value = value + loadSome(residual + at, lanes);
          storeSome(y + at, value, lanes);
        }
    }
  }
}
