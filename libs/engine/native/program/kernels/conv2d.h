// Convolutions of any size, NHWC, filter [kh, kw, in, co], and their gradients, as products: patches of the input are rows of the
// left-hand matrix. Places beyond the edge are zeros that are multiplied.

struct Conv {
  int n, h, w, in, kh, kw, strideH, strideW, padTop, padLeft, dilationH, dilationW, oh, ow, co;
  explicit Conv(const Call& call, int at)
      : n(call.i(at)), h(call.i(at + 1)), w(call.i(at + 2)), in(call.i(at + 3)), kh(call.i(at + 4)), kw(call.i(at + 5)),
        strideH(call.i(at + 6)), strideW(call.i(at + 7)), padTop(call.i(at + 8)), padLeft(call.i(at + 9)),
        dilationH(call.i(at + 10)), dilationW(call.i(at + 11)), oh(call.i(at + 12)), ow(call.i(at + 13)), co(call.i(at + 14)) {}
  /** Whether each pixel is by itself, so that images are matrices as they are. */
  bool isProduct() const {
    return kh == 1 && kw == 1 && strideH == 1 && strideW == 1 && padTop == 0 && padLeft == 0 && oh == h && ow == w;
  }
  int taps() const { return kh * kw; }
  int outputs() const { return n * oh * ow; }
  int inputs() const { return n * h * w; }
};

/** Pixels whose patches are made at once. */
constexpr int kPatches = 42;

/** Copies `count` floats, or writes zeros where `from` is null. */
inline void patchPart(float* to, const float* from, int count) {
  int i = 0;
  if (from == nullptr) {
    for (; i + kLanes <= count; i += kLanes) store(to + i, all(0.0f));
    for (; i < count; i++) to[i] = 0.0f;
    return;
  }
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  for (; i < count; i++) to[i] = from[i];
}

/** Patches [count][taps * in] of x for the output's pixels first .. first+count-1. */
inline void inputPatches(const Conv& s, const float* x, int first, int count, float* to) {
  for (int pixel = first; pixel < first + count; pixel++) {
    const int ox = pixel % s.ow, oy = pixel / s.ow % s.oh, image = pixel / (s.ow * s.oh);
    for (int ky = 0; ky < s.kh; ky++)
      for (int kx = 0; kx < s.kw; kx++) {
        const int y = oy * s.strideH - s.padTop + ky * s.dilationH, column = ox * s.strideW - s.padLeft + kx * s.dilationW;
        const bool inside = y >= 0 && y < s.h && column >= 0 && column < s.w;
        patchPart(to, inside ? x + ((static_cast<size_t>(image) * s.h + y) * s.w + column) * s.in : nullptr, s.in);
        to += s.in;
      }
  }
}

/** The tap that an output's place has for a pixel of the input: -1 where there is none. */
inline int placeOfTap(int pixel, int pad, int tap, int dilation, int stride, int outputs) {
  const int at = pixel + pad - tap * dilation;
  return at >= 0 && at % stride == 0 && at / stride < outputs ? at / stride : -1;
}

inline Right filterAsIs(const float* filter, int columns, int K, float* packed) {
  if (readAsIs(columns, false)) return {filter, static_cast<size_t>(columns), kPanel};
  packPanels(K, columns, filter, columns, 1, packed);
  return {packed, kPanel, static_cast<size_t>(K) * kPanel};
}

inline size_t spareFloats(int K, int rows, int columns) {
  return K > kChain * kChain ? alignedUp(static_cast<size_t>(rows) * columns) : 0;
}

inline Needs conv2dNeeds(const Call& call) {
  const Conv s(call, 4);
  const int K = s.taps() * s.in;
  const size_t patches = s.isProduct() ? 0 : alignedUp(static_cast<size_t>(kPatches) * K);
  return {patches + spareFloats(K, kPatches, s.co), readAsIs(s.co, false) ? 0 : panelFloats(K, s.co)};
}

/** x filter bias out */
inline void conv2d(const Call& call) {
  const Conv s(call, 4);
  const int K = s.taps() * s.in, pixels = s.outputs();
  const Right right = filterAsIs(call.in(1), s.co, K, call.shared);
  const bool isProduct = s.isProduct();
  parallel(call, (pixels + kPatches - 1) / kPatches, [&](int piece, int thread) {
    const int first = piece * kPatches, count = least(kPatches, pixels - first);
    float* own = call.own(thread);
    const float* a = call.in(0) + static_cast<size_t>(first) * s.in;
    if (!isProduct) {
      inputPatches(s, call.in(0), first, count, own);
      a = own;
    }
    float* spare = own + (isProduct ? 0 : alignedUp(static_cast<size_t>(kPatches) * K));
    product(count, s.co, K, a, 1, K, right, call.in(2), call.out(3) + static_cast<size_t>(first) * s.co, s.co, spare);
  });
}

inline Needs conv2dInputGradientNeeds(const Call& call) {
  const Conv s(call, 4);
  const int K = s.taps() * s.co;
  const size_t patches = s.isProduct() ? 0 : alignedUp(static_cast<size_t>(kPatches) * K);
  return {patches + spareFloats(K, kPatches, s.in), panelFloats(K, s.in)};
}

/** The filter [kh, kw, in, co] as a right-hand matrix [kh * kw * co][in], in panels. */
inline void packTurned(const Conv& s, const float* filter, float* to) {
  for (int column = 0; column < s.in; column += kPanel) {
    const int n = least(kPanel, s.in - column);
    for (int tap = 0; tap < s.taps(); tap++)
      for (int o = 0; o < s.co; o++)
        for (int i = 0; i < kPanel; i++)
          *to++ = i < n ? filter[(static_cast<size_t>(tap) * s.in + column + i) * s.co + o] : 0.0f;
  }
}

/** Patches [count][taps * co] of dy for the input's pixels first .. first+count-1. */
inline void outputPatches(const Conv& s, const float* dy, int first, int count, float* to) {
  for (int pixel = first; pixel < first + count; pixel++) {
    const int x = pixel % s.w, y = pixel / s.w % s.h, image = pixel / (s.w * s.h);
    for (int ky = 0; ky < s.kh; ky++)
      for (int kx = 0; kx < s.kw; kx++) {
        const int oy = placeOfTap(y, s.padTop, ky, s.dilationH, s.strideH, s.oh);
        const int ox = placeOfTap(x, s.padLeft, kx, s.dilationW, s.strideW, s.ow);
        const bool inside = oy >= 0 && ox >= 0;
        patchPart(to, inside ? dy + ((static_cast<size_t>(image) * s.oh + oy) * s.ow + ox) * s.co : nullptr, s.co);
        to += s.co;
      }
  }
}

/** dy filter bias dx */
inline void conv2dInputGradient(const Call& call) {
  const Conv s(call, 4);
  const int K = s.taps() * s.co, pixels = s.inputs();
  packTurned(s, call.in(1), call.shared);
  const Right right{call.shared, kPanel, static_cast<size_t>(K) * kPanel};
  const bool isProduct = s.isProduct();
  parallel(call, (pixels + kPatches - 1) / kPatches, [&](int piece, int thread) {
    const int first = piece * kPatches, count = least(kPatches, pixels - first);
    float* own = call.own(thread);
    const float* a = call.in(0) + static_cast<size_t>(first) * s.co;
    if (!isProduct) {
      outputPatches(s, call.in(0), first, count, own);
      a = own;
    }
    float* spare = own + (isProduct ? 0 : alignedUp(static_cast<size_t>(kPatches) * K));
    product(count, s.in, K, a, 1, K, right, call.in(2), call.out(3) + static_cast<size_t>(first) * s.in, s.in, spare);
  });
}

inline Needs conv2dFilterGradientNeeds(const Call& call) {
  const Conv s(call, 3);
  const int rows = s.taps() * s.in;
  const size_t patches = s.isProduct() ? 0 : alignedUp(static_cast<size_t>(kChain) * rows);
  const size_t packed = readAsIs(s.co, false) ? 0 : panelFloats(kChain, s.co);
  return {0, patches + packed + spareFloats(s.outputs(), rows, s.co)};
}

/** x dy dfilter: the left-hand matrix is that of the patches, turned, a chain of pixels after the other. */
inline void conv2dFilterGradient(const Call& call) {
  const Conv s(call, 3);
  const int rows = s.taps() * s.in, pixels = s.outputs(), chains = (pixels + kChain - 1) / kChain;
  const bool isProduct = s.isProduct(), asIs = readAsIs(s.co, false), levels = chains > kChain;
  float* patches = call.shared;
  float* packed = patches + (isProduct ? 0 : alignedUp(static_cast<size_t>(kChain) * rows));
  float* spare = packed + (asIs ? 0 : panelFloats(kChain, s.co));
  float* out = call.out(2);
  const size_t size = static_cast<size_t>(rows) * s.co;
  constexpr int kTogether = 8;
  for (int at = 0; at < chains; at++) {
    const int first = at * kChain, length = least(kChain, pixels - first);
    const float* dy = call.in(1) + static_cast<size_t>(first) * s.co;
    const float* a = call.in(0) + static_cast<size_t>(first) * s.in;
    if (!isProduct) {
      parallel(call, (length + kTogether - 1) / kTogether, [&](int piece, int) {
        const int from = piece * kTogether;
        inputPatches(s, call.in(0), first + from, least(kTogether, length - from), patches + static_cast<size_t>(from) * rows);
      });
      a = patches;
    }
    if (!asIs) packPanels(length, s.co, dy, s.co, 1, packed);
    const Right right = asIs ? Right{dy, static_cast<size_t>(s.co), kPanel} : Right{packed, kPanel, static_cast<size_t>(length) * kPanel};
    parallel(call, (rows + kRowsShared - 1) / kRowsShared, [&](int piece, int) {
      const int row = piece * kRowsShared;
      multiplyInto(least(kRowsShared, rows - row), s.co, length, a + row, rows, 1, right,
                   {out + static_cast<size_t>(row) * s.co, static_cast<size_t>(s.co), at % kChain == 0, nullptr});
    });
    if (!levels || ((at + 1) % kChain != 0 && at + 1 < chains)) continue;
    for (size_t i = 0; i < size; i++) {
      const float sum = (at < kChain ? 0.0f : spare[i]) + out[i];
      (at + 1 == chains ? out : spare)[i] = sum;
    }
  }
}
