// Functions that float32 arithmetic alone would give badly: computed in float64, one number after another, and rounded once to
// float32. Only + - * /, roots, and comparisons; no function of a library, so the bits are the same everywhere. Included inside the
// target's namespace.
#pragma once

inline uint64_t bitsOf(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline double ofBits(uint64_t bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
/** e^r - 1 for |r| <= 0.35: Taylor's polynomial of degree 12; what it leaves out is below 2^-46 of it. */
inline double exponentialLessOne(double r) {
  double p = 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  return p * r;
}

/** x = k ln 2 + rest, k whole, with ln 2 in fdlibm's two parts; without branches, so that loops over it can be vectors. */
struct Halving {
  double rest, power;

  /** x is held to -700 .. 700; of a NaN all is NaN, or times one. */
  explicit Halving(double x) {
    x = x < -700 ? -700 : x;
    x = x > 700 ? 700 : x;
    // The sum's lowest bits are k, to nearest, ties to even.
    const double shifted = x * 1.44269504088896338700e+00 + 6755399441055744.0;
    const double k = shifted - 6755399441055744.0;
    rest = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    power = ofBits((bitsOf(shifted) + 1023) << 52);
  }
};

/** e^x, for x held to -700 .. 700. Of a NaN a NaN. */
inline double exp64(double x) {
  const Halving h(x);
  return (exponentialLessOne(h.rest) + 1.0) * h.power;
}

/** e^x - 1, for x held as above: 2^k (e^rest - 1) + (2^k - 1). */
inline double expm1(double x) {
  const Halving h(x);
  return exponentialLessOne(h.rest) * h.power + (h.power - 1.0);
}

/**
 * ln x for x in the normal range of float64, or 0, infinite, negative or NaN: x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2), s = f / (2 + f),
 * ln(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R), where R is fdlibm's polynomial of s^2 (e_log.c, Sun Microsystems 1993; Remez).
 */
inline double log64(double x) {
  const uint64_t bits = bitsOf(x) + (UINT64_C(0x3ff00000) - 0x3fe6a09e) * (UINT64_C(1) << 32);
  // k + 1023 are the lowest bits of 2^52 and something.
  const double k = ofBits(bits >> 52 | UINT64_C(0x4330000000000000)) - 4503599627371519.0;
  const double f = ofBits((bits & UINT64_C(0x000fffffffffffff)) + (UINT64_C(0x3fe6a09e) << 32)) - 1.0;
  const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  double R = 1.479819860511658591e-01;
  R = R * z + 1.531383769920937332e-01;
  R = R * z + 1.818357216161805012e-01;
  R = R * z + 2.222219843214978396e-01;
  R = R * z + 2.857142874366239149e-01;
  R = R * z + 3.999999999940941908e-01;
  R = R * z + 6.666666666666735130e-01;
  R = R * z;
  const double y = k * 6.93147180369123816490e-01 - ((half - (s * (half + R) + k * 1.90821492927058770002e-10)) - f);
  const double special = x == 0 ? -__builtin_inf() : x > 0 ? x : __builtin_nan("");
  return x > 0 && x < 1.7e308 ? y : special;
}

/** ln(1 + x) for x a float32 or e^-something: what 1 + x loses by rounding is put back, as (x - (u - 1)) / u. */
inline double log1p64(double x) {
  const double u = 1.0 + x, log = log64(u);
  return u > 0 && u < 1.7e308 ? log + (x - (u - 1.0)) / u : log;
}

/** With t = e^(-2 |x|) - 1, which is -1 from 22 on: -t / (t + 2). */
inline double tanh64(double x) {
  const double t = expm1(x < 0 ? 2.0 * x : -2.0 * x), tanh = -t / (t + 2.0);
  return x < 0 ? -tanh : tanh;
}

/**
 * An angle as quarter turns and a rest: x = quarters pi / 2 + rest, |rest| <= pi / 4 (and a little). Below 10^6 by Cody and Waite with
 * fdlibm's two parts of pi / 2, the first of 33 bits, so its product with quarters is exact; above by Payne and Hanek (1983): the
 * float's 24 bits times the bits of 1 / (2 pi) that do not make whole turns.
 */
struct Angle {
  int quarters;
  double rest;

  explicit Angle(float x) {
    const double size = x < 0 ? -static_cast<double>(x) : x;
    if (size < 1e6) {
      const double scaled = x * 6.36619772367581382433e-01;
      quarters = static_cast<int>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      rest = (x - quarters * 1.57079632673412561417e+00) - quarters * 6.07710050650619224932e-11;
      return;
    }
    // 1 / (2 pi) after 32 zeros, as x may be below 2^23.
    static constexpr uint32_t turns[8] = {0,          0x28be60db, 0x9391054a, 0x7f09d5f4,
                                          0x7d4d3770, 0x36d8a566, 0x4f10e410, 0x7f9458ea};
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    const uint64_t m = (bits & 0x7fffff) | 0x800000;
    const int from = static_cast<int>(bits >> 23 & 255) - 150 + 32, word = from >> 5, shift = from & 31;
    uint64_t f[3];
    for (int k = 0; k < 3; k++)
      f[k] = ((static_cast<uint64_t>(turns[word + k]) << 32 | turns[word + k + 1]) << shift) >> 32;
    const uint64_t middle = m * f[1] + (m * f[2] >> 32), high = m * f[0] + (middle >> 32);
    const uint64_t turn = high << 32 | (middle & 0xffffffff);
    quarters = static_cast<int>((turn + (UINT64_C(1) << 61)) >> 62);
    // A quarter turn is 2^62; what is beyond half of it is negative.
    const uint64_t quarter = turn << 2;
    rest = (quarter >> 63 ? -static_cast<double>(0 - quarter) : static_cast<double>(quarter)) * 8.5153039502163873e-20;
    if (x < 0) quarters = -quarters, rest = -rest;
  }
};

/** fdlibm's k_sin.c and k_cos.c (Sun Microsystems 1993; Remez), for |r| <= pi / 4. */
inline double sineOfRest(double r) {
  const double z = r * r;
  double p = 1.58969099521155010221e-10;
  p = p * z - 2.50507602534068634195e-08;
  p = p * z + 2.75573137070700676789e-06;
  p = p * z - 1.98412698298579493134e-04;
  p = p * z + 8.33333333332248946124e-03;
  p = p * z - 1.66666666666666324348e-01;
  return r * (1.0 + z * p);
}
inline double cosineOfRest(double r) {
  const double z = r * r;
  double p = -1.13596475577881948265e-11;
  p = p * z + 2.08757232129817482790e-09;
  p = p * z - 2.75573143513906633035e-07;
  p = p * z + 2.48015872894767294178e-05;
  p = p * z - 1.38888888888741095749e-03;
  p = p * z + 4.16666666666666019037e-02;
  return 1.0 - (0.5 * z - z * z * p);
}

/** sin(x + turn pi / 2). */
inline double sine(float x, int turn) {
  if (x - x != 0) return x - x;
  const Angle angle(x);
  const int quarter = (angle.quarters + turn) & 3;
  const double y = (quarter & 1) != 0 ? cosineOfRest(angle.rest) : sineOfRest(angle.rest);
  return quarter >= 2 ? -y : y;
}

/** fdlibm's s_erf.c (Sun Microsystems 1993): rational functions on 0 .. 0.84375 .. 1.25 .. 1 / 0.35 .. 6, and 1 above. */
inline double erf64(double x) {
  if (x != x) return x;
  const double size = x < 0 ? -x : x;
  double y;
  if (size < 0.84375) {
    const double z = x * x;
    const double r = 1.28379167095512558561e-01 + z * (-3.25042107247001499370e-01 + z * (-2.84817495755985104766e-02 +
                     z * (-5.77027029648944159157e-03 + z * -2.37630166566501626084e-05)));
    const double s = 1.0 + z * (3.97917223959155352819e-01 + z * (6.50222499887672944485e-02 + z * (5.08130628187576562776e-03 +
                     z * (1.32494738004321644526e-04 + z * -3.96022827877536812320e-06))));
    return x * (1.0 + r / s);
  }
  if (size < 1.25) {
    const double t = size - 1.0;
    const double p = -2.36211856075265944077e-03 + t * (4.14856118683748331666e-01 + t * (-3.72207876035701323847e-01 +
                     t * (3.18346619901161753674e-01 + t * (-1.10894694282396677476e-01 + t * (3.54783043256182359371e-02 +
                     t * -2.16637559486879084300e-03)))));
    const double q = 1.0 + t * (1.06420880400844228286e-01 + t * (5.40397917702171048937e-01 + t * (7.18286544141962662868e-02 +
                     t * (1.26171219808761642112e-01 + t * (1.36370839120290507362e-02 + t * 1.19844998467991074170e-02)))));
    y = 8.45062911510467529297e-01 + p / q;
  } else if (size >= 6) {
    y = 1.0;
  } else {
    const double s = 1.0 / (size * size);
    double R, S;
    if (size < 1.0 / 0.35) {
      R = -9.86494403484714822705e-03 + s * (-6.93858572707181764372e-01 + s * (-1.05586262253232909814e+01 +
          s * (-6.23753324503260060396e+01 + s * (-1.62396669462573470355e+02 + s * (-1.84605092906711035994e+02 +
          s * (-8.12874355063065934246e+01 + s * -9.81432934416914548592e+00))))));
      S = 1.0 + s * (1.96512716674392571292e+01 + s * (1.37657754143519042600e+02 + s * (4.34565877475229228821e+02 +
          s * (6.45387271733267880336e+02 + s * (4.29008140027567833386e+02 + s * (1.08635005541779435134e+02 +
          s * (6.57024977031928170135e+00 + s * -6.04244152148580987438e-02)))))));
    } else {
      R = -9.86494292470009928597e-03 + s * (-7.99283237680523006574e-01 + s * (-1.77579549177547519889e+01 +
          s * (-1.60636384855821916062e+02 + s * (-6.37566443368389627722e+02 + s * (-1.02509513161107724954e+03 +
          s * -4.83519191608651397019e+02)))));
      S = 1.0 + s * (3.03380607434824582924e+01 + s * (3.25792512996573918826e+02 + s * (1.53672958608443695994e+03 +
          s * (3.19985821950859553908e+03 + s * (2.55305040643316442583e+03 + s * (4.74528541206955367215e+02 +
          s * -2.24409524465858183362e+01))))));
    }
    y = 1.0 - exp64(R / S - size * size - 0.5625) / size;
  }
  return x < 0 ? -y : y;
}

/** x^y with C99's special cases, as e^(y ln |x|). */
inline double power(double x, double y) {
  if (y == 0 || x == 1) return 1.0;
  if (x != x || y != y) return x + y;
  const double size = x < 0 ? -x : x;
  // Floats from 2^24 are even.
  const bool large = y >= 16777216.0 || y <= -16777216.0;
  const int32_t whole = large ? 0 : static_cast<int32_t>(y);
  const bool integer = large || whole == y, odd = integer && (whole & 1) != 0;
  if (x < 0 && !integer && size < __builtin_inf()) return __builtin_nan("");
  if (size == 1 && large) return 1.0;
  double z;
  if (size == 0)
    z = y > 0 ? 0.0 : __builtin_inf();
  else if (size > 1e300)
    z = y > 0 ? size : 0.0;
  else
    z = exp64(y * log64(size));
  const bool negative = bitsOf(x) >> 63 != 0;
  return negative && odd ? -z : z;
}

/** x out, count: a function of float64, one cell after another. */
template <class F>
void unaryInDouble(const Call& call) {
  unaryBy(call, [](const float* x, float* out, int64_t length) {
    for (int64_t i = 0; i < length; i++) out[i] = static_cast<float>(F::of(x[i]));
  });
}

/** a b out, rank, [shape], [strides of a], [strides of b]. */
inline void pow(const Call& call) {
  binaryBy(call, [](Steps steps, const float* a, const float* b, float* out, int64_t length) {
    const int64_t stepA = steps == Steps::oneA ? 0 : 1, stepB = steps == Steps::oneB ? 0 : 1;
    for (int64_t i = 0; i < length; i++) out[i] = static_cast<float>(power(a[i * stepA], b[i * stepB]));
  });
}

struct Expm1 {
  static double of(float x) { return expm1(x); }
};
struct Log {
  static double of(float x) { return log64(x); }
};
struct Log1p {
  static double of(float x) { return x == 0 ? x : log1p64(x); }
};
struct Sin {
  static double of(float x) { return sine(x, 0); }
};
struct Cos {
  static double of(float x) { return sine(x, 1); }
};
struct Tanh {
  static double of(float x) { return tanh64(x); }
};
struct Erf {
  static double of(float x) { return erf64(x); }
};
/** x where x > 0, e^x - 1 elsewhere. */
struct Elu {
  static double of(float x) { return x > 0 ? x : expm1(x); }
};
/** ln(1 + e^x), as max(x, 0) + ln(1 + e^-|x|). */
struct Softplus {
  static double of(float x) { return (x > 0 ? x : 0.0) + log1p64(exp64(x > 0 ? -x : x)); }
};
