// The filter's gradient of a 3x3 convolution: for each of the 36 points a product V' W, whose k runs over tiles.

/** Tiles of a chain of multiply-adds. A group of so many is transformed at once: its V and W stay in the second-level cache. */
constexpr int kTileChain = 48;
/** Chains that threads do at once; a divisor of kChain. */
constexpr int kChainsTogether = 8;

struct Conv3x3FilterShape {
  Images images;
  int in, out, chains, together;
  bool doubled;

  explicit Conv3x3FilterShape(const Call& call)
      : images{call.i(4), call.i(5), call.i(6)}, in(call.i(7)), out(call.i(8)), chains(chainsOf(images.tiles(), kTileChain)),
        doubled(call.i(9) != 0) {
    const int threads = call.pool->threads();
    together = threads > 1 && chains >= 2 * threads ? kChainsTogether : 1;
  }
  int group() const { return least(kTileChain, images.tiles()); }
  size_t vStep() const { return spread(static_cast<size_t>(group()) * padded(in)); }
  size_t wStep() const { return spread(static_cast<size_t>(group()) * padded(out)); }
  /** Floats of U, all points. */
  size_t uSize() const { return kPoints * uStep(); }
  size_t uStep() const { return spread(static_cast<size_t>(in) * padded(out)); }
  int64_t work() const { return static_cast<int64_t>(images.tiles()) * kPoints * in * out; }
  /** U of each chain that is done at once, beside the sum's, where threads share them. */
  int slots() const { return together == 1 ? 0 : least(together, chains); }
};

inline Needs conv3x3FilterGradientNeeds(const Call& call) {
  const Conv3x3FilterShape s(call);
  return {kPoints * (s.vStep() + s.wStep()) + most(s.in, s.out), s.uSize() * (1 + higherLevels(s.chains) + s.slots())};
}

/** One chain of the sum over tiles, to or onto U, in the scratch of `thread`. each(count, piece) does its pieces, by one thread or by many. */
template <class Each>
inline void filterChain(const Call& call, const Conv3x3FilterShape& s, int chain, End end, int thread, float* U, const Each& each) {
  const int first = chain * kTileChain, count = least(kTileChain, s.images.tiles() - first);
  const size_t width = padded(s.in), columns = padded(s.out), vStep = spread(count * width), wStep = spread(count * columns);
  float *V = call.own(thread), *W = V + kPoints * s.vStep(), *zeros = W + kPoints * s.wStep();
  clearFloats(zeros, most(s.in, s.out));
  each(2, [&](int piece, int) {
    if (piece == 0)
      transformInput(s.images, first, count, call.in(0), s.in, s.doubled, zeros, V);
    else
      transformGradient(s.images, first, count, call.in(1), s.out, zeros, W);
  });
  each(kPoints, [&](int k, int) {
    const Left left{V + k * vStep, width, 1, count};
    const Right right{W + k * wStep, static_cast<size_t>(count), 0};
    multiply(s.in, static_cast<int>(columns), left, right, end, nullptr, U + k * s.uStep(), columns);
  });
}

/** dfilter of one input channel from U. */
inline void transformBack(const Conv3x3FilterShape& s, int row, const float* U, float* dfilter) {
  const size_t plane = static_cast<size_t>(s.in) * s.out;
  for (int c = 0; c < s.out; c += kLanes) {
    const float* from = U + static_cast<size_t>(row) * padded(s.out) + c;
    float* to = dfilter + static_cast<size_t>(row) * s.out + c;
    const int lanes = lanesAt(c, s.out);
    Vec u[36], half[18], g[9];
    for (int k = 0; k < kPoints; k++) u[k] = load(from + k * s.uStep());
    for (int i = 0; i < 6; i++) filterTransposed(u + 6 * i, half + 3 * i, 1, 1);
    for (int j = 0; j < 3; j++) filterTransposed(half + j, g + j, 3, 3);
    for (int k = 0; k < 9; k++) storeSome(to + k * plane, g[k], lanes);
  }
}

/** sum [channels] of rows of dy, by the rule of Levels; of the vector of channels at c. */
inline void sumPixels(const float* dy, int64_t pixels, int channels, int c, float* sum) {
  const int lanes = lanesAt(c, channels);
  Levels<Vec> levels(all(0.0f));
  for (int64_t first = 0; first < pixels; first += kChain) {
    Vec own = all(0.0f);
    const float* from = dy + first * channels + c;
    for (int64_t left = pixels - first < kChain ? pixels - first : kChain; left > 0; left--, from += channels)
      own = own + loadSome(from, lanes);
    levels.add(own);
  }
  storeSome(sum + c, levels.total(), lanes);
}

inline void conv3x3FilterGradient(const Call& call) {
  const Conv3x3FilterShape s(call);
  const size_t size = s.uSize();
  float *U = call.shared, *higher = U + size, *slots = higher + higherLevels(s.chains) * size;
  sumChains(s.chains, s.together, size, U, higher, [&](int first, int count, End end) {
    // Of few chains each is shared, of many each thread does its own.
    if (s.together == 1)
      return filterChain(call, s, first, end, 0, U, [&](int pieces, const auto& piece) { share(call, s.work(), pieces, piece); });
    share(call, s.work(), count, [&](int slot, int thread) {
      filterChain(call, s, first + slot, End::set, thread, slots + slot * size, [&](int pieces, const auto& piece) {
        for (int index = 0; index < pieces; index++) piece(index, thread);
      });
    });
    share(call, s.work(), kPoints, [&](int k, int) {
      const size_t at = k * s.uStep();
      for (int slot = 0; slot < count; slot++)
        addFloats(U + at, slots + slot * size + at, s.uStep(), slot == 0 && end == End::first);
    });
  });
  float* dfilter = call.out(2);
  const int rows = 8;
  share(call, s.work(), (s.in + rows - 1) / rows, [&](int piece, int) {
    for (int row = piece * rows; row < least(s.in, (piece + 1) * rows); row++) transformBack(s, row, U, dfilter);
  });
  float* dbias = call.out(3);
  if (dbias == nullptr) return;
  share(call, s.work(), padded(s.out) / kLanes, [&](int vector, int) {
    sumPixels(call.in(1), static_cast<int64_t>(s.images.n) * s.images.h * s.images.w, s.out, vector * kLanes, dbias);
  });
}
