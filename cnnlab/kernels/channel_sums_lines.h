// The loops of channel_sums.cc, for each kind of processor: see for_each_processor.h.

// Adds `together` rows, each times its row of `by` where there is a product, to the sums of channels `from` on that fill
// blocks of N; gives the first channel that is left.
template <int N, int together, bool product, typename T>
INLINE int64_t add_rows(const T* x, const T* by, int64_t channels, int64_t from, float* sum) {
  int64_t i = from;
  for (; i + N <= channels; i += N) {
    Floats<N> here = {};
#pragma GCC unroll 4
    for (int row = 0; row < together; ++row) {
      const Floats<N> value = load_block<N>(x + row * channels + i);
      if constexpr (product) here += value * load_block<N>(by + row * channels + i);
      else here += value;
    }
    store_block<N>(sum + i, load_block<N>(sum + i) + here);
  }
  return i;
}

template <int together, bool product, typename T>
INLINE void add_all(const T* x, const T* by, int64_t channels, float* sum) {
  int64_t i = add_rows<WIDEST, together, product>(x, by, channels, 0, sum);
  i = add_rows<4, together, product>(x, by, channels, i, sum);
  add_rows<1, together, product>(x, by, channels, i, sum);
}

template <bool product, typename T>
void add(const T* x, const T* by, int64_t rows, int64_t channels, float* sum) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) add_all<4, product>(x + row * channels, by + row * channels, channels, sum);
  for (; row < rows; ++row) add_all<1, product>(x + row * channels, by + row * channels, channels, sum);
}
