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

/** Where a tile's pixels are, side x side from (row, column) on; those beyond the edge are at `zeros` (a pixel's channels). */
template <int kSide>
struct TilePixels {
  const float* at[kSide * kSide];

  /** `shift` is 1 where the images hold one pixel for each 2 x 2. Without branches, which tiles at edges would take each in another way. */
  __attribute__((noinline)) void find(const Images& s, const float* images, int channels, int image, int row, int column, int shift,
                                      const float* zeros) {
    const int height = s.h >> shift, width = s.w >> shift;
    const float* corner = images + static_cast<size_t>(image) * height * width * channels;
    size_t rows[kSide], columns[kSide];
    bool hasRow[kSide], hasColumn[kSide];
    for (int i = 0; i < kSide; i++) {
      hasRow[i] = static_cast<unsigned>(row + i) < static_cast<unsigned>(s.h);
      hasColumn[i] = static_cast<unsigned>(column + i) < static_cast<unsigned>(s.w);
      rows[i] = hasRow[i] ? static_cast<size_t>((row + i) >> shift) * width * channels : 0;
      columns[i] = hasColumn[i] ? static_cast<size_t>((column + i) >> shift) * channels : 0;
    }
    for (int i = 0; i < kSide; i++)
      for (int j = 0; j < kSide; j++) {
        const float* pixel = corner + rows[i] + columns[j];
        at[i * kSide + j] = (hasRow[i] & hasColumn[j]) != 0 ? pixel : zeros;
      }
  }
};

/** Whole vectors, or the `lanes` left at the end of the channels. */
template <bool kWhole>
inline Vec loadOf(const float* p, int lanes) {
  return kWhole ? load(p) : loadPart(p, lanes);
}
template <bool kWhole>
inline void storeOf(float* p, Vec a, int lanes) {
  if (kWhole)
    store(p, a);
  else
    storePart(p, a, lanes);
}

/** Calls each(c, lanes, whole) for vectors of channels; `whole` is a type. */
template <class F>
inline LOCKSTEP_INLINED void eachVector(int channels, const F& each) {
  int c = 0;
  for (; c + kLanes <= channels; c += kLanes) each(c, kLanes, Flag<true>{});
  if (c < channels) each(c, channels - c, Flag<false>{});
}

/** V [36][count][padded channels] of tiles first .. first+count-1 of x [n, h, w, channels]. */
inline void transformInput(const Images& s, int first, int count, const float* x, int channels, bool doubled, const float* zeros,
                           float* V) {
  const size_t width = padded(channels), step = spread(count * width);
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    TilePixels<kPatch> pixels;
    pixels.find(s, x, channels, place.image, place.row - 1, place.column - 1, doubled ? 1 : 0, zeros);
    eachVector(channels, [&](int c, int lanes, auto whole) LOCKSTEP_INLINED {
      float* to = V + tile * width + c;
      Vec half[kPoints];
      unrolled<kPatch>([&](auto j) LOCKSTEP_INLINED {
        Vec d[kPatch];
        unrolled<kPatch>([&](auto i) LOCKSTEP_INLINED {
          d[i.value] = loadOf<whole.value>(pixels.at[i.value * kPatch + j.value] + c, lanes);
        });
        inputTransform(d, half + j.value, 1, kPatch);
      });
      unrolled<kPatch>([&](auto i) LOCKSTEP_INLINED {
        Vec t[kPatch];
        inputTransform(half + i.value * kPatch, t, 1, 1);
        float* line = to + i.value * kPatch * step;
        unrolled<kPatch>([&](auto j) LOCKSTEP_INLINED { store(line + j.value * step, t[j.value]); });
      });
    });
  }
}

/** W [36][count][channels] = A dy A', in panels, of the tiles of dy, whose pixels beyond the edge are zeros. */
inline void transformGradient(const Images& s, int first, int count, const float* dy, int channels, const float* zeros, float* W) {
  const size_t step = spread(static_cast<size_t>(count) * padded(channels));
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    TilePixels<kTile> pixels;
    pixels.find(s, dy, channels, place.image, place.row, place.column, 0, zeros);
    eachVector(channels, [&](int c, int lanes, auto whole) LOCKSTEP_INLINED {
      float* to = W + inPanels(tile, c, count, padded(channels));
      Vec half[kPatch * kTile];
      unrolled<kTile>([&](auto j) LOCKSTEP_INLINED {
        Vec d[kTile];
        unrolled<kTile>([&](auto i) LOCKSTEP_INLINED {
          d[i.value] = loadOf<whole.value>(pixels.at[i.value * kTile + j.value] + c, lanes);
        });
        outputTransposed(d, half + j.value, 1, kTile);
      });
      unrolled<kPatch>([&](auto i) LOCKSTEP_INLINED {
        Vec t[kPatch];
        outputTransposed(half + i.value * kTile, t, 1, 1);
        float* line = to + i.value * kPatch * step;
        unrolled<kPatch>([&](auto j) LOCKSTEP_INLINED { store(line + j.value * step, t[j.value]); });
      });
    });
  }
}

/** The first half of a tile's output, [4][6], from M at `from`. */
inline LOCKSTEP_INLINED void outputColumns(const float* from, size_t step, Vec* half) {
  unrolled<kPatch>([&](auto j) LOCKSTEP_INLINED {
    Vec m[kPatch];
    unrolled<kPatch>([&](auto i) LOCKSTEP_INLINED { m[i.value] = load(from + (i.value * kPatch + j.value) * step); });
    outputTransform(m, half + j.value, 1, kPatch);
  });
}

/** What is added to an output, and where it goes. */
struct Output {
  const float *bias, *residual;
  float* y;
  int channels;
};

/** y of the tiles from M [36][count][padded channels]. */
inline void transformOutput(const Images& s, int first, int count, const float* M, const Output& to) {
  const size_t channels = to.channels, width = padded(to.channels), step = spread(count * width);
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    const int rows = least(kTile, s.h - place.row), columns = least(kTile, s.w - place.column);
    const size_t corner = ((static_cast<size_t>(place.image) * s.h + place.row) * s.w + place.column) * channels;
    eachVector(to.channels, [&](int c, int lanes, auto whole) LOCKSTEP_INLINED {
      Vec half[kTile * kPatch];
      outputColumns(M + tile * width + c, step, half);
      const Vec bias = to.bias == nullptr ? all(0.0f) : loadOf<whole.value>(to.bias + c, lanes);
      for (int i = 0; i < rows; i++) {
        const size_t line = corner + static_cast<size_t>(i) * s.w * channels + c;
        Vec out[kTile];
        outputTransform(half + i * kPatch, out, 1, 1);
        const auto finish = [&](int j) LOCKSTEP_INLINED {
          const size_t at = line + j * channels;
          Vec value = out[j];
          if (to.bias != nullptr) value = value + bias;
          if (to.residual != nullptr) value = value + loadOf<whole.value>(to.residual + at, lanes);
          storeOf<whole.value>(to.y + at, value, lanes);
        };
        finish(0);
        if (columns > 1) finish(1);
        if (columns > 2) finish(2);
        if (columns > 3) finish(3);
      }
    });
  }
}

/** The same where each two by two pixels become their sum, the transpose of `doubled`: y [n, h / 2, w / 2, channels]. */
inline void transformPooled(const Images& s, int first, int count, const float* M, int channels, float* y) {
  const size_t width = padded(channels), step = spread(count * width);
  for (int tile = 0; tile < count; tile++) {
    const TilePlace place(s, first + tile);
    const int rows = least(kTile, s.h - place.row), columns = least(kTile, s.w - place.column);
    const size_t corner =
        ((static_cast<size_t>(place.image) * (s.h / 2) + place.row / 2) * (s.w / 2) + place.column / 2) * channels;
    eachVector(channels, [&](int c, int lanes, auto whole) LOCKSTEP_INLINED {
      Vec half[kTile * kPatch];
      outputColumns(M + tile * width + c, step, half);
      for (int i = 0; i < rows; i += 2) {
        Vec upper[kTile], lower[kTile];
        outputTransform(half + i * kPatch, upper, 1, 1);
        outputTransform(half + (i + 1) * kPatch, lower, 1, 1);
        float* line = y + corner + static_cast<size_t>(i / 2) * (s.w / 2) * channels + c;
        storeOf<whole.value>(line, (upper[0] + upper[1]) + (lower[0] + lower[1]), lanes);
        if (columns > 2) storeOf<whole.value>(line + channels, (upper[2] + upper[3]) + (lower[2] + lower[3]), lanes);
      }
    });
  }
}
