// Cells that change their places and not their values. Included inside the target's namespace.
#pragma once

/** x out, rank, [shape], [strides of x], [strides of out]. */
inline void copy(const Call& call) {
  const float* x = call.in(0);
  float* out = call.out(1);
  const int rank = call.i(2);
  Axes<2> axes;
  for (int axis = 0; axis < rank; axis++)
    axes.push(call.i(3 + axis), {call.i(3 + rank + axis), call.i(3 + 2 * rank + axis)});
  const int64_t stepX = axes.step(0), stepOut = axes.step(1);
  eachRow(call, axes, [&](const int64_t (&at)[2], int64_t length) {
    const float* from = x + at[0];
    float* to = out + at[1];
    if (stepX == 1 && stepOut == 1) return moveCells(to, from, length);
    if (stepOut == 1) return gatherCells(to, from, stepX, length);
    for (int64_t i = 0; i < length; i++) wholes(to)[i * stepOut] = wholes(from)[i * stepX];
  });
}

/** out, count, bits. */
inline void fill(const Call& call) {
  int32_t* out = call.outInts(0);
  const int32_t bits = call.i(2);
  spread(call, call.i(1), 1, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; i++) out[i] = bits;
  });
}

/** indices out, count depth, on bits, off bits. An index out of range has all off. */
inline void oneHot(const Call& call) {
  const int32_t* indices = call.ints(0);
  int32_t* out = call.outInts(1);
  const int64_t depth = call.i(3);
  const int32_t on = call.i(4), off = call.i(5);
  spread(call, call.i(2), depth, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; i++)
      for (int64_t k = 0; k < depth; k++) out[i * depth + k] = indices[i] == k ? on : off;
  });
}

/** Whether all indices lie in 0 .. limit-1, or below 0 where that is allowed; if not, the run fails. */
inline bool indicesFit(const Call& call, const int32_t* indices, int64_t count, int64_t limit, bool negativeToo) {
  for (int64_t i = 0; i < count; i++)
    if (indices[i] >= limit || (indices[i] < 0 && !negativeToo)) {
      *call.failure = Failure::indexOutOfRange;
      return false;
    }
  return true;
}

/** x indices out, outer axis inner count. */
inline void gather(const Call& call) {
  const float* x = call.in(0);
  const int32_t* indices = call.ints(1);
  float* out = call.out(2);
  const int64_t outer = call.i(3), axis = call.i(4), inner = call.i(5), count = call.i(6);
  if (!indicesFit(call, indices, count, axis, false)) return;
  spread(call, outer * count, inner, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; i++)
      moveCells(out + i * inner, x + (i / count * axis + indices[i % count]) * inner, inner);
  });
}
