// The register block of all matrix products: a few rows by two vectors of sums, which stay in registers while k runs.
//
// Right-hand matrices are packed in panels: kPanel columns, row after row, then the next kPanel columns; the last panel may be one
// vector wide. So a product reads them from the first to the last byte. Columns are padded with zeros to whole vectors.

/** Rows of the register block: so many x 2 sums, 2 vectors of a row and 1 of a column fill the registers. */
constexpr int kRows = kLanes == 16 ? 12 : 6;
/** Columns of a panel. */
constexpr int kPanel = 2 * kLanes;

/** Columns up to whole vectors. */
inline int padded(int columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

/** K rows of a left-hand matrix's transpose: element (row, k) at at[k * step + row * pitch]. */
struct Left {
  const float* at;
  size_t step, pitch;
  int K;
};

/** Panels of `height` rows; the product reads them from row `first` on. */
struct Right {
  const float* at;
  size_t height, first;

  const float* panel(int column, int width) const { return at + column * height + first * width; }
};

/** What becomes of a chain's sum s. */
enum class End {
  /** C = s */
  set,
  /** C = 0 + s, the first of several chains */
  first,
  /** C = C + s */
  add,
  /** C = s + bias */
  bias
};

template <int R, int N>
inline LOCKSTEP_INLINED void block(const Left& left, const float* a, const float* b, End end, const float* bias,
                                                 float* C, size_t pitch) {
  Vec sum[R * N];
  unrolled<R * N>([&](auto i) LOCKSTEP_INLINED { sum[i.value] = all(0.0f); });
  const size_t step = left.step, row = left.pitch;
  for (int k = left.K; k > 0; k--) {
    Vec right[N];
    unrolled<N>([&](auto v) LOCKSTEP_INLINED { right[v.value] = load(b + v.value * kLanes); });
    unrolled<R>([&](auto r) LOCKSTEP_INLINED {
      const Vec one = all(a[r.value * row]);
      unrolled<N>([&](auto v) LOCKSTEP_INLINED {
        constexpr int i = r.value * N + v.value;
        sum[i] = fma(one, right[v.value], sum[i]);
      });
    });
    a += step;
    b += N * kLanes;
  }
  const auto finish = [&](const auto& last) LOCKSTEP_INLINED {
    unrolled<R * N>([&](auto i) LOCKSTEP_INLINED {
      constexpr int v = i.value % N * kLanes;
      float* to = C + i.value / N * pitch + v;
      store(to, last(sum[i.value], to, v));
    });
  };
  switch (end) {
    case End::set: return finish([](Vec s, const float*, int) { return s; });
    case End::first: return finish([](Vec s, const float*, int) { return all(0.0f) + s; });
    case End::add: return finish([](Vec s, const float* to, int) { return load(to) + s; });
    case End::bias: return finish([bias](Vec s, const float*, int v) { return s + load(bias + v); });
  }
}

template <int R, int N>
inline void blockOf(int height, const Left& left, const float* a, const float* b, End end, const float* bias, float* C,
                    size_t pitch) {
  if (height == R) return block<R, N>(left, a, b, end, bias, C, pitch);
  if constexpr (R > 1) blockOf<R - 1, N>(height, left, a, b, end, bias, C, pitch);
}

template <int N>
inline void rowsOf(int rows, const Left& left, const float* b, End end, const float* bias, float* C, size_t pitch) {
  const float* a = left.at;
  // Blocks of even height: six rows and a rest of two would leave the multipliers idle during the rest.
  for (int blocks = (rows + kRows - 1) / kRows; blocks > 0; blocks--) {
    const int height = (rows + blocks - 1) / blocks;
    blockOf<kRows, N>(height, left, a, b, end, bias, C, pitch);
    rows -= height;
    a += height * left.pitch;
    C += height * pitch;
  }
}

/** C [rows][columns] = or += one chain of left times right; `columns` are whole vectors. */
inline void multiply(int rows, int columns, const Left& left, const Right& right, End end, const float* bias, float* C,
                     size_t pitch) {
  for (int column = 0; column < columns; column += kPanel) {
    const float* own = bias == nullptr ? nullptr : bias + column;
    if (column + kPanel <= columns)
      rowsOf<2>(rows, left, right.panel(column, kPanel), end, own, C + column, pitch);
    else
      rowsOf<1>(rows, left, right.panel(column, kLanes), end, own, C + column, pitch);
  }
}

/**
 * Packs rows first .. first+count-1 of panels of `height` rows: row first+k, column n is from[k * down + n * along], one of both
 * steps being 1; columns from `begin` (the first of a panel) to `finish`.
 */
inline void pack(const float* from, size_t down, size_t along, int first, int count, int height, int begin, int finish, int N,
                 float* to) {
  for (int column = begin; column < finish; column += kPanel) {
    const int width = least(kPanel, padded(N) - column), whole = least(width, N - column);
    float* panel = to + static_cast<size_t>(column) * height + static_cast<size_t>(first) * width;
    const float* source = from + column * along;
    if (along == 1) {
      for (int k = 0; k < count; k++, panel += width, source += down)
        for (int v = 0; v < width; v += kLanes)
          store(panel + v, v + kLanes <= whole ? load(source + v) : loadPart(source + v, whole - v));
      continue;
    }
    turn(source, whole, count, along, panel, width);
    for (int k = 0; k < count && whole < width; k++)
      for (int n = whole; n < width; n++) panel[static_cast<size_t>(k) * width + n] = 0.0f;
  }
}
