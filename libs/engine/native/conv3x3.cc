#include "conv3x3.h"

#include <algorithm>
#include <vector>

#include "vector.h"

namespace lockstep {
namespace {

constexpr int kTile = 4;    // pixels of a tile's side
constexpr int kPatch = 6;   // pixels of the side of the input that it needs
constexpr int kPoints = kPatch * kPatch;
/** Tiles transformed together: their V and M stay in the second-level cache, and U is read once for all of them. */
constexpr int kTilesForward = 24;
/** More of them for the filter's gradient, whose sums are read and written once for each group of tiles. */
constexpr int kTilesGradient = 48;
/** Rows of the register block of the matrix products: 6 x 2 vectors of sums, 2 of a row and 1 of a column fill the registers. */
constexpr int kRows = 6;
/** Columns of a panel of a right-hand matrix. */
constexpr int kPanel = 2 * kLanes;
/** Spread of the 36 matrices in memory, in floats beyond their size, so that they do not share cache sets. */
constexpr int kSpread = 16;

enum Slot { kU, kV, kM };

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
inline size_t stride(size_t size) { return size + kSpread; }

/**
 * Where column `column` (a multiple of 8) of row `row` lies in a right-hand matrix [rows][columns]: in panels of 16 columns,
 * one after another, so that the products read it from the first to the last byte.
 */
inline size_t inPanels(int row, int column, int rows, int columns) {
  const int panel = column / kPanel * kPanel;
  return static_cast<size_t>(panel) * rows + row * std::min(kPanel, columns - panel) + (column - panel);
}

/** U [36][in][out], in panels, of filter [3][3][in][out]. */
void transformFilter(const float* filter, int in, int out, float* U) {
  const size_t plane = static_cast<size_t>(in) * out;
  for (int row = 0; row < in; row++)
    for (int column = 0; column < out; column += kLanes) {
      const float* from = filter + static_cast<size_t>(row) * out + column;
      float* to = U + inPanels(row, column, in, out);
      Vec g[9], half[18], u[36];
      for (int k = 0; k < 9; k++) g[k] = load(from + k * plane);
      for (int j = 0; j < 3; j++) filterTransform(g + j, half + j, 3);
      for (int i = 0; i < 6; i++) filterTransform(half + 3 * i, u + 6 * i, 1);
      for (int k = 0; k < kPoints; k++) store(to + k * stride(plane), u[k]);
    }
}

/** The filter [3][3][out][in] that takes dy to dx: turned by half a circle, its channels exchanged. */
std::vector<float> turned(const float* filter, int in, int out) {
  std::vector<float> result(static_cast<size_t>(9) * in * out);
  for (int k = 0; k < 9; k++) {
    const float* from = filter + static_cast<size_t>(8 - k) * in * out;
    float* to = result.data() + static_cast<size_t>(k) * in * out;
    for (int i = 0; i < in; i++)
      for (int o = 0; o < out; o++) to[static_cast<size_t>(o) * in + i] = from[static_cast<size_t>(i) * out + o];
  }
  return result;
}

/** Tiles of all images, counted through. */
struct Tiles {
  int across, perImage, count;
  explicit Tiles(const ConvShape& s)
      : across((s.w + kTile - 1) / kTile), perImage((s.h + kTile - 1) / kTile * across), count(s.n * perImage) {}
};

struct Place {
  int image, row, column;  // of the tile's first pixel
};

inline Place placeOf(const Tiles& tiles, int index) {
  const int within = index % tiles.perImage;
  return {index / tiles.perImage, within / tiles.across * kTile, within % tiles.across * kTile};
}

/**
 * V [36][tiles][channels] of the tiles first .. first+count-1 of x [n, h, w, width]: of its channels from `channel` on.
 */
void transformInput(const ConvShape& s, const Tiles& tiles, int first, int count, const float* x, int width, int channel,
                    int channels, bool doubled, float* V) {
  static const float zeros[kLanes] = {};
  const size_t step = stride(static_cast<size_t>(count) * channels);
  const int rows = doubled ? s.h / 2 : s.h, columns = doubled ? s.w / 2 : s.w;
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(tiles, first + tile);
    const float* from[kPoints];
    for (int i = 0; i < kPatch; i++)
      for (int j = 0; j < kPatch; j++) {
        int row = place.row + i - 1, column = place.column + j - 1;
        const bool inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
        if (doubled) row >>= 1, column >>= 1;
        const size_t pixel = (static_cast<size_t>(place.image) * rows + row) * columns + column;
        from[i * kPatch + j] = inside ? x + pixel * width + channel : nullptr;
      }
    float* to = V + static_cast<size_t>(tile) * channels;
    for (int c = 0; c < channels; c += kLanes) {
      Vec half[kPoints];
      for (int j = 0; j < kPatch; j++) {
        Vec d[kPatch];
        for (int i = 0; i < kPatch; i++) {
          const float* pixel = from[i * kPatch + j];
          d[i] = load(pixel == nullptr ? zeros : pixel + c);
        }
        Vec t[kPatch];
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

/** W [36][tiles][out] = A dy A', in panels, of the tiles of dy, whose pixels beyond the edge are zeros. */
void transformGradient(const ConvShape& s, const Tiles& tiles, int first, int count, const float* dy, float* W) {
  const size_t step = stride(static_cast<size_t>(count) * s.out);
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(tiles, first + tile);
    for (int c = 0; c < s.out; c += kLanes) {
      float* to = W + inPanels(tile, c, count, s.out);
      Vec half[kPatch * kTile];
      for (int j = 0; j < kTile; j++) {
        Vec d[kTile], t[kPatch];
        for (int i = 0; i < kTile; i++) {
          const int row = place.row + i, column = place.column + j;
          const size_t pixel = (static_cast<size_t>(place.image) * s.h + row) * s.w + column;
          d[i] = row < s.h && column < s.w ? load(dy + pixel * s.out + c) : all(0.0f);
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

/** y of the tiles from M [36][tiles][channels]. `pooled` adds each two by two pixels up, the transpose of `doubled`. */
void transformOutput(const ConvShape& s, const Tiles& tiles, int first, int count, const float* M, int channels,
                     const float* bias, const float* residual, bool pooled, float* y) {
  const size_t step = stride(static_cast<size_t>(count) * channels);
  for (int tile = 0; tile < count; tile++) {
    const Place place = placeOf(tiles, first + tile);
    const float* from = M + static_cast<size_t>(tile) * channels;
    const int rows = std::min(kTile, s.h - place.row), columns = std::min(kTile, s.w - place.column);
    for (int c = 0; c < channels; c += kLanes) {
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
            store(y + pixel * channels + c, (corner[0] + corner[1]) + (corner[kTile] + corner[kTile + 1]));
          }
        continue;
      }
      const Vec b = bias == nullptr ? all(0.0f) : load(bias + c);
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
          const size_t at =
              ((static_cast<size_t>(place.image) * s.h + place.row + i) * s.w + place.column + j) * channels + c;
          Vec value = out[i * kTile + j] + b;
          if (residual != nullptr) value = value + load(residual + at);
          store(y + at, value);
        }
    }
  }
}

/**
 * C [R][N vectors] = or += sum over k of a[k * aStep + row * aRow] times b[k * N vectors]: the register block of both products.
 * The sum runs over k from the first to the last, always.
 */
template <int R, int N, bool kAdd>
inline __attribute__((always_inline)) void block(int K, const float* a, size_t aStep, size_t aRow, const float* b, float* C,
                                                 size_t cRow) {
  Vec sum[R][N];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v] = kAdd ? load(C + r * cRow + v * kLanes) : all(0.0f);
  for (int k = 0; k < K; k++) {
    Vec right[N];
    for (int v = 0; v < N; v++) right[v] = load(b + v * kLanes);
    for (int r = 0; r < R; r++) {
      const Vec left = all(a + r * aRow);
      for (int v = 0; v < N; v++) sum[r][v] = fma(left, right[v], sum[r][v]);
    }
    a += aStep;
    b += N * kLanes;
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) store(C + r * cRow + v * kLanes, sum[r][v]);
}

template <int N, bool kAdd>
void rowsOf(int rows, int K, const float* a, size_t aStep, size_t aRow, const float* b, float* C, size_t cRow) {
  // Blocks of even height: six rows and a rest of two would leave the multipliers idle during the rest.
  for (int blocks = (rows + kRows - 1) / kRows; blocks > 0; blocks--) {
    const int height = (rows + blocks - 1) / blocks;
    switch (height) {
      case 1: block<1, N, kAdd>(K, a, aStep, aRow, b, C, cRow); break;
      case 2: block<2, N, kAdd>(K, a, aStep, aRow, b, C, cRow); break;
      case 3: block<3, N, kAdd>(K, a, aStep, aRow, b, C, cRow); break;
      case 4: block<4, N, kAdd>(K, a, aStep, aRow, b, C, cRow); break;
      case 5: block<5, N, kAdd>(K, a, aStep, aRow, b, C, cRow); break;
      default: block<kRows, N, kAdd>(K, a, aStep, aRow, b, C, cRow);
    }
    rows -= height;
    a += height * aRow;
    C += height * cRow;
  }
}

/** C [rows][columns] = or += a b, with a's elements at a[k * aStep + row * aRow], b [K][columns] in panels. */
template <bool kAdd>
void multiply(int rows, int columns, int K, const float* a, size_t aStep, size_t aRow, const float* b, float* C) {
  for (int column = 0; column < columns; column += kPanel) {
    const float* panel = b + static_cast<size_t>(column) * K;
    if (column + kPanel <= columns)
      rowsOf<2, kAdd>(rows, K, a, aStep, aRow, panel, C + column, columns);
    else
      rowsOf<1, kAdd>(rows, K, a, aStep, aRow, panel, C + column, columns);
  }
}

void convolveWith(const ConvShape& s, const float* x, int in, int out, const float* filter, const float* bias,
                  const float* residual, bool doubled, bool pooled, float* y) {
  const Tiles tiles(s);
  const size_t uStep = stride(static_cast<size_t>(in) * out);
  float* U = scratch(kU, uStep * kPoints);
  transformFilter(filter, in, out, U);
  const int groups = (tiles.count + kTilesForward - 1) / kTilesForward;
  parallel(groups, [&](int group) {
    const int first = group * kTilesForward, count = std::min(kTilesForward, tiles.count - first);
    const size_t vStep = stride(static_cast<size_t>(count) * in), mStep = stride(static_cast<size_t>(count) * out);
    float* V = scratch(kV, vStep * kPoints);
    float* M = scratch(kM, mStep * kPoints);
    transformInput(s, tiles, first, count, x, in, 0, in, doubled, V);
    for (int k = 0; k < kPoints; k++)
      multiply<false>(count, out, in, V + k * vStep, 1, in, U + k * uStep, M + k * mStep);
    transformOutput(s, tiles, first, count, M, out, bias, residual, pooled, y);
  });
}

/** dfilter of the input's channels first .. first+channels-1. */
void filterGradientOf(const ConvShape& s, const float* x, const float* dy, int first, int channels, float* dfilter) {
  const Tiles tiles(s);
  const size_t uStep = stride(static_cast<size_t>(channels) * s.out);
  float* U = scratch(kU, uStep * kPoints);
  float* V = scratch(kV, stride(static_cast<size_t>(kTilesGradient) * channels) * kPoints);
  float* W = scratch(kM, stride(static_cast<size_t>(kTilesGradient) * s.out) * kPoints);
  for (int tile = 0; tile < tiles.count; tile += kTilesGradient) {
    const int count = std::min(kTilesGradient, tiles.count - tile);
    const size_t vStep = stride(static_cast<size_t>(count) * channels), wStep = stride(static_cast<size_t>(count) * s.out);
    transformInput(s, tiles, tile, count, x, s.in, first, channels, s.doubled, V);
    transformGradient(s, tiles, tile, count, dy, W);
    for (int k = 0; k < kPoints; k++) {
      const float *v = V + k * vStep, *w = W + k * wStep;
      if (tile == 0)
        multiply<false>(channels, s.out, count, v, channels, 1, w, U + k * uStep);
      else
        multiply<true>(channels, s.out, count, v, channels, 1, w, U + k * uStep);
    }
  }
  const size_t plane = static_cast<size_t>(s.in) * s.out, size = static_cast<size_t>(channels) * s.out;
  float* to = dfilter + static_cast<size_t>(first) * s.out;
  for (size_t at = 0; at < size; at += kLanes) {
    Vec u[36], half[18], g[9];
    for (int k = 0; k < kPoints; k++) u[k] = load(U + k * uStep + at);
    for (int i = 0; i < 6; i++) filterTransposed(u + 6 * i, half + 3 * i, 1);
    for (int j = 0; j < 3; j++) filterTransposed(half + j, g + j, 3);
    for (int k = 0; k < 9; k++) store(to + k * plane + at, g[k]);
  }
}

/** sum [out] of dy over images and pixels: an image's first, so that chains of additions stay short. */
void sumPixels(const ConvShape& s, const float* dy, float* sum) {
  const size_t pixels = static_cast<size_t>(s.h) * s.w;
  for (int c = 0; c < s.out; c += kLanes) {
    Vec total = all(0.0f);
    for (int image = 0; image < s.n; image++) {
      const float* from = dy + image * pixels * s.out + c;
      Vec own = all(0.0f);
      for (size_t pixel = 0; pixel < pixels; pixel++) own = own + load(from + pixel * s.out);
      total = total + own;
    }
    store(sum + c, total);
  }
}

}  // namespace

void convolve(const ConvShape& s, const float* x, const float* filter, const float* bias, const float* residual, float* y) {
  convolveWith(s, x, s.in, s.out, filter, bias, residual, s.doubled, false, y);
}

void inputGradient(const ConvShape& s, const float* dy, const float* filter, float* dx) {
  const std::vector<float> back = turned(filter, s.in, s.out);
  convolveWith(s, dy, s.out, s.in, back.data(), nullptr, nullptr, false, s.doubled, dx);
}

void filterGradient(const ConvShape& s, const float* x, const float* dy, float* dfilter, float* dbias) {
  // Each part has some of the input's channels, and so rows of U of its own; they share nothing but dy, which each transforms.
  const int vectors = s.in / kLanes, parts = std::min(threads(), vectors);
  parallel(parts, [&](int part) {
    const int first = part * vectors / parts * kLanes, last = (part + 1) * vectors / parts * kLanes;
    filterGradientOf(s, x, dy, first, last - first, dfilter);
    if (part == parts - 1) sumPixels(s, dy, dbias);
  });
}

}  // namespace lockstep
