// N numbers at a time, float32 or bfloat16 in memory: included by for_each_processor.h into the namespace of each.
// What GCC makes several instructions of where AVX-512 has one is written as that one.

template <int N>
struct Vectors {
  typedef float Floats __attribute__((vector_size(4 * N)));
  typedef int32_t Choices __attribute__((vector_size(4 * N)));
  typedef uint32_t Words __attribute__((vector_size(4 * N)));
  typedef uint16_t Halves __attribute__((vector_size(2 * N)));
};
template <int N>
using Floats = typename Vectors<N>::Floats;
template <int N>
using Words = typename Vectors<N>::Words;
template <int N>
using Halves = typename Vectors<N>::Halves;

template <int N>
INLINE Words<N> widened(Halves<N> halves) {
#if WIDEST == 16
  if constexpr (N == 16) return (Words<N>)_mm512_cvtepu16_epi32((__m256i)halves);
#endif
  return __builtin_convertvector(halves, Words<N>);
}

template <int N>
INLINE Halves<N> narrowed(Words<N> words) {
#if WIDEST == 16
  if constexpr (N == 16) return (Halves<N>)_mm512_cvtepi32_epi16((__m512i)words);
#endif
  return __builtin_convertvector(words, Halves<N>);
}

// From -limit to limit; a NaN stays one.
template <int N>
INLINE Floats<N> clamped(Floats<N> values, float limit) {
  const Floats<N> low = Floats<N>{} - limit, high = Floats<N>{} + limit;
#if WIDEST == 16
  if constexpr (N == 16) return (Floats<N>)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)values));
#endif
  values = values < low ? low : values;
  return values > high ? high : values;
}

// 1 / values, which are of 1 to 2^126; with AVX-512 by one step of Newton's from 14 bits.
template <int N>
INLINE Floats<N> inverse(Floats<N> values) {
#if WIDEST == 16
  if constexpr (N == 16) {
    const Floats<N> near = (Floats<N>)_mm512_rcp14_ps((__m512)values);
    return near * (2.0f - values * near);
  }
#endif
  return 1.0f / values;
}

template <int N, typename T>
INLINE Floats<N> load_block(const T* from) {
  Floats<N> values;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&values, from, sizeof values);
  } else {
    Halves<N> halves;
    std::memcpy(&halves, from, sizeof halves);
    const Words<N> words = widened<N>(halves) << 16;
    std::memcpy(&values, &words, sizeof values);
  }
  return values;
}

// A bfloat16 is rounded to the nearest, ties to even; a NaN stays one.
template <int N>
INLINE Halves<N> rounded(Floats<N> values) {
#if WIDEST == 16
  if constexpr (N == 16)
    if (narrows) return (Halves<N>)_mm512_cvtneps_pbh((__m512)values);
#endif
  Words<N> words;
  std::memcpy(&words, &values, sizeof values);
  const Words<N> nearest = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
  return narrowed<N>(values == values ? nearest : (words >> 16) | 0x40);
}

template <int N, typename T>
INLINE void store_block(T* to, Floats<N> values) {
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(to, &values, sizeof values);
  } else {
    const Halves<N> halves = rounded<N>(values);
    std::memcpy(to, &halves, sizeof halves);
  }
}

// Past the caches where it `streams`, for what nobody reads soon: the line of memory is then not fetched first. `to` is
// a multiple of the block's size; the thread ends by _mm_sfence.
template <int N, typename T>
INLINE void store_block(T* to, Floats<N> values, bool streams) {
#if WIDEST == 16
  if constexpr (N == 16) {
    if (streams && std::is_same_v<T, float>) return _mm512_stream_ps(reinterpret_cast<float*>(to), (__m512)values);
    if (streams) return _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)rounded<N>(values));
  }
#endif
  store_block<N>(to, values);
}
