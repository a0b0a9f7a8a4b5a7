// Loops that are not: what they fill stays in registers, whatever the compiler makes of loops.

/** A number that is a type. */
template <int kValue>
struct Number {
  static constexpr int value = kValue;
};

/** each(Number<0>), each(Number<1>) ... up to N - 1: a loop without one, so that what it fills stays in registers. */
template <int N, class F>
inline __attribute__((always_inline)) void unrolled(const F& each) {
  if constexpr (N > 0) {
    unrolled<N - 1>(each);
    each(Number<N - 1>{});
  }
}
