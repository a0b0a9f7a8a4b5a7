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

/**
 * to [count][finish - begin] = columns begin .. finish-1 of rows [taps][channels] whose tap t is at place(row, t), or zeros
 * where that is null.
 */
template <class PlaceOf>
inline void gather(int count, int begin, int finish, int channels, const PlaceOf& place, float* to) {
  for (int row = 0; row < count; row++)
    for (int k = begin; k < finish;) {
      const int tap = k / channels, channel = k - tap * channels, some = least(channels - channel, finish - k);
      const float* from = place(row, tap);
      if (from == nullptr)
        clearFloats(to, some);
      else
        copyFloats(to, from + channel, some);
      to += some;
      k += some;
    }
}

/** Output pixels first .. first+count-1 and what each sees of x: columns begin .. finish-1 of [kh][kw][in]. */
inline void gatherInput(const ConvNumbers& s, const float* x, int first, int count, int begin, int finish, float* to) {
  int seen = -1, top = 0, left = 0;
  const float* image = nullptr;
  gather(
      count, begin, finish, s.in,
      [&](int row, int tap) -> const float* {
        if (row != seen) {
          const int pixel = first + row, line = pixel / s.ow;
          seen = row;
          left = (pixel - line * s.ow) * s.strideW - s.padLeft;
          top = line % s.oh * s.strideH - s.padTop;
          image = x + static_cast<size_t>(line / s.oh) * s.h * s.w * s.in;
        }
        const int ky = tap / s.kw, y = top + ky * s.dilationH, column = left + (tap - ky * s.kw) * s.dilationW;
        if (y < 0 || y >= s.h || column < 0 || column >= s.w) return nullptr;
        return image + (static_cast<size_t>(y) * s.w + column) * s.in;
      },
      to);
}
