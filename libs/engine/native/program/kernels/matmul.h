// Matrix products.

/** Rows of a piece of work, where the left matrix lies row by row, and where it lies transposed. */
constexpr int kRowsTile = 96;

/** Pieces of at most `most` rows, fewer where threads would have none; in whole register blocks. */
inline int pieceRows(int rows, int most, int pieces) {
  const int even = (rows + pieces - 1) / pieces;
  return least(most, (even + kRows - 1) / kRows * kRows);
}

struct MatmulShape {
  int batch, M, N, K;
  bool turnedA, turnedB;
  size_t strideA, strideB;
  int chains, rows, pieces, columns, spans;

  explicit MatmulShape(const Call& call)
      : batch(call.i(4)), M(call.i(5)), N(call.i(6)), K(call.i(7)), turnedA(call.i(8) != 0), turnedB(call.i(9) != 0),
        strideA(call.i(10)), strideB(call.i(11)), chains(chainsOf(K, kChain)) {
    const int wanted = 2 * call.pool->threads();
    rows = pieceRows(M, kRowsTile, batch >= wanted ? 1 : (wanted + batch - 1) / batch);
    pieces = (M + rows - 1) / rows;
    // Few rows: the columns are shared too.
    const int panels = (N + kPanel - 1) / kPanel, had = batch * pieces;
    spans = packsWhole() ? least(panels, had >= wanted ? 1 : (wanted + had - 1) / had) : 1;
    columns = (panels + spans - 1) / spans * kPanel;
    spans = (N + columns - 1) / columns;
  }

  /** One right matrix for all, packed once; else each piece packs a chain of it at a time. */
  bool packsWhole() const { return !turnedA && (strideB == 0 || batch == 1); }
  size_t packedFloats() const { return static_cast<size_t>(packsWhole() ? K : least(K, kChain)) * padded(N); }
  int64_t work() const { return static_cast<int64_t>(batch) * M * N * K; }
};

inline Needs matmulNeeds(const Call& call) {
  const MatmulShape s(call);
  const size_t tile = alignedUp(tileFloats(s.rows, least(s.columns, s.N), s.chains)), packed = s.packedFloats();
  return s.packsWhole() ? Needs{tile, packed} : Needs{tile + packed, 0};
}

inline void matmul(const Call& call) {
  const MatmulShape s(call);
  const float *a = call.in(0), *b = call.in(1), *bias = call.in(2);
  float* out = call.out(3);
  const size_t down = s.turnedB ? 1 : s.N, along = s.turnedB ? s.K : 1;
  const size_t step = s.turnedA ? s.M : 1, pitch = s.turnedA ? 1 : s.K;
  const bool whole = s.packsWhole();
  if (whole) {
    const int panels = (s.N + kPanel - 1) / kPanel;
    share(call, s.work(), panels, [&](int panel, int) {
      const int column = panel * kPanel;
      pack(b, down, along, 0, s.K, s.K, column, least(column + kPanel, s.N), s.N, call.shared);
    });
  }
  share(call, s.work(), s.batch * s.pieces * s.spans, [&](int index, int thread) {
    const int span = index % s.spans, piece = index / s.spans % s.pieces, matrix = index / s.spans / s.pieces;
    const int first = piece * s.rows, rows = least(s.rows, s.M - first);
    const int column = span * s.columns, columns = least(s.columns, s.N - column);
    float* own = call.own(thread);
    float* packed = own + alignedUp(tileFloats(s.rows, least(s.columns, s.N), s.chains));
    const float *left = a + matrix * s.strideA + first * pitch, *right = b + matrix * s.strideB;
    float* to = out + (static_cast<size_t>(matrix) * s.M + first) * s.N + column;
    productTile(
        rows, columns, s.chains,
        [&](int chain) {
          const int k = chain * kChain;
          return Left{left + k * step, step, pitch, least(kChain, s.K - k)};
        },
        [&](int chain) {
          const size_t k = static_cast<size_t>(chain) * kChain;
          if (whole) return Right{call.shared + static_cast<size_t>(column) * s.K, static_cast<size_t>(s.K), k};
          const int count = least(kChain, s.K - static_cast<int>(k));
          pack(right + k * down, down, along, 0, count, count, 0, s.N, s.N, packed);
          return Right{packed, static_cast<size_t>(count), 0};
        },
        bias == nullptr ? nullptr : bias + column, [&](int r) { return to + static_cast<size_t>(r) * s.N; }, s.N, own);
  });
}
