// Walks over strided tensors: axes that can be one are made one, and the rows are shared out among the threads. Included inside
// the target's namespace.
#pragma once

/** Axes of an instruction that are left when neighbours are joined: twice what tfjs has, as a tile has two for one. */
constexpr int kMaxRank = 16;
/** Cells of which it pays to make a piece of work of its own. */
constexpr int64_t kPiece = 16384;

/** The axes of N operands that are walked together: strides in cells. */
template <int N>
struct Axes {
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t strides[N][kMaxRank] = {};

  /** Adds an axis inside of the others; one that goes on where the last one ends becomes a part of it. */
  void push(int64_t size, const int64_t (&steps)[N]) {
    if (size == 1) return;
    bool joins = rank > 0;
    for (int k = 0; k < N; k++) joins = joins && strides[k][rank - 1] == size * steps[k];
    if (joins)
      shape[rank - 1] *= size;
    else
      shape[rank++] = size;
    for (int k = 0; k < N; k++) strides[k][rank - 1] = steps[k];
  }

  int64_t cells() const {
    int64_t count = 1;
    for (int axis = 0; axis < rank; axis++) count *= shape[axis];
    return count;
  }
  /** Length and step of the innermost axis. */
  int64_t inner() const { return rank == 0 ? 1 : shape[rank - 1]; }
  int64_t step(int k) const { return rank == 0 ? 1 : strides[k][rank - 1]; }
};

/** A place in Axes: offsets of the operands, moved on row by row (a row: along the innermost axis). */
template <int N>
struct Cursor {
  int64_t index[kMaxRank] = {};
  int64_t at[N];

  /** The place of a cell, counted in row-major order over all axes but the innermost `skipped` ones. */
  Cursor(const Axes<N>& axes, int64_t number, int skipped) {
    for (int k = 0; k < N; k++) at[k] = 0;
    for (int axis = axes.rank - 1 - skipped; axis >= 0; axis--) {
      index[axis] = number % axes.shape[axis];
      number /= axes.shape[axis];
      for (int k = 0; k < N; k++) at[k] += index[axis] * axes.strides[k][axis];
    }
  }

  /** To the next cell over all axes but the innermost `skipped` ones. */
  void next(const Axes<N>& axes, int skipped) {
    for (int axis = axes.rank - 1 - skipped; axis >= 0; axis--) {
      for (int k = 0; k < N; k++) at[k] += axes.strides[k][axis];
      if (++index[axis] < axes.shape[axis]) return;
      for (int k = 0; k < N; k++) at[k] -= axes.shape[axis] * axes.strides[k][axis];
      index[axis] = 0;
    }
  }
};

/** Calls each(first, last, thread) for ranges of 0 .. items-1, an item being so many cells of work. */
template <class F>
inline void spread(const Call& call, int64_t items, int64_t cellsEach, const F& each) {
  if (items == 0) return;
  const int64_t together = cellsEach >= kPiece ? 1 : kPiece / (cellsEach < 1 ? 1 : cellsEach);
  const int64_t pieces = (items + together - 1) / together;
  parallel(call, static_cast<int>(pieces), [&](int piece, int thread) {
    const int64_t first = piece * together;
    each(first, first + together < items ? first + together : items, thread);
  });
}

/** Calls each(at, length) for every row, or for pieces of rows where they are long; at[k] is the offset of operand k. */
template <int N, class F>
inline void eachRow(const Call& call, const Axes<N>& axes, const F& each) {
  const int64_t cells = axes.cells(), inner = axes.inner();
  if (cells == 0) return;
  if (inner >= 2 * kPiece) {
    const int64_t chunks = (inner + kPiece - 1) / kPiece;
    parallel(call, static_cast<int>(cells / inner * chunks), [&](int piece, int) {
      Cursor<N> cursor(axes, piece / chunks, 1);
      const int64_t first = piece % chunks * kPiece;
      for (int k = 0; k < N; k++) cursor.at[k] += first * axes.step(k);
      each(cursor.at, inner - first < kPiece ? inner - first : kPiece);
    });
    return;
  }
  spread(call, cells / inner, inner, [&](int64_t first, int64_t last, int) {
    Cursor<N> cursor(axes, first, 1);
    for (int64_t row = first; row < last; row++, cursor.next(axes, 1)) each(cursor.at, inner);
  });
}

/** Reads operands from `from`: rank, [shape], [strides] of N tensors. The last operand of the axes is dense. */
template <int N>
inline Axes<N + 1> axesWithDense(const Call& call, int from) {
  const int rank = call.i(from);
  Axes<N + 1> axes;
  int64_t dense = 1;
  for (int axis = 0; axis < rank; axis++) dense *= call.i(from + 1 + axis);
  for (int axis = 0; axis < rank; axis++) {
    const int64_t size = call.i(from + 1 + axis);
    dense = size == 0 ? 0 : dense / size;
    int64_t steps[N + 1];
    for (int k = 0; k < N; k++) steps[k] = call.i(from + 1 + (k + 1) * rank + axis);
    steps[N] = dense;
    axes.push(size, steps);
  }
  return axes;
}
