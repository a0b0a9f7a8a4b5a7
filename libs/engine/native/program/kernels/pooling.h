// Pooling over windows and its gradients, NHWC. Places beyond the edge do not count. Included inside the target's namespace.
//
// A window's places come in row-major order. The average is their sum, by the rule of sums, divided by their number. A pixel's gradient is
// one chain from 0 over the windows that hold it, in row-major order of the windows.
#pragma once

/** n h w c, kh kw, strideH strideW, padTop padLeft, oh ow. */
struct Pooling {
  int n, h, w, c, kh, kw, strideH, strideW, padTop, padLeft, oh, ow;

  Pooling(const Call& call, int from)
      : n(call.i(from)), h(call.i(from + 1)), w(call.i(from + 2)), c(call.i(from + 3)), kh(call.i(from + 4)), kw(call.i(from + 5)),
        strideH(call.i(from + 6)), strideW(call.i(from + 7)), padTop(call.i(from + 8)), padLeft(call.i(from + 9)),
        oh(call.i(from + 10)), ow(call.i(from + 11)) {}
  int64_t image() const { return static_cast<int64_t>(h) * w * c; }
  int64_t pooled() const { return static_cast<int64_t>(oh) * ow * c; }
};

/** A window's places within the image: rows top .. bottom-1, columns left .. right-1. */
struct Window {
  int top, bottom, left, right;

  Window(const Pooling& s, int y, int x) {
    const int row = y * s.strideH - s.padTop, column = x * s.strideW - s.padLeft;
    top = most(row, 0);
    left = most(column, 0);
    bottom = most(least(row + s.kh, s.h), top);
    right = most(least(column + s.kw, s.w), left);
  }
  int places() const { return (bottom - top) * (right - left); }

  /** Calls each(offset, place) for the places, place being their number; offsets in cells of the image. */
  template <class F>
  void each(const Pooling& s, const F& f) const {
    int place = 0;
    for (int y = top; y < bottom; y++)
      for (int x = left; x < right; x++) f((static_cast<int64_t>(y) * s.w + x) * s.c, place++);
  }
};

/** Calls each(window, at) for all windows of an image, at being the window's first cell in what is pooled. */
template <class F>
inline void eachWindow(const Pooling& s, const F& each) {
  int64_t at = 0;
  for (int y = 0; y < s.oh; y++)
    for (int x = 0; x < s.ow; x++, at += s.c) each(Window(s, y, x), at);
}

/** x out, the numbers. The first largest, a NaN where there is one; -infinity for a window without places. */
inline void maxPool(const Call& call) {
  const Pooling s(call, 2);
  const float* x = call.in(0);
  float* out = call.out(1);
  parallel(call, s.n, [&](int i, int) {
    const float* image = x + i * s.image();
    float* to = out + i * s.pooled();
    eachWindow(s, [&](const Window& window, int64_t at) {
      eachLanes(s.c, [&](int64_t c, int n) {
        Vec most = all(-__builtin_inff());
        window.each(s, [&](int64_t place, int) { most = Maximum::of(loadSome(image + place + c, n), most); });
        storeSome(to + at + c, most, n);
      });
    });
  });
}

inline void avgPool(const Call& call) {
  const Pooling s(call, 2);
  const float* x = call.in(0);
  float* out = call.out(1);
  parallel(call, s.n, [&](int i, int) {
    const float* image = x + i * s.image();
    float* to = out + i * s.pooled();
    eachWindow(s, [&](const Window& window, int64_t at) {
      const int places = window.places();
      eachLanes(s.c, [&](int64_t c, int n) {
        Vec chain = all(0.0f);
        if (places <= kChain) {
          window.each(s, [&](int64_t place, int) { chain = chain + loadSome(image + place + c, n); });
        } else {
          Levels<Vec> levels;
          window.each(s, [&](int64_t place, int number) {
            if (number % kChain == 0 && number > 0) levels.add(chain), chain = all(0.0f);
            chain = chain + loadSome(image + place + c, n);
          });
          levels.add(chain);
          chain = levels.total();
        }
        storeSome(to + at + c, chain / all(static_cast<float>(places)), n);
      });
    });
  });
}

/** x dy dx, the numbers: dy goes to the first largest of its window (the first NaN, where there is one). */
inline void maxPoolGradient(const Call& call) {
  const Pooling s(call, 3);
  const float *x = call.in(0), *dy = call.in(1);
  float* dx = call.out(2);
  parallel(call, s.n, [&](int i, int) {
    const float *image = x + i * s.image(), *from = dy + i * s.pooled();
    float* to = dx + i * s.image();
    for (int64_t k = 0; k < s.image(); k++) to[k] = 0;
    eachWindow(s, [&](const Window& window, int64_t at) {
      eachLanes(s.c, [&](int64_t c, int n) {
        // The place's number as a float, which is exact.
        Vec most = all(0.0f), first = all(0.0f);
        window.each(s, [&](int64_t place, int number) {
          const Vec v = loadSome(image + place + c, n);
          if (number == 0) {
            most = v;
            return;
          }
          // More than the largest so far, or a NaN where there is none yet.
          const Vec isMore = select(equal(most, most), select(less(most, v), all(1.0f), select(equal(v, v), all(0.0f), all(1.0f))), all(0.0f));
          const Mask more = equal(isMore, all(1.0f));
          most = select(more, v, most);
          first = select(more, all(static_cast<float>(number)), first);
        });
        const Vec gradient = loadSome(from + at + c, n);
        window.each(s, [&](int64_t place, int number) {
          float* p = to + place + c;
          storeSome(p, loadSome(p, n) + select(equal(first, all(static_cast<float>(number))), gradient, all(0.0f)), n);
        });
      });
    });
  });
}

/** dy dx, the numbers. */
inline void avgPoolGradient(const Call& call) {
  const Pooling s(call, 2);
  const float* dy = call.in(0);
  float* dx = call.out(1);
  parallel(call, s.n, [&](int i, int) {
    const float* from = dy + i * s.pooled();
    float* to = dx + i * s.image();
    for (int64_t k = 0; k < s.image(); k++) to[k] = 0;
    eachWindow(s, [&](const Window& window, int64_t at) {
      const Vec places = all(static_cast<float>(window.places()));
      eachLanes(s.c, [&](int64_t c, int n) {
        const Vec share = loadSome(from + at + c, n) / places;
        window.each(s, [&](int64_t place, int) {
          float* p = to + place + c;
          storeSome(p, loadSome(p, n) + share, n);
        });
      });
    });
  });
}
