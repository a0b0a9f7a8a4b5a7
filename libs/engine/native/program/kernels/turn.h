// Moving numbers: copies, and matrices turned.

/** Copies count floats. Single ones at the end: stores of a part of a vector are slow on some processors. */
inline void copyFloats(float* to, const float* from, int count) {
  int at = 0;
  for (; at + kLanes <= count; at += kLanes) store(to + at, load(from + at));
  for (; at < count; at++) to[at] = from[at];
}

inline void clearFloats(float* to, int count) {
  int at = 0;
  for (; at + kLanes <= count; at += kLanes) store(to + at, all(0.0f));
  for (; at < count; at++) to[at] = 0.0f;
}

#if defined(__AVX2__)

/** to[c * toPitch + r] = from[r * pitch + c] for 8 x 8. */
inline void turnBlock(const float* from, size_t pitch, float* to, size_t toPitch) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(from + i * pitch);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * toPitch, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * toPitch, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}

#else

inline void turnBlock(const float* from, size_t pitch, float* to, size_t toPitch) {
  for (int r = 0; r < 8; r++)
    for (int c = 0; c < 8; c++) to[c * toPitch + r] = from[r * pitch + c];
}

#endif

/** to[c * toPitch + r] = from[r * pitch + c]. */
inline void turn(const float* from, int rows, int columns, size_t pitch, float* to, size_t toPitch) {
  for (int r = 0; r < rows; r += 8)
    for (int c = 0; c < columns; c += 8) {
      const float* block = from + r * pitch + c;
      float* turned = to + c * toPitch + r;
      if (r + 8 <= rows && c + 8 <= columns) {
        turnBlock(block, pitch, turned, toPitch);
        continue;
      }
      for (int i = 0; i < least(8, rows - r); i++)
        for (int j = 0; j < least(8, columns - c); j++) turned[j * toPitch + i] = block[i * pitch + j];
    }
}
