// Products of matrices: the register block that all dense kernels share, and the instruction matmul.
//
// The rule: each element is a sum over k, in chains of kChain fused multiply-adds from 0, in the order of k. The chains' sums are added
// to 0 in their order (more than kChain of them by the rule of common.h). Then comes the bias.

/** Rows of the register block: with two vectors of columns, its sums, a row's two vectors and a column's number fill the registers. */
constexpr int kRows = kLanes >= 16 ? 14 : 6;
/** Vectors of columns in the register block. */
constexpr int kColumns = 2;
constexpr int kPanel = kColumns * kLanes;
/** Rows that a thread takes at once. */
constexpr int kRowsShared = 84;

/** b's columns as whole vectors: its rows are `step` floats apart, and can be read to the end of the last vector. */
struct Right {
  const float* b;
  size_t step;
  /** Floats from one panel of kPanel columns to the next. */
  size_t panel;
};

/** Where sums go: c = (first ? 0 : c) + sum, and + bias with the last chain. */
struct Into {
  float* c;
  size_t row;
  bool first;
  const float* bias;
};

template <int R, int N>
inline __attribute__((always_inline)) void chain(int K, const float* a, size_t aStep, size_t aRow, const float* b, size_t bStep,
                                                 Vec (&sum)[R][N]) {
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) sum[r][v] = all(0.0f);
  for (int k = 0; k < K; k++) {
    Vec right[N];
    for (int v = 0; v < N; v++) right[v] = load(b + v * kLanes);
    for (int r = 0; r < R; r++) {
      const Vec left = all(a[r * aRow]);
      for (int v = 0; v < N; v++) sum[r][v] = fma(left, right[v], sum[r][v]);
    }
    a += aStep;
    b += bStep;
  }
}

/** `columns`: of the block, at most N vectors. */
template <int R, int N>
void blockInto(int K, const float* a, size_t aStep, size_t aRow, const float* b, size_t bStep, const Into& into, int columns) {
  Vec sum[R][N];
  chain<R, N>(K, a, aStep, aRow, b, bStep, sum);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) {
      const int n = least(kLanes, columns - v * kLanes);
      float* c = into.c + r * into.row + v * kLanes;
      Vec value = (into.first ? all(0.0f) : loadSome(c, n)) + sum[r][v];
      if (into.bias != nullptr) value = value + loadSome(into.bias + v * kLanes, n);
      storeSome(c, value, n);
    }
}

/** The same for a block of scratch, whose rows are whole vectors: c = sum, or c + sum. */
template <int R, int N, bool kAdds>
void blockOver(int K, const float* a, size_t aStep, size_t aRow, const float* b, size_t bStep, float* c, size_t cRow) {
  Vec sum[R][N];
  chain<R, N>(K, a, aStep, aRow, b, bStep, sum);
  for (int r = 0; r < R; r++)
    for (int v = 0; v < N; v++) {
      float* at = c + r * cRow + v * kLanes;
      store(at, kAdds ? load(at) + sum[r][v] : sum[r][v]);
    }
}

/** Calls each<R>(first) for blocks of rows of nearly equal height: a rest of two rows would leave the multipliers idle. */
template <class F>
inline void rowBlocks(int rows, const F& each) {
  int first = 0;
  for (int blocks = (rows + kRows - 1) / kRows; blocks > 0; blocks--) {
    const int height = (rows - first + blocks - 1) / blocks;
    each(first, height);
    first += height;
  }
}

/** Calls F::run<height>(...) for a height that is known when it runs alone. */
template <class F, class... Arguments>
inline void withHeight(int height, const Arguments&... arguments) {
  switch (height) {
    case 1: F::template run<1>(arguments...); break;
    case 2: F::template run<2>(arguments...); break;
    case 3: F::template run<3>(arguments...); break;
    case 4: F::template run<4>(arguments...); break;
    case 5: F::template run<5>(arguments...); break;
    case 6: F::template run<6>(arguments...); break;
    default:
      if constexpr (kRows > 6) switch (height) {
          case 7: F::template run<7>(arguments...); break;
          case 8: F::template run<8>(arguments...); break;
          case 9: F::template run<9>(arguments...); break;
          case 10: F::template run<10>(arguments...); break;
          case 11: F::template run<11>(arguments...); break;
          case 12: F::template run<12>(arguments...); break;
          case 13: F::template run<13>(arguments...); break;
          default: F::template run<14>(arguments...);
        }
  }
}

struct RunInto {
  template <int R>
  static void run(int K, const float* a, size_t aStep, size_t aRow, const float* b, size_t bStep, const Into& into, int columns) {
    if (columns > kLanes)
      blockInto<R, kColumns>(K, a, aStep, aRow, b, bStep, into, columns);
    else
      blockInto<R, 1>(K, a, aStep, aRow, b, bStep, into, columns);
  }
};

template <bool kAdds>
struct RunOver {
  template <int R>
  static void run(int K, const float* a, size_t aStep, size_t aRow, const float* b, size_t bStep, float* c, size_t cRow, int vectors) {
    if (vectors > 1)
      blockOver<R, kColumns, kAdds>(K, a, aStep, aRow, b, bStep, c, cRow);
    else
      blockOver<R, 1, kAdds>(K, a, aStep, aRow, b, bStep, c, cRow);
  }
};

/** One chain's part of a product: K is at most kChain. a's elements lie at a[k * aStep + row * aRow]. */
inline void multiplyInto(int rows, int columns, int K, const float* a, size_t aStep, size_t aRow, const Right& right, const Into& into) {
  for (int column = 0; column < columns; column += kPanel) {
    const float* b = right.b + static_cast<size_t>(column / kPanel) * right.panel;
    rowBlocks(rows, [&](int first, int height) {
      const Into part{into.c + first * into.row + column, into.row, into.first, into.bias == nullptr ? nullptr : into.bias + column};
      withHeight<RunInto>(height, K, a + first * aRow, aStep, aRow, b, right.step, part, least(kPanel, columns - column));
    });
  }
}

/** The same in scratch, whose rows have whole vectors. */
template <bool kAdds>
inline void multiplyOver(int rows, int columns, int K, const float* a, size_t aStep, size_t aRow, const Right& right, float* c, size_t cRow) {
  for (int column = 0; column < columns; column += kPanel) {
    const float* b = right.b + static_cast<size_t>(column / kPanel) * right.panel;
    const int vectors = (least(kPanel, columns - column) + kLanes - 1) / kLanes;
    rowBlocks(rows, [&](int first, int height) {
      withHeight<RunOver<kAdds>>(height, K, a + first * aRow, aStep, aRow, b, right.step, c + first * cRow + column, cRow, vectors);
    });
  }
}

/**
 * A whole product for some rows and columns. `spare` [rows, columns] is needed where K is above kChain * kChain: what 256 chains
 * give is added up there.
 */
inline void product(int rows, int columns, int K, const float* a, size_t aStep, size_t aRow, const Right& right, const float* bias,
                    float* c, size_t cRow, float* spare) {
  const int chains = (K + kChain - 1) / kChain;
  const bool levels = chains > kChain;
  for (int at = 0; at < chains; at++) {
    const int first = at * kChain, length = least(kChain, K - first);
    const Right part{right.b + static_cast<size_t>(first) * right.step, right.step, right.panel};
    const bool last = at + 1 == chains && !levels;
    multiplyInto(rows, columns, length, a + first * aStep, aStep, aRow, part, {c, cRow, at % kChain == 0, last ? bias : nullptr});
    if (!levels || ((at + 1) % kChain != 0 && at + 1 < chains)) continue;
    const bool final = at + 1 == chains;
    for (int row = 0; row < rows; row++)
      for (int column = 0; column < columns; column += kLanes) {
        const int n = lanesAt(column, columns);
        float* sum = spare + static_cast<size_t>(row) * columns + column;
        float* own = c + row * cRow + column;
        Vec value = (at < kChain ? all(0.0f) : loadSome(sum, n)) + loadSome(own, n);
        if (!final) {
          storeSome(sum, value, n);
          continue;
        }
        if (bias != nullptr) value = value + loadSome(bias + column, n);
        storeSome(own, value, n);
      }
  }
}

inline size_t wholeVectors(int columns) { return static_cast<size_t>((columns + kLanes - 1) / kLanes) * kLanes; }
inline size_t panelFloats(int K, int columns) {
  return static_cast<size_t>((columns + kPanel - 1) / kPanel) * kPanel * static_cast<size_t>(K);
}

/** Puts a right-hand matrix with elements at b[k * bStep + column * bColumn] into panels [K][kPanel], zeros beyond the last column. */
inline void packPanels(int K, int columns, const float* b, size_t bStep, size_t bColumn, float* to) {
  for (int column = 0; column < columns; column += kPanel) {
    const int n = least(kPanel, columns - column);
    for (int k = 0; k < K; k++)
      for (int i = 0; i < kPanel; i++) *to++ = i < n ? b[k * bStep + (column + i) * bColumn] : 0.0f;
  }
}

/** Whether a right-hand matrix can be read where it is. */
inline bool readAsIs(int columns, bool turned) { return !turned && columns % kLanes == 0; }

inline Needs matmulNeeds(const Call& call) {
  const int M = call.i(5), N = call.i(6), K = call.i(7);
  const size_t packed = readAsIs(N, call.i(9) != 0) ? 0 : panelFloats(K, N);
  const size_t spare = K > kChain * kChain ? static_cast<size_t>(least(M, kRowsShared)) * N : 0;
  return {spare, packed};
}

/** a b bias out, batch M N K, transA transB, strideA strideB */
inline void matmul(const Call& call) {
  const int batch = call.i(4), M = call.i(5), N = call.i(6), K = call.i(7);
  const bool transA = call.i(8) != 0, transB = call.i(9) != 0;
  const float* bias = call.in(2);
  const size_t aStep = transA ? M : 1, aRow = transA ? 1 : K;
  const int pieces = (M + kRowsShared - 1) / kRowsShared;
  const bool asIs = readAsIs(N, transB);
  const bool oneRight = call.i(11) == 0;
  const auto rowsOf = [&](int item, const Right& right, int piece, int thread) {
    const int first = piece * kRowsShared, rows = least(kRowsShared, M - first);
    const float* a = call.in(0) + static_cast<size_t>(item) * call.i(10) + first * aRow;
    product(rows, N, K, a, aStep, aRow, right, bias, call.out(3) + (static_cast<size_t>(item) * M + first) * N, N, call.own(thread));
  };
  const auto rightOf = [&](int item) -> Right {
    const float* b = call.in(1) + static_cast<size_t>(item) * call.i(11);
    if (asIs) return {b, static_cast<size_t>(N), kPanel};
    packPanels(K, N, b, transB ? 1 : N, transB ? K : 1, call.shared);
    return {call.shared, kPanel, static_cast<size_t>(K) * kPanel};
  };
  if (asIs || oneRight) {
    const Right shared = asIs ? Right{} : rightOf(0);
    parallel(call, batch * pieces, [&](int index, int thread) {
      const int item = index / pieces;
      rowsOf(item, asIs ? rightOf(item) : shared, index % pieces, thread);
    });
    return;
  }
  for (int item = 0; item < batch; item++) {
    const Right right = rightOf(item);
    parallel(call, pieces, [&](int piece, int thread) { rowsOf(item, right, piece, thread); });
  }
}
