// The work of average pooling on one line, for each kind of processor: see for_each_processor.h.

// `scale` times the sum of K neighbours (`count` where K is 0) of each row, weighed by their row and place.
template <int N, int K, typename T>
INLINE void weigh(int64_t c, const Row<T>* rows, int64_t lines, int64_t from, int64_t count, const float* weights,
                  float scale, T* made, bool streams) {
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N);
    Floats<N> sum = {};
    for (int64_t r = 0; r < lines; ++r) {
      const T* x = rows[r].from + from * c + at;
#pragma GCC unroll 3
      for (int64_t k = 0; k < (K ? K : count); ++k) sum += load_block<N>(x + k * c) * (rows[r].weight * weights[k]);
    }
    store_block<N>(made + at, sum * scale, streams);
  }
}

// A line, of which position w is made from what `places[w]` tells.
template <int N, typename T>
void weigh_line(int64_t c, const Row<T>* rows, int64_t lines, const std::vector<Place>& places, const float* weights,
                T* made, bool streams) {
  for (const Place& place : places) {
    const int64_t from = place.seen.first, count = place.seen.last - from;
    const float* by = weights + (place.weighed ? from : 0);
    if (count == 1) weigh<N, 1>(c, rows, lines, from, count, by, place.scale, made, streams);
    else if (count == 2) weigh<N, 2>(c, rows, lines, from, count, by, place.scale, made, streams);
    else if (count == 3) weigh<N, 3>(c, rows, lines, from, count, by, place.scale, made, streams);
    else weigh<N, 0>(c, rows, lines, from, count, by, place.scale, made, streams);
    made += c;
  }
}

template <typename T>
void make_line(int64_t c, const Row<T>* rows, int64_t lines, const std::vector<Place>& places, const float* weights,
               T* made, bool streams) {
  if (c >= WIDEST) return weigh_line<WIDEST>(c, rows, lines, places, weights, made, streams);
  if (c >= 4) return weigh_line<4>(c, rows, lines, places, weights, made, streams);
  return weigh_line<1>(c, rows, lines, places, weights, made, streams);
}
