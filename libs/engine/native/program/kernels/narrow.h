// Convolutions to very few channels, as at the end of a network: pixels, or the input's channels, lie in the lanes in place of the
// output's channels, most of which would be empty. The sums are those of conv2d.h, in the same order.

/** Output channels up to which these kernels are the quicker ones. */
constexpr int kFewChannels = 4;
/** Output rows of a piece of work. */
constexpr int kNarrowRows = 8;
/** Vectors of sums at once, of a row of pixels or of the input's channels. */
constexpr int kNarrowVectors = 4;

/** Sums of chains, a sum a lane. */
struct VectorLevels : Levels<Vec> {
  VectorLevels() : Levels(all(0.0f)) {}
};

/** The input's rows that a piece sees, channel by channel: [rows][in][width], with zeros beyond the edges. */
struct PlanarRows {
  int rows, channels, width;

  explicit PlanarRows(const ConvNumbers& s)
      : rows((least(kNarrowRows, s.oh) - 1) * s.strideH + (s.kh - 1) * s.dilationH + 1), channels(s.in),
        width(padded(s.ow) + (s.kw - 1) * s.dilationW) {}
  size_t floats() const { return static_cast<size_t>(rows) * channels * width; }

  /** Copies rows from `top` on of image x [h][w][in]; column j is the image's column j - padLeft. */
  void fill(const ConvNumbers& s, const float* x, int top, float* to) const {
    for (int row = 0; row < rows; row++, to += static_cast<size_t>(channels) * width) {
      const int y = top + row, count = y >= 0 && y < s.h ? most(0, least(s.w, width - s.padLeft)) : 0;
      for (int c = 0; c < channels; c++) {
        clearFloats(to + c * width, least(s.padLeft, width));
        if (s.padLeft + count < width) clearFloats(to + c * width + s.padLeft + count, width - s.padLeft - count);
      }
      if (count > 0) turn(x + static_cast<size_t>(y) * s.w * s.in, count, channels, channels, to + s.padLeft, width);
      if (count == 0) clearFloats(to, channels * width);
    }
  }
};

/** R output rows, V vectors of pixels of each from `planar` on, of output channel o: to [R][V]. */
template <int R, int V>
inline void narrowRows(const ConvNumbers& s, const PlanarRows& shape, const float* planar, const float* filter, int o,
                       Vec (&result)[R][V]) {
  Vec sum[R][V];
  VectorLevels levels[R][V];
  const size_t width = shape.width, apart = static_cast<size_t>(s.strideH) * s.in * width;
  const bool oneChain = s.taps() * s.in <= kChain;
  int left = kChain;
  const auto clear = [&] {
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) sum[r][v] = all(0.0f);
  };
  const auto finish = [&] {
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) levels[r][v].add(sum[r][v]);
  };
  clear();
  for (int tap = 0; tap < s.taps(); tap++) {
    const float* from = planar + (tap / s.kw) * s.dilationH * s.in * width + (tap % s.kw) * s.dilationW;
    const float* weight = filter + static_cast<size_t>(tap) * s.in * s.co + o;
    for (int c = 0; c < s.in;) {
      const int end = c + least(left, s.in - c);
      left -= end - c;
      for (; c < end; c++) {
        const Vec one = all(weight[static_cast<size_t>(c) * s.co]);
        for (int r = 0; r < R; r++)
          for (int v = 0; v < V; v++) sum[r][v] = fma(one, load(from + c * width + r * apart + v * kLanes), sum[r][v]);
      }
      if (left > 0 || oneChain) continue;
      finish();
      clear();
      left = kChain;
    }
  }
  if (!oneChain && left < kChain) finish();
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) result[r][v] = oneChain ? sum[r][v] : levels[r][v].total();
}

/** Stores lanes `apart` floats from each other. */
inline void storeApart(float* to, Vec a, int count, int apart) {
  if (apart == 1 && count == kLanes) return store(to, a);
  float lane[kLanes];
  store(lane, a);
  for (int i = 0; i < count; i++) to[static_cast<size_t>(i) * apart] = lane[i];
}

/** R rows of output from `row` on, V vectors from column on. */
template <int R, int V>
inline void narrowBlock(const ConvNumbers& s, const PlanarRows& shape, const float* planar, const float* filter, const float* bias,
                        int column, float* out) {
  for (int o = 0; o < s.co; o++) {
    Vec result[R][V];
    narrowRows<R, V>(s, shape, planar + column, filter, o, result);
    for (int r = 0; r < R; r++)
      for (int v = 0; v < V; v++) {
        const int at = column + v * kLanes;
        const Vec value = bias == nullptr ? result[r][v] : result[r][v] + all(bias[o]);
        storeApart(out + (static_cast<size_t>(r) * s.ow + at) * s.co + o, value, lanesAt(at, s.ow), s.co);
      }
  }
}

template <int R>
inline void narrowLine(const ConvNumbers& s, const PlanarRows& shape, const float* planar, const float* filter, const float* bias,
                       float* out) {
  const int vectors = padded(s.ow) / kLanes;
  int v = 0;
  for (; v + 4 <= vectors; v += 4) narrowBlock<R, 4>(s, shape, planar, filter, bias, v * kLanes, out);
  for (; v < vectors; v++) narrowBlock<R, 1>(s, shape, planar, filter, bias, v * kLanes, out);
}

inline void narrowConv2d(const Call& call, const ConvNumbers& s) {
  const PlanarRows shape(s);
  const int perImage = (s.oh + kNarrowRows - 1) / kNarrowRows;
  const float *filter = call.in(1), *bias = call.in(2);
  share(call, s.work(), s.n * perImage, [&](int piece, int thread) {
    const int image = piece / perImage, first = piece % perImage * kNarrowRows, end = least(first + kNarrowRows, s.oh);
    float* planar = call.own(thread);
    shape.fill(s, call.in(0) + static_cast<size_t>(image) * s.h * s.w * s.in, first * s.strideH - s.padTop, planar);
    for (int row = first; row < end;) {
      const float* from = planar + static_cast<size_t>(row - first) * s.strideH * s.in * shape.width;
      float* to = call.out(3) + (static_cast<size_t>(image) * s.oh + row) * s.ow * s.co;
      if (row + 2 <= end) {
        narrowLine<2>(s, shape, from, filter, bias, to);
        row += 2;
      } else {
        narrowLine<1>(s, shape, from, filter, bias, to);
        row++;
      }
    }
  });
}

/** sum += x dy over pixels first .. first+count-1, for V vectors of the input's channels from `channel` on, seen through one tap. */
template <int V>
inline void narrowChain(const Window& s, const float* dy, int co, int first, int count, const Tap& tap, int lanes, Vec (&sum)[V]) {
  Pixel pixel(s, first);
  dy += static_cast<size_t>(first) * co;
  while (count > 0) {
    const int some = least(count, s.x.pixels - pixel.column);
    const int y = s.y.origin + pixel.row * s.y.stride + tap.ky * s.y.spacing;
    const int x = s.x.origin + pixel.column * s.x.stride + tap.kx * s.x.spacing;
    const int begin = s.y.has(y) ? s.x.until(x, 0, some) : some, end = most(begin, s.x.until(x, s.x.limit, some));
    const auto nothing = [&](int from, int to) {
      for (int i = from; i < to; i++)
        for (int v = 0; v < V; v++) sum[v] = fma(all(0.0f), all(dy[static_cast<size_t>(i) * co]), sum[v]);
    };
    nothing(0, begin);
    if (begin < end) {
      const size_t apart = static_cast<size_t>(s.x.stride) * s.channels;
      const float* from = s.row(pixel.image, y) + static_cast<size_t>(x + begin * s.x.stride) * s.channels + tap.channel;
      for (int i = begin; i < end; i++, from += apart) {
        const Vec one = all(dy[static_cast<size_t>(i) * co]);
        for (int v = 0; v + 1 < V; v++) sum[v] = fma(load(from + v * kLanes), one, sum[v]);
        sum[V - 1] = fma(loadSome(from + (V - 1) * kLanes, lanes), one, sum[V - 1]);
      }
    }
    nothing(end, some);
    dy += static_cast<size_t>(some) * co;
    count -= some;
    pixel.move(s, some);
  }
}

/** dfilter of one tap and output channel for V vectors of the input's channels; the last of them has `lanes`. */
template <int V>
inline void narrowFilter(const ConvNumbers& s, const Window& window, const float* dy, const Tap& tap, int o, int lanes, float* to) {
  const int K = s.outputs();
  VectorLevels levels[V];
  Vec sum[V] = {};
  for (int first = 0; first < K; first += kChain) {
    for (int v = 0; v < V; v++) sum[v] = all(0.0f);
    narrowChain<V>(window, dy + o, s.co, first, least(kChain, K - first), tap, lanes, sum);
    for (int v = 0; v < V && K > kChain; v++) levels[v].add(sum[v]);
  }
  for (int v = 0; v < V; v++)
    storeApart(to + static_cast<size_t>(v) * kLanes * s.co, K > kChain ? levels[v].total() : sum[v], v + 1 < V ? kLanes : lanes, s.co);
}

inline void narrowFilterGradient(const Call& call, const ConvNumbers& s) {
  const Window window = windowOfInput(s, call.in(0));
  const int parts = (padded(s.in) / kLanes + kNarrowVectors - 1) / kNarrowVectors;
  share(call, s.work(), s.taps() * parts, [&](int piece, int) {
    const int index = piece / parts, channel = piece % parts * kNarrowVectors * kLanes;
    const int count = least(kNarrowVectors * kLanes, s.in - channel), vectors = padded(count) / kLanes;
    const int lanes = count - (vectors - 1) * kLanes;
    const Tap tap(window, index * s.in + channel);
    for (int o = 0; o < s.co; o++) {
      float* to = call.out(2) + (static_cast<size_t>(index) * s.in + channel) * s.co + o;
      if (vectors == 1) narrowFilter<1>(s, window, call.in(1), tap, o, lanes, to);
      if (vectors == 2) narrowFilter<2>(s, window, call.in(1), tap, o, lanes, to);
      if (vectors == 3) narrowFilter<3>(s, window, call.in(1), tap, o, lanes, to);
      if (vectors == 4) narrowFilter<4>(s, window, call.in(1), tap, o, lanes, to);
    }
  });
}
