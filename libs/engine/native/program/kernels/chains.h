// Sums over k of products, by the rule of common.h: chains of kChain fused multiply-adds, whose sums are added up by `Levels`, here for
// a tile of numbers at once.

inline int chainsOf(int64_t K, int length) { return static_cast<int>((K + length - 1) / length); }

/** Tiles beside the sum's own that `sumChains` needs: one for each level above the first. */
inline size_t higherLevels(int chains) { return chains < kChain ? 0 : chains < kChain * kChain ? 1 : 2; }

inline void addFloats(float* to, const float* from, size_t size, bool first) {
  for (size_t at = 0; at < size; at += kLanes)
    store(to + at, (first ? all(0.0f) : load(to + at)) + load(from + at));
}

/**
 * Adds chains up in `sum` (size floats, whole vectors), and what Levels has above the first level in `higher`. add(first, count,
 * end) does so many chains, at most `together` (a divisor of kChain), the first of them with `end` and the others with End::add.
 */
template <class Add>
inline void sumChains(int chains, int together, size_t size, float* sum, float* higher, const Add& add) {
  if (chains == 1) return add(0, 1, End::set);
  const int levels = static_cast<int>(higherLevels(chains));
  int counts[2] = {0, 0};
  for (int first = 0; first < chains; first += together) {
    const int count = least(together, chains - first);
    add(first, count, first % kChain == 0 ? End::first : End::add);
    if ((first + count) % kChain != 0) continue;
    addFloats(higher, sum, size, counts[0]++ == 0);
    if (counts[0] < kChain) continue;
    addFloats(higher + size, higher, size, counts[1]++ == 0);
    counts[0] = 0;
  }
  // The total: from the lowest level up, each on top of its own sum. Sums here are never -0, so that adding nothing changes nothing.
  bool some = chains % kChain != 0;
  for (int level = 0; level < levels; level++) {
    if (counts[level] == 0) continue;
    const float* own = higher + level * size;
    for (size_t at = 0; at < size; at += kLanes) store(sum + at, some ? load(own + at) + load(sum + at) : load(own + at));
    some = true;
  }
}

/** Multiply-adds from which on it pays to share an instruction between threads. */
constexpr int64_t kWorthSharing = 1 << 18;

template <class F>
inline void share(const Call& call, int64_t work, int count, const F& each) {
  if (work >= kWorthSharing) return parallel(call, count, each);
  for (int index = 0; index < count; index++) each(index, 0);
}


/** Floats that productTile needs. */
inline size_t tileFloats(int rows, int columns, int chains) {
  return static_cast<size_t>(rows) * padded(columns) * (1 + higherLevels(chains));
}

/**
 * A tile [rows][columns] of a product: for each chain left(chain) and right(chain); + bias. Row r goes to place(r); `pitch` is the
 * distance of rows, or 0 where they do not lie evenly.
 */
template <class LeftOf, class RightOf, class PlaceOf>
inline void productTile(int rows, int columns, int chains, const LeftOf& left, const RightOf& right, const float* bias,
                        const PlaceOf& place, size_t pitch, float* own) {
  const int width = padded(columns);
  if (chains == 1 && width == columns && (pitch != 0 || rows == 1))
    return multiply(rows, columns, left(0), right(0), bias == nullptr ? End::set : End::bias, bias, place(0), pitch);
  const size_t size = static_cast<size_t>(rows) * width;
  sumChains(chains, 1, size, own, own + size, [&](int chain, int, End end) {
    multiply(rows, width, left(chain), right(chain), end, nullptr, own, width);
  });
  for (int r = 0; r < rows; r++) {
    const float* from = own + static_cast<size_t>(r) * width;
    float* to = place(r);
    for (int c = 0; c < columns; c += kLanes) {
      const int lanes = lanesAt(c, columns);
      const Vec sum = load(from + c);
      storeSome(to + c, bias == nullptr ? sum : sum + loadSome(bias + c, lanes), lanes);
    }
  }
}
