// Winograd's minimal filtering F(4x4, 3x3): the transforms, of vectors `from[i * step]` to `to[k * step]`.
//
// S. Winograd, "Arithmetic complexity of computations", 1980; A. Lavin and S. Gray, "Fast algorithms for convolutional neural
// networks", 2016 (the matrices A, B, G for the points 0, 1, -1, 2, -2).

inline void inputTransform(const Vec* d, Vec* t, int step) {
  const Vec four = all(4), five = all(5), two = all(2);
  const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const Vec a = fnma(four, d2, d4), b = fnma(four, d1, d3), c = d4 - d2, e = two * (d3 - d1);
  t[0] = fma(four, d0, fnma(five, d2, d4));
  t[step] = a + b;
  t[2 * step] = a - b;
  t[3 * step] = c + e;
  t[4 * step] = c - e;
  t[5 * step] = fma(four, d1, fnma(five, d3, d5));
}

inline void outputTransform(const Vec* m, Vec* y, int step) {
  const Vec s1 = m[step] + m[2 * step], d1 = m[step] - m[2 * step];
  const Vec s2 = m[3 * step] + m[4 * step], d2 = m[3 * step] - m[4 * step];
  y[0] = m[0] + s1 + s2;
  y[step] = fma(all(2), d2, d1);
  y[2 * step] = fma(all(4), s2, s1);
  y[3 * step] = fma(all(8), d2, d1) + m[5 * step];
}

/** The transpose of outputTransform. */
inline void outputTransposed(const Vec* y, Vec* w, int step) {
  const Vec y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
  const Vec p = y0 + y2, q = y1 + y3;
  const Vec r = fma(all(4), y2, y0), s = fma(all(8), y3, all(2) * y1);
  w[0] = y0;
  w[step] = p + q;
  w[2 * step] = p - q;
  w[3 * step] = r + s;
  w[4 * step] = r - s;
  w[5 * step] = y3;
}

inline void filterTransform(const Vec* g, Vec* u, int step) {
  const Vec g0 = g[0], g1 = g[step], g2 = g[2 * step];
  const Vec a = all(-1.0f / 6) * (g0 + g2), b = all(1.0f / 6) * g1;
  const Vec c = fma(all(1.0f / 6), g2, all(1.0f / 24) * g0), d = all(1.0f / 12) * g1;
  u[0] = all(0.25f) * g0;
  u[step] = a - b;
  u[2 * step] = a + b;
  u[3 * step] = c + d;
  u[4 * step] = c - d;
  u[5 * step] = g2;
}

/** The transpose of filterTransform. */
inline void filterTransposed(const Vec* u, Vec* g, int step) {
  const Vec s1 = u[step] + u[2 * step], d1 = u[2 * step] - u[step];
  const Vec s2 = u[3 * step] + u[4 * step], d2 = u[3 * step] - u[4 * step];
  const Vec third = all(-1.0f / 6) * s1;
  g[0] = fma(all(0.25f), u[0], fma(all(1.0f / 24), s2, third));
  g[step] = fma(all(1.0f / 12), d2, all(1.0f / 6) * d1);
  g[2 * step] = fma(all(1.0f / 6), s2, third) + u[5 * step];
}

