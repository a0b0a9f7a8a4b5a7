// A module of its own, without TensorFlow: the passes over whole gradients and states that a training step makes besides the
// network. Each reads its memory once, in blocks that stay in the first-level cache, and does all that is wanted of a block.
//
// JavaScript has the same passes (apps/worker, portable-passes.ts), and the bits are the same: every operation is one of
// IEEE 754's, in the same order for the same element, none fused, and integers have no order. It says what the numbers mean.
//
// arithmetic    1 or 2, a run's: in 2, fingerprints and sums of squares are taken of blocks of 65,536 numbers (libs/base, arithmetic.ts)
// fingerprint   32 sums h_j = mixed(h_j, w) over the 32-bit words w_i with i mod 32 = j (libs/exact/src/fingerprint.ts)
#include <node_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr uint32_t kPrime = 0x9E3779B1;
constexpr int kSums = 32;
/** Numbers of a block: five arrays' blocks of 4 KiB are in the first-level cache together. */
constexpr int64_t kBlock = 1024;
static_assert(kBlock % kSums == 0, "a block must begin with the first sum");
/** Numbers of a block of arithmetic 2. */
constexpr int64_t kLongBlock = 65536;
static_assert(kLongBlock % kBlock == 0, "squares are added up where blocks of both kinds end");

inline uint32_t mixed(uint32_t h, uint32_t w) {
  const uint32_t product = (h ^ w) * kPrime;
  return product << 13 | product >> 19;
}

/** Of an array that is read from its beginning, in pieces of multiples of 32 numbers but for the last. */
struct Fingerprint {
  /** Numbers of a block; arithmetic 1 has one without an end. */
  int64_t length;
  /** Numbers of the block under way that were read. */
  int64_t place;
  /** The fingerprint of the blocks that are over, and the sums of the one under way. */
  uint32_t total[kSums] = {};
  uint32_t sums[kSums] = {};

  explicit Fingerprint(int arithmetic, int64_t from = 0)
      : length(arithmetic == 1 ? std::numeric_limits<int64_t>::max() : kLongBlock), place(from % length) {}

  void add(const void* numbers, int64_t count) {
    const auto* words = static_cast<const uint32_t*>(numbers);
    while (count > 0) {
      const int64_t some = std::min(count, length - place);
      addToBlock(words, some);
      words += some;
      count -= some;
      place += some;
      if (place == length) closeBlock();
    }
  }

  /** The fingerprint, when all is read. */
  void finish(uint32_t* to) {
    if (length != kLongBlock) {
      std::memcpy(to, sums, sizeof sums);
      return;
    }
    if (place > 0) closeBlock();
    std::memcpy(to, total, sizeof total);
  }

  /** How far it is, [64], between two pieces. */
  void load(const uint32_t* from) {
    std::memcpy(total, from, sizeof total);
    std::memcpy(sums, from + kSums, sizeof sums);
  }
  void store(uint32_t* to) const {
    std::memcpy(to, total, sizeof total);
    std::memcpy(to + kSums, sums, sizeof sums);
  }

 private:
  void closeBlock() {
    for (int j = 0; j < kSums; j++) total[j] = mixed(total[j], sums[j]);
    std::memset(sums, 0, sizeof sums);
    place = 0;
  }

  void addToBlock(const uint32_t* words, int64_t count) {
    int64_t i = 0;
    uint32_t h[kSums];
    std::memcpy(h, sums, sizeof h);
    for (; i + kSums <= count; i += kSums)
      for (int j = 0; j < kSums; j++) h[j] = mixed(h[j], words[i + j]);
    for (int j = 0; i + j < count; j++) h[j] = mixed(h[j], words[i + j]);
    std::memcpy(sums, h, sizeof h);
  }
};

/** Calls work(begin, end) for [from, to) block by block. */
template <class F>
inline void blocks(int64_t from, int64_t to, F work) {
  for (int64_t begin = from; begin < to; begin += kBlock) work(begin, std::min(begin + kBlock, to));
}

/** Calls work(tensor, begin, end) for each piece of [from, to) that lies in one tensor; `tensor` is kept from call to call. */
template <class F>
inline void pieces(const int32_t* ends, size_t& tensor, int64_t from, int64_t to, F work) {
  while (from < to) {
    while (ends[tensor] <= from) tensor++;
    const int64_t end = std::min<int64_t>(ends[tensor], to);
    work(tensor, from, end);
    from = end;
  }
}

/** float64's ulp is 1 there: adding and subtracting it rounds |x| < 2^51 to whole numbers, ties to even. */
constexpr double kRound = 6755399441055744.0;

/**
 * As many of the numbers as come in eights, rounded in float32: the same integers with half the work. A factor that is a power of
 * two and a float32 makes an exact product below 2^30, or one so small that it rounds to zero either way. Returns how many.
 */
template <bool kAdds>
inline int64_t roundedEights(int32_t* __restrict sum, const float* __restrict g, int64_t count, double scale) {
  int64_t i = 0;
#if defined(__AVX2__)
  const float narrow = static_cast<float>(scale);
  if (narrow != scale || narrow < std::numeric_limits<float>::min()) return 0;
  const __m256 factor = _mm256_set1_ps(narrow);
  for (; i + 8 <= count; i += 8) {
    auto* into = reinterpret_cast<__m256i*>(sum + i);
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(g + i), factor));
    _mm256_storeu_si256(into, kAdds ? _mm256_add_epi32(_mm256_loadu_si256(into), rounded) : rounded);
  }
#endif
  return i;
}

inline void overwriteRounded(int32_t* __restrict sum, const float* __restrict g, int64_t count, double scale) {
  for (int64_t i = roundedEights<false>(sum, g, count, scale); i < count; i++)
    sum[i] = static_cast<int32_t>(static_cast<double>(g[i]) * scale + kRound - kRound);
}

inline void addRounded(int32_t* __restrict sum, const float* __restrict g, int64_t count, double scale) {
  for (int64_t i = roundedEights<true>(sum, g, count, scale); i < count; i++)
    sum[i] += static_cast<int32_t>(static_cast<double>(g[i]) * scale + kRound - kRound);
}

inline void toMean(float* __restrict mean, const int32_t* __restrict sum, int64_t count, double factor) {
  for (int64_t i = 0; i < count; i++) mean[i] = static_cast<float>(sum[i] * factor);
}

/** mean = float32(sum x factors) of a block; `tensor` as in `pieces`. */
inline void meanOfBlock(float* mean, const int32_t* sum, const int32_t* ends, const double* factors, size_t& tensor,
                        int64_t from, int64_t to) {
  pieces(ends, tensor, from, to, [&](size_t t, int64_t begin, int64_t end) {
    toMean(mean + (begin - from), sum + begin, end - begin, factors[t]);
  });
}

struct Adam {
  double beta1, beta2, fresh1, fresh2, stepSize, rootCorrection, eps, emaDecay, emaFresh, clip;
};

inline void adam(float* __restrict weights, float* __restrict expAvg, float* __restrict expAvgSq, float* __restrict ema,
                 const float* __restrict mean, int64_t count, const Adam& a) {
  for (int64_t i = 0; i < count; i++) {
    const double g = mean[i] * a.clip;
    const double m = a.beta1 * expAvg[i] + a.fresh1 * g;
    const double v = a.beta2 * expAvgSq[i] + a.fresh2 * g * g;
    expAvg[i] = static_cast<float>(m);
    expAvgSq[i] = static_cast<float>(v);
    const float w = static_cast<float>(weights[i] - (a.stepSize * m) / (std::sqrt(v) * a.rootCorrection + a.eps));
    weights[i] = w;
    ema[i] = static_cast<float>(a.emaDecay * ema[i] + a.emaFresh * w);
  }
}

// ---- Node-API ------------------------------------------------------------------------------------------------------

template <class T>
struct Array {
  T* data = nullptr;
  size_t length = 0;
};

template <class T>
Array<T> array(napi_env env, napi_value value) {
  napi_typedarray_type type;
  void* data = nullptr;
  size_t length = 0;
  napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  return {static_cast<T*>(data), length};
}

struct Call {
  napi_env env;
  napi_value arguments[12];

  Call(napi_env e, napi_callback_info info) : env(e) {
    size_t count = 12;
    napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  }
  template <class T>
  Array<T> at(int i) const {
    return array<T>(env, arguments[i]);
  }
  int64_t number(int i) const {
    int64_t value = 0;
    napi_get_value_int64(env, arguments[i], &value);
    return value;
  }
  int arithmetic(int i) const { return static_cast<int>(number(i)); }
};

/** fingerprint(numbers [n], arithmetic, sums uint32 [32]) */
napi_value fingerprint(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto numbers = call.at<float>(0);
  Fingerprint print(call.arithmetic(1));
  print.add(numbers.data, static_cast<int64_t>(numbers.length));
  print.finish(call.at<uint32_t>(2).data);
  return nullptr;
}

/** describe(gradient f32 [P], ends int32 [tensors], arithmetic, largest uint32 [tensors], sums) */
napi_value describe(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto gradient = call.at<float>(0);
  const auto ends = call.at<int32_t>(1);
  const auto largest = call.at<uint32_t>(3);
  Fingerprint print(call.arithmetic(2));
  std::fill_n(largest.data, largest.length, 0u);
  size_t tensor = 0;
  blocks(0, static_cast<int64_t>(gradient.length), [&](int64_t block, int64_t end) {
    print.add(gradient.data + block, end - block);
    pieces(ends.data, tensor, block, end, [&](size_t t, int64_t begin, int64_t stop) {
      const auto* bits = reinterpret_cast<const uint32_t*>(gradient.data);
      uint32_t most = largest.data[t];
      for (int64_t i = begin; i < stop; i++) most = std::max(most, bits[i] & 0x7fffffffu);
      largest.data[t] = most;
    });
  });
  print.finish(call.at<uint32_t>(4).data);
  return nullptr;
}

/**
 * fold(sum int32 [P], gradients Float32Array[] of [P], ends, scales f64 [tensors], arithmetic, running uint32 [64 x gradients], from,
 * to): sum = rounded gradients x scale, for the numbers from .. to - 1; `from` is a multiple of 32. A scale of 0: the tensor is zero
 * in all. The fingerprints go on from what `running` holds; when `to` is P, the first 32 of each are the fingerprint.
 */
napi_value fold(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto sum = call.at<int32_t>(0);
  const auto ends = call.at<int32_t>(2);
  const auto scales = call.at<double>(3);
  const auto running = call.at<uint32_t>(5);
  const int64_t from = call.number(6), to = call.number(7);
  uint32_t count = 0;
  napi_get_array_length(env, call.arguments[1], &count);
  std::vector<const float*> gradients;
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    napi_get_element(env, call.arguments[1], i, &element);
    gradients.push_back(array<float>(env, element).data);
  }
  std::vector<Fingerprint> prints(count, Fingerprint(call.arithmetic(4), from));
  for (uint32_t k = 0; k < count; k++) prints[k].load(running.data + k * 2 * kSums);
  size_t tensor = 0;
  blocks(from, to, [&](int64_t block, int64_t end) {
    for (uint32_t k = 0; k < count; k++) {
      size_t place = tensor;
      pieces(ends.data, place, block, end, [&](size_t t, int64_t begin, int64_t stop) {
        if (k == 0) overwriteRounded(sum.data + begin, gradients[k] + begin, stop - begin, scales.data[t]);
        else addRounded(sum.data + begin, gradients[k] + begin, stop - begin, scales.data[t]);
      });
      prints[k].add(gradients[k] + block, end - block);
      if (k + 1 == count) tensor = place;
    }
  });
  if (count == 0) std::fill(sum.data + from, sum.data + to, 0);
  const bool isLast = to == static_cast<int64_t>(sum.length);
  for (uint32_t k = 0; k < count; k++) {
    uint32_t* into = running.data + k * 2 * kSums;
    if (isLast) prints[k].finish(into);
    else prints[k].store(into);
  }
  return nullptr;
}

/**
 * squares(sum int32 [P], ends, factors f64 [tensors], arithmetic, out f64 [1]): the sum of the squares of the mean, from eight
 * interleaved sums: of all of it, added in pairs, or of each long block, added one after another (libs/task, optimizer.ts).
 */
napi_value squares(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto sum = call.at<int32_t>(0);
  const auto ends = call.at<int32_t>(1);
  const auto factors = call.at<double>(2);
  const bool inBlocks = call.arithmetic(3) != 1;
  const auto out = call.at<double>(4);
  const auto length = static_cast<int64_t>(sum.length);
  alignas(32) float mean[kBlock];
  double total = 0;
  double s[8] = {};
  size_t tensor = 0;
  blocks(0, length, [&](int64_t block, int64_t end) {
    meanOfBlock(mean, sum.data, ends.data, factors.data, tensor, block, end);
    int64_t i = 0;
    for (; i + 8 <= end - block; i += 8)
      for (int j = 0; j < 8; j++) s[j] += static_cast<double>(mean[i + j]) * mean[i + j];
    for (int j = 0; i + j < end - block; j++) s[j] += static_cast<double>(mean[i + j]) * mean[i + j];
    if (!inBlocks || (end % kLongBlock != 0 && end != length)) return;
    total += s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
    std::fill_n(s, 8, 0.0);
  });
  out.data[0] = inBlocks ? total : s[0] + s[1] + (s[2] + s[3]) + (s[4] + s[5] + (s[6] + s[7]));
  return nullptr;
}

/**
 * update(sum, ends, factors, weights, expAvg, expAvgSq, ema, adam f64 [10], arithmetic, before uint32 [32 x 4], after uint32
 * [32 x 4]): Adam and the moving average from the mean, in place; fingerprints of the four arrays as they were found and as they are left.
 */
napi_value update(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const auto sum = call.at<int32_t>(0);
  const auto ends = call.at<int32_t>(1);
  const auto factors = call.at<double>(2);
  float* state[4];
  for (int k = 0; k < 4; k++) state[k] = call.at<float>(3 + k).data;
  const auto a = call.at<double>(7);
  const Adam numbers{a.data[0], a.data[1], a.data[2], a.data[3], a.data[4],
                     a.data[5], a.data[6], a.data[7], a.data[8], a.data[9]};
  alignas(32) float mean[kBlock];
  std::vector<Fingerprint> before(4, Fingerprint(call.arithmetic(8))), after = before;
  size_t tensor = 0;
  blocks(0, static_cast<int64_t>(sum.length), [&](int64_t block, int64_t end) {
    meanOfBlock(mean, sum.data, ends.data, factors.data, tensor, block, end);
    for (int k = 0; k < 4; k++) before[k].add(state[k] + block, end - block);
    adam(state[0] + block, state[1] + block, state[2] + block, state[3] + block, mean, end - block, numbers);
    for (int k = 0; k < 4; k++) after[k].add(state[k] + block, end - block);
  });
  for (int k = 0; k < 4; k++) {
    before[k].finish(call.at<uint32_t>(9).data + k * kSums);
    after[k].finish(call.at<uint32_t>(10).data + k * kSums);
  }
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"fingerprint", nullptr, fingerprint, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"describe", nullptr, describe, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"fold", nullptr, fold, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"squares", nullptr, squares, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"update", nullptr, update, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
