// Gradients of convolutions by their input, which also are transposed convolutions.
//
// dx at (y, x) is a sum over (ky, kx, co) of dy at ((y + padTop - ky dilationH) / strideH, ...), where that is whole. Which taps meet
// whole places depends on y and x modulo the strides only, so pixels are done by these classes, and taps that never meet one are
// left out of the products: they count in the places of chains' borders alone.

struct InputGradientShape : ConvNumbers {
  /** Chains of the full sum over taps x co; rows of the largest class. */
  int chains, rows;

  explicit InputGradientShape(const Call& call) : ConvNumbers(call, 4), chains(chainsOf(static_cast<int64_t>(taps()) * co, kChain)) {
    const int largest = n * ((h + strideH - 1) / strideH) * ((w + strideW - 1) / strideW);
    rows = pieceRows(largest, kRowsTile, 2 * call.pool->threads());
  }
  size_t tile() const { return alignedUp(tileFloats(rows, in, chains)); }
  int longest() const { return least(taps() * co, kChain); }
};

inline Needs conv2dInputGradientNeeds(const Call& call) {
  const InputGradientShape s(call);
  const size_t gathered = s.pointwise() ? 0 : static_cast<size_t>(s.rows) * s.longest();
  return {s.tile() + gathered, static_cast<size_t>(s.taps()) * s.co * padded(s.in)};
}

/** Offsets along one axis that meet whole places, for pixels of one remainder. */
struct AxisTaps {
  int first, step, count;

  /** Offsets k with (remainder + pad - k dilation) divisible by stride; these are evenly spread. */
  AxisTaps(int remainder, int pad, int size, int stride, int dilation) : first(0), step(0), count(0) {
    for (int k = 0; k < size; k++) {
      if ((remainder + pad - k * dilation) % stride != 0) continue;
      if (count == 0) first = k;
      if (count == 1) step = k - first;
      count++;
    }
  }
  int at(int index) const { return first + index * step; }
};

/** Pixels (y, x) with y = remainderY and x = remainderX modulo the strides. */
struct PixelClass {
  int remainderY, remainderX, height, width;
  AxisTaps rows, columns;

  PixelClass(const ConvNumbers& s, int y, int x)
      : remainderY(y), remainderX(x), height((s.h - y + s.strideH - 1) / s.strideH),
        width((s.w - x + s.strideW - 1) / s.strideW), rows(y, s.padTop, s.kh, s.strideH, s.dilationH),
        columns(x, s.padLeft, s.kw, s.strideW, s.dilationW) {}

  int taps() const { return rows.count * columns.count; }
  /** Number of the class's tap among all taps. */
  int tap(const ConvNumbers& s, int index) const {
    return rows.at(index / columns.count) * s.kw + columns.at(index % columns.count);
  }
  /** Products before place `full` of the sum over all taps x co that are done. */
  int doneBefore(const ConvNumbers& s, int full) const {
    int done = 0;
    for (int index = 0; index < taps(); index++) done += most(0, least(s.co, full - tap(s, index) * s.co));
    return done;
  }
};

/** What the class's pixels see of dy. A tap's place moves by a whole number, for the taps left are those that meet whole places. */
inline Window windowOfGradient(const ConvNumbers& s, const PixelClass& own, const float* dy) {
  const int top = own.remainderY + s.padTop - own.rows.first * s.dilationH;
  const int left = own.remainderX + s.padLeft - own.columns.first * s.dilationW;
  return {dy,
          {own.height, own.rows.count, s.oh, top / s.strideH, 1, -own.rows.step * s.dilationH / s.strideH},
          {own.width, own.columns.count, s.ow, left / s.strideW, 1, -own.columns.step * s.dilationW / s.strideW},
          s.co};
}

inline void inputGradientOf(const Call& call, const InputGradientShape& s, const PixelClass& own) {
  const float *dy = call.in(0), *filter = call.in(1), *bias = call.in(2);
  float* dx = call.out(3);
  const int height = own.taps() * s.co, count = s.n * own.height * own.width, panels = (s.in + kPanel - 1) / kPanel;
  share(call, s.work(), panels, [&](int panel, int) {
    const int column = panel * kPanel;
    for (int index = 0; index < own.taps(); index++)
      pack(filter + static_cast<size_t>(own.tap(s, index)) * s.in * s.co, 1, s.co, index * s.co, s.co, height, column,
           least(column + kPanel, s.in), s.in, call.shared);
  });
  const bool even = s.strideH == 1 && s.strideW == 1;
  share(call, s.work(), (count + s.rows - 1) / s.rows, [&](int piece, int thread) {
    const int first = piece * s.rows, rows = least(s.rows, count - first);
    float *tile = call.own(thread), *gathered = tile + s.tile();
    productTile(
        rows, s.in, s.chains,
        [&](int chain) {
          const int begin = own.doneBefore(s, chain * kChain), finish = own.doneBefore(s, (chain + 1) * kChain);
          const int K = finish - begin;
          if (s.pointwise())
            return Left{dy + static_cast<size_t>(first) * s.co + begin, 1, static_cast<size_t>(s.co), K};
          const Gathered seen = gather(windowOfGradient(s, own, dy), first, rows, begin, finish, gathered);
          return Left{seen.at, seen.perColumn, seen.perPixel, K};
        },
        [&](int chain) {
          return Right{call.shared, static_cast<size_t>(height), static_cast<size_t>(own.doneBefore(s, chain * kChain))};
        },
        bias,
        [&](int r) {
          const int pixel = first + r, line = pixel / own.width, image = line / own.height;
          const int y = own.remainderY + (line - image * own.height) * s.strideH;
          const int x = own.remainderX + (pixel - line * own.width) * s.strideW;
          return dx + ((static_cast<size_t>(image) * s.h + y) * s.w + x) * s.in;
        },
        even ? s.in : 0, tile);
  });
}

inline void conv2dInputGradient(const Call& call) {
  const InputGradientShape s(call);
  for (int y = 0; y < least(s.strideH, s.h); y++)
    for (int x = 0; x < least(s.strideW, s.w); x++) inputGradientOf(call, s, PixelClass(s, y, x));
}
