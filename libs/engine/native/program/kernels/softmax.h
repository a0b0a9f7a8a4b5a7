// Softmax along the last axis. Included inside the target's namespace.
//
// m = max x; e = exp(x - m) (exponential.h, infinities and all); s = the sum of e by the rule of sums; e / s.
#pragma once

/** The largest of a row, a NaN where there is one. */
inline float largestOf(const float* x, int64_t columns) {
  float most = x[0];
  int64_t i = 0;
  if (columns >= kLanes) {
    Vec lanes = load(x);
    for (i = kLanes; i + kLanes <= columns; i += kLanes) lanes = Maximum::of(lanes, load(x + i));
    float some[kLanes];
    store(some, lanes);
    for (int k = 0; k < kLanes; k++) most = Maximum::of(most, some[k]);
  }
  for (; i < columns; i++) most = Maximum::of(most, x[i]);
  return most;
}

/** The sums of so many dense rows, row by row of `rows` cells: one block of all of them after the other. */
inline void sumsOfRows(const float* x, int64_t columns, int n, float (&sums)[kAbreast]) {
  Axes<1> row;
  row.push(columns, {1});
  const float* p[kAbreast];
  for (int j = 0; j < kAbreast; j++) p[j] = x + (j < n ? j : 0) * columns;
  float chain[kAbreast];
  if (columns <= kChain) {
    foldAbreast<float, SumOf>(row, 0, columns, p, sums);
    return;
  }
  Levels<float> levels[kAbreast];
  for (int64_t first = 0; first < columns; first += kChain) {
    foldAbreast<float, SumOf>(row, first, columns - first < kChain ? columns - first : kChain, p, chain);
    for (int j = 0; j < kAbreast; j++) levels[j].add(chain[j]);
  }
  for (int j = 0; j < kAbreast; j++) sums[j] = levels[j].total();
}

/** x out, rows columns. */
inline void softmax(const Call& call) {
  const float* x = call.in(0);
  float* out = call.out(1);
  const int64_t rows = call.i(2), columns = call.i(3);
  if (columns == 0) return;
  spread(call, (rows + kAbreast - 1) / kAbreast, kAbreast * columns * 4, [&](int64_t first, int64_t last, int) {
    for (int64_t row = first * kAbreast; row < rows && row < last * kAbreast; row += kAbreast) {
      const int n = static_cast<int>(rows - row < kAbreast ? rows - row : kAbreast);
      float* to = out + row * columns;
      for (int j = 0; j < n; j++) {
        const float* from = x + (row + j) * columns;
        const Vec most = all(largestOf(from, columns));
        eachLanes(columns, [&](int64_t i, int some) {
          storeSome(to + j * columns + i, exponential(loadSome(from + i, some) - most), some);
        });
      }
      float sums[kAbreast];
      sumsOfRows(to, columns, n, sums);
      for (int j = 0; j < n; j++) {
        const Vec sum = all(sums[j]);
        float* e = to + j * columns;
        eachLanes(columns, [&](int64_t i, int some) { storeSome(e + i, loadSome(e + i, some) / sum, some); });
      }
    }
  });
}
