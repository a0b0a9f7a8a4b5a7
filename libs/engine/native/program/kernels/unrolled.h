// Loops that are not: what they fill stays in registers, whatever the compiler makes of loops.

// Where lanes are loops themselves, there is nothing to gain, and the compiler would take minutes.
#if (LOCKSTEP_LANES == 16 && defined(__AVX512F__)) || (LOCKSTEP_LANES == 8 && defined(__AVX2__))
#define LOCKSTEP_INLINED __attribute__((always_inline))
#else
#define LOCKSTEP_INLINED
#endif

/** A number that is a type. */
template <int kValue>
struct Number {
  static constexpr int value = kValue;
};

/** each(Number<0>), each(Number<1>) ... up to N - 1: a loop without one, so that what it fills stays in registers. */
template <int N, class F>
inline LOCKSTEP_INLINED void unrolled(const F& each) {
  if constexpr (N > 0) {
    unrolled<N - 1>(each);
    each(Number<N - 1>{});
  }
}
