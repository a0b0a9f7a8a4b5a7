// Winograd's transforms for 3x3 filters and tiles of 4x4 pixels, F(4x4, 3x3) (Lavin & Gray 2016): 36 products of matrices, one for each
// point of the 6x6 patch, in place of 144 for the pixels and taps of a tile.
//
// U: the filter's transform [36][in][out]. V: of the input [36][tiles][in]. W: of dy [36][tiles][out]. M = V U.

constexpr int kTile = 4;   // pixels of a tile's side
constexpr int kPatch = 6;  // pixels of the side of the input that it needs
constexpr int kPoints = kPatch * kPatch;
/** Spread of the 36 matrices in memory, in floats beyond their size, so that they do not share cache sets. */
constexpr int kSpread = 16;

// One-dimensional transforms of vectors `from[i * step]` to `to[k * apart]`.

inline LOCKSTEP_INLINED void inputTransform(const Vec* d, Vec* t, int step, int apart) {
  const Vec four = all(4), five = all(5), two = all(2);
  const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const Vec a = fnma(four, d2, d4), b = fnma(four, d1, d3), c = d4 - d2, e = two * (d3 - d1);
  t[0] = fma(four, d0, fnma(five, d2, d4));
  t[apart] = a + b;
  t[2 * apart] = a - b;
  t[3 * apart] = c + e;
  t[4 * apart] = c - e;
  t[5 * apart] = fma(four, d1, fnma(five, d3, d5));
}

inline LOCKSTEP_INLINED void outputTransform(const Vec* m, Vec* y, int step, int apart) {
  const Vec s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step];
  const Vec s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
  y[0] = m[0] + s1 + s2;
  y[apart] = fma(all(2), d2, d1);
  y[2 * apart] = fma(all(4), s2, s1);
  y[3 * apart] = fma(all(8), d2, d1) + m[5 * step];
}

/** The transpose of outputTransform. */
inline LOCKSTEP_INLINED void outputTransposed(const Vec* y, Vec* w, int step, int apart) {
  const Vec y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
  const Vec p = y0 + y2, q = y1 + y3;
  const Vec r = fma(all(4), y2, y0), s = fma(all(8), y3, all(2) * y1);
  w[0] = y0;
  w[apart] = p + q;
  w[2 * apart] = p - q;
  w[3 * apart] = r + s;
  w[4 * apart] = r - s;
  w[5 * apart] = y3;
}

inline LOCKSTEP_INLINED void filterTransform(const Vec* g, Vec* u, int step, int apart) {
  const Vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
  const Vec a = all(-1.0f / 6) * (g0 + g2), b = all(1.0f / 6) * g1;
  const Vec c = fma(all(1.0f / 6), g2, all(1.0f / 24) * g0), d = all(1.0f / 12) * g1;
  u[0] = all(0.25f) * g0;
  u[apart] = a - b;
  u[2 * apart] = a + b;
  u[3 * apart] = c + d;
  u[4 * apart] = c - d;
  u[5 * apart] = g2;
}

/** The transpose of filterTransform. */
inline LOCKSTEP_INLINED void filterTransposed(const Vec* u, Vec* g, int step, int apart) {
  const Vec s1 = u[step] + u[2 * step], d1 = u[2 * step] - u[step];
  const Vec s2 = u[3 * step] + u[4 * step], d2 = u[3 * step] - u[4 * step];
  const Vec third = all(-1.0f / 6) * s1;
  g[0] = fma(all(0.25f), u[0], fma(all(1.0f / 24), s2, third));
  g[apart] = fma(all(1.0f / 12), d2, all(1.0f / 6) * d1);
  g[2 * apart] = fma(all(1.0f / 6), s2, third) + u[5 * step];
}

/** A truth that is a type. */
template <bool kValue>
struct Flag {
  static constexpr bool value = kValue;
};

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
    for (int j = 0; j < 3; j++) filterTransform(g + j, half + j, 3, 3);
    for (int i = 0; i < 6; i++) filterTransform(half + 3 * i, u + 6 * i, 1, 1);
    for (int k = 0; k < kPoints; k++) store(to + k * step, u[k]);
  }
}
