// Sums of the rows that belong together: the gradient of a gather. Included inside the target's namespace.
#pragma once

/** x segments out, count inner number: the rows of a segment, in their order, by the rule of sums. */
inline void segmentSum(const Call& call) {
  const float* x = call.in(0);
  const int32_t* segments = call.ints(1);
  float* out = call.out(2);
  const int64_t count = call.i(3), inner = call.i(4), number = call.i(5);
  if (!indicesFit(call, segments, count, number, true)) return;
  // Rows sorted by segment: those of segment k are order[begins[k]] .. order[begins[k + 1] - 1].
  int32_t* begins = reinterpret_cast<int32_t*>(call.shared);
  int32_t* order = begins + number + 2;
  for (int64_t k = 0; k < number + 2; k++) begins[k] = 0;
  for (int64_t i = 0; i < count; i++)
    if (segments[i] >= 0) begins[segments[i] + 2]++;
  for (int64_t k = 2; k < number + 2; k++) begins[k] += begins[k - 1];
  for (int64_t i = 0; i < count; i++)
    if (segments[i] >= 0) order[begins[segments[i] + 1]++] = static_cast<int32_t>(i);
  spread(call, number, inner, [&](int64_t first, int64_t last, int) {
    for (int64_t k = first; k < last; k++)
      eachLanes(inner, [&](int64_t c, int n) {
        Levels<Vec> levels;
        Vec chain = all(0.0f);
        for (int32_t at = begins[k]; at < begins[k + 1]; at++) {
          if (at > begins[k] && (at - begins[k]) % kChain == 0) levels.add(chain), chain = all(0.0f);
          chain = chain + loadSome(x + order[at] * inner + c, n);
        }
        levels.add(chain);
        storeSome(out + k * inner + c, levels.total(), n);
      });
  });
}

inline Needs segmentSumNeeds(const Call& call) {
  return {0, static_cast<size_t>(call.i(3)) + static_cast<size_t>(call.i(5)) + 2};
}
