// The loops of resize.cc, for each kind of processor: see for_each_processor.h.

// Numbers out of bytes.
template <int N>
INLINE Words<N> load_bytes(const uint8_t* from) {
#if WIDEST == 16
  if constexpr (N == 16) return (Words<N>)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from));
#endif
#if WIDEST >= 8
  if constexpr (N == 8) return (Words<N>)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from));
#endif
  if constexpr (N == 4) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    const __m128i bytes = _mm_cvtsi32_si128(four);
#if WIDEST >= 8
    return (Words<N>)_mm_cvtepu8_epi32(bytes);
#else
    const __m128i none = _mm_setzero_si128();
    return (Words<N>)_mm_unpacklo_epi16(_mm_unpacklo_epi8(bytes, none), none);
#endif
  }
  Words<N> values = {};
  for (int i = 0; i < N; ++i) values[i] = from[i];
  return values;
}

// Sums of weighed bytes as bytes: without their fraction, and 255 at most.
template <int N>
INLINE void store_bytes(uint8_t* to, Words<N> sums) {
  sums >>= kBits;
#if WIDEST == 16
  if constexpr (N == 16) return _mm_storeu_si128((__m128i*)to, _mm512_cvtusepi32_epi8((__m512i)sums));
#endif
#if WIDEST >= 8
  if constexpr (N == 8) {
    const __m128i low = _mm256_castsi256_si128((__m256i)sums), high = _mm256_extracti128_si256((__m256i)sums, 1);
    const __m128i halves = _mm_packs_epi32(low, high);
    return _mm_storel_epi64((__m128i*)to, _mm_packus_epi16(halves, halves));
  }
#endif
  if constexpr (N == 4) {
    const __m128i halves = _mm_packs_epi32((__m128i)sums, (__m128i)sums);
    const int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(halves, halves));
    std::memcpy(to, &four, sizeof four);
    return;
  }
  for (int i = 0; i < N; ++i) to[i] = std::min<uint32_t>(sums[i], 255);
}

// The lower four and the upper four of eight, added; four stay.
template <int N>
INLINE Words<4> folded(Words<N> values) {
#if WIDEST >= 8
  if constexpr (N == 8)
    return (Words<4>)_mm256_castsi256_si128((__m256i)values) + (Words<4>)_mm256_extracti128_si256((__m256i)values, 1);
#endif
  if constexpr (N == 4) return values;
}

// A line of new pixels from an old one. `weights`: for each new pixel `blocks` (or K) of N, one for each byte.
template <int C, int N, int K>
INLINE void make_line(const uint8_t* line, const std::vector<int64_t>& first, const uint32_t* weights, int64_t blocks,
                      uint8_t* made) {
  for (const int64_t at : first) {
    const uint8_t* from = line + C * at;
    Words<N> sum = {};
#pragma GCC unroll 3
    for (int64_t block = 0; block < (K ? K : blocks); ++block, weights += N, from += N) {
      Words<N> weight;
      std::memcpy(&weight, weights, sizeof weight);
      sum += load_bytes<N>(from) * weight;
    }
    const Words<4> four = folded<N>(sum);
    if constexpr (C == 1) {
      const Words<4> two = four + (Words<4>)_mm_shuffle_epi32((__m128i)four, 0x4e);
      const Words<4> one = two + (Words<4>)_mm_shuffle_epi32((__m128i)two, 0xb1);
      *made++ = std::min((one[0] + kHalf) >> kBits, 255u);
    } else {
      store_bytes<4>(made, four + kHalf);  // the next pixel is written over the fourth
      made += 3;
    }
  }
}

// A line of bytes from those above and below it.
template <int N>
INLINE void mix_lines(const std::vector<const uint8_t*>& lines, const uint32_t* weights, int64_t size, uint8_t* made) {
  for (int64_t block = 0; block < size; block += N) {
    const int64_t at = std::min(block, size - N);
    Words<N> sum = Words<N>{} + kHalf;
    for (size_t k = 0; k < lines.size(); ++k) sum += load_bytes<N>(lines[k] + at) * weights[k];
    store_bytes<N>(made + at, sum);
  }
}

// The image: old lines are brought to the new width, each once, into a ring of as many as a new line is made from.
template <int C>
void resize(const Picture& picture, const Axis& across, const Axis& down, uint8_t* made) {
  constexpr int N = C == 1 ? 4 : std::min(WIDEST, 8), taps = N / C;
  const int64_t blocks = (across.most + taps - 1) / taps, width = across.first.size(), bytes = width * (C == 1 ? 1 : 3);
  std::vector<uint32_t> weights(width * blocks * N);
  for (int64_t x = 0; x < width; ++x)
    for (int64_t k = 0; k < across.most; ++k)
      std::fill_n(&weights[x * blocks * N + k * C], C, across.weights[x * across.most + k]);
  // Whole blocks are read, beyond the end of a line too; of the last lines there has to be a longer copy.
  const int64_t reach = C * across.first.back() + blocks * N, old_bytes = picture.width * C;
  const int64_t pitch = bytes + 1;  // the last pixel's fourth byte
  std::vector<uint8_t> longer(std::max(reach, old_bytes)), ring(down.most * pitch);
  std::vector<const uint8_t*> lines;
  int64_t next = 0;
  for (size_t y = 0; y < down.first.size(); ++y, made += bytes) {
    const int64_t first = down.first[y], end = first + down.count[y];
    for (next = std::max(next, first); next < end; ++next) {
      const uint8_t* line = picture.pixels + next * old_bytes;
      if (next * old_bytes + reach > picture.height * old_bytes) {
        std::memcpy(longer.data(), line, old_bytes);
        line = longer.data();
      }
      uint8_t* to = &ring[next % down.most * pitch];
      if (blocks == 1) make_line<C, N, 1>(line, across.first, weights.data(), blocks, to);
      else if (blocks == 2) make_line<C, N, 2>(line, across.first, weights.data(), blocks, to);
      else if (blocks == 3) make_line<C, N, 3>(line, across.first, weights.data(), blocks, to);
      else make_line<C, N, 0>(line, across.first, weights.data(), blocks, to);
    }
    lines.clear();
    for (int64_t row = first; row < end; ++row) lines.push_back(&ring[row % down.most * pitch]);
    const uint32_t* by = &down.weights[y * down.most];
    if (bytes >= WIDEST) mix_lines<WIDEST>(lines, by, bytes, made);
    else if (bytes >= 4) mix_lines<4>(lines, by, bytes, made);
    else mix_lines<1>(lines, by, bytes, made);
  }
}
