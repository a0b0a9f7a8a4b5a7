// Convolutions as matrix products: a row of the left matrix is what a pixel sees through the filter, copied from where it lies.

/** Operands of conv2d and its gradients: n h w in, kh kw, strideH strideW, padTop padLeft, dilationH dilationW, oh ow co. */
struct ConvNumbers {
  int n, h, w, in, kh, kw, strideH, strideW, padTop, padLeft, dilationH, dilationW, oh, ow, co;

  ConvNumbers(const Call& call, int at)
      : n(call.i(at)), h(call.i(at + 1)), w(call.i(at + 2)), in(call.i(at + 3)), kh(call.i(at + 4)), kw(call.i(at + 5)),
        strideH(call.i(at + 6)), strideW(call.i(at + 7)), padTop(call.i(at + 8)), padLeft(call.i(at + 9)),
        dilationH(call.i(at + 10)), dilationW(call.i(at + 11)), oh(call.i(at + 12)), ow(call.i(at + 13)), co(call.i(at + 14)) {}

  int taps() const { return kh * kw; }
  int outputs() const { return n * oh * ow; }
  int64_t work() const { return static_cast<int64_t>(outputs()) * taps() * in * co; }
  /** Each output pixel is made of the input's pixel in its place. */
  bool pointwise() const {
    return kh == 1 && kw == 1 && strideH == 1 && strideW == 1 && padTop == 0 && padLeft == 0 && oh == h && ow == w;
  }
};

/** One axis of what pixels see: tap t of the pixel at p is place origin + p * stride + t * spacing of `limit` places, or zeros. */
struct Axis {
  int pixels, taps, limit, origin, stride, spacing;

  bool has(int place) const { return place >= 0 && place < limit; }
  /** The first of `count` pixels, stride apart from `place` on, that is at `bound` or beyond. */
  int until(int place, int bound, int count) const {
    return place >= bound ? 0 : least(count, (bound - place + stride - 1) / stride);
  }
};

/** Images [limit of y][limit of x][channels], seen by pixels through windows of y.taps x x.taps. */
struct Window {
  const float* images;
  Axis y, x;
  int channels;

  const float* row(int image, int place) const {
    return images + (static_cast<size_t>(image) * y.limit + place) * x.limit * channels;
  }
};

/** A pixel, counted through all images row by row. */
struct Pixel {
  int image, row, column;

  Pixel(const Window& s, int index) {
    const int line = index / s.x.pixels;
    image = line / s.y.pixels;
    row = line - image * s.y.pixels;
    column = index - line * s.x.pixels;
  }
  /** On by some pixels, at most to the row's end. */
  void move(const Window& s, int some) {
    column += some;
    if (column < s.x.pixels) return;
    column = 0;
    if (++row < s.y.pixels) return;
    row = 0;
    image++;
  }
};

/** A column of the left matrix. */
struct Tap {
  int ky, kx, channel;

  Tap(const Window& s, int column)
      : ky(column / (s.x.taps * s.channels)), kx(column / s.channels % s.x.taps), channel(column % s.channels) {}
};

/** `count` columns from `tap` on of the row of one pixel. */
inline void gatherPixel(const Window& s, const Pixel& pixel, Tap tap, int count, float* to) {
  const int left = s.x.origin + pixel.column * s.x.stride, line = s.x.taps * s.channels;
  // Then the places of all taps along x lie one after the other in memory.
  const bool oneRun = s.x.spacing == 1 && left >= 0 && left + s.x.taps <= s.x.limit;
  for (; count > 0; tap.ky++, tap.kx = 0, tap.channel = 0) {
    const int y = s.y.origin + pixel.row * s.y.stride + tap.ky * s.y.spacing, done = tap.kx * s.channels + tap.channel;
    if (!s.y.has(y) || oneRun) {
      const int some = least(count, line - done);
      if (oneRun && s.y.has(y))
        copyFloats(to, s.row(pixel.image, y) + left * s.channels + done, some);
      else
        clearFloats(to, some);
      to += some;
      count -= some;
      continue;
    }
    for (const float* row = s.row(pixel.image, y); tap.kx < s.x.taps && count > 0; tap.kx++, tap.channel = 0) {
      const int x = left + tap.kx * s.x.spacing, some = least(count, s.channels - tap.channel);
      if (s.x.has(x))
        copyFloats(to, row + static_cast<size_t>(x) * s.channels + tap.channel, some);
      else
        clearFloats(to, some);
      to += some;
      count -= some;
    }
  }
}

/** One column for pixels first .. first+count-1. */
inline void gatherColumn(const Window& s, int first, int count, const Tap& tap, float* to) {
  Pixel pixel(s, first);
  while (count > 0) {
    const int some = least(count, s.x.pixels - pixel.column);
    const int y = s.y.origin + pixel.row * s.y.stride + tap.ky * s.y.spacing;
    const int x = s.x.origin + pixel.column * s.x.stride + tap.kx * s.x.spacing;
    const int begin = s.y.has(y) ? s.x.until(x, 0, some) : some, end = most(begin, s.x.until(x, s.x.limit, some));
    clearFloats(to, begin);
    if (begin < end) {
      const size_t apart = static_cast<size_t>(s.x.stride) * s.channels;
      const float* from = s.row(pixel.image, y) + (x + begin * s.x.stride) * s.channels + tap.channel;
      for (int i = begin; i < end; i++, from += apart) to[i] = *from;
    }
    clearFloats(to + end, some - end);
    to += some;
    count -= some;
    pixel.move(s, some);
  }
}

/** Where gathered numbers lie: of one column those of consecutive pixels, or of one pixel those of consecutive columns. */
struct Gathered {
  const float* at;
  size_t perColumn, perPixel;
};

/** Columns begin .. finish-1 of the rows of pixels first .. first+count-1, counted through all images. */
inline Gathered gather(const Window& s, int first, int count, int begin, int finish, float* to) {
  const int width = finish - begin;
  if (width > 0 && s.channels < kLanes) {
    for (int column = begin; column < finish; column++)
      gatherColumn(s, first, count, Tap(s, column), to + static_cast<size_t>(column - begin) * count);
    return {to, static_cast<size_t>(count), 1};
  }
  if (width > 0) {
    const Tap tap(s, begin);
    Pixel pixel(s, first);
    for (int i = 0; i < count; i++, pixel.move(s, 1)) gatherPixel(s, pixel, tap, width, to + static_cast<size_t>(i) * width);
  }
  return {to, 1, static_cast<size_t>(width)};
}

/** What output pixels see of x. */
inline Window windowOfInput(const ConvNumbers& s, const float* x) {
  return {x,
          {s.oh, s.kh, s.h, -s.padTop, s.strideH, s.dilationH},
          {s.ow, s.kw, s.w, -s.padLeft, s.strideW, s.dilationW},
          s.in};
}
