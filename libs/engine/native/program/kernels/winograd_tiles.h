// Winograd's transforms of whole tiles: images to V and W, M to images (winograd.h).

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
