// The work of max-pooling on one line, included by pool.cc once for each kind of processor, into a namespace of its
// own: GCC takes vectors to pieces for the oldest processor before it clones a function for a newer one, so the
// target_clones of lanes.h make comparisons of sixteen numbers sixty times slower than these.

// N numbers at a time. Channels go in blocks of the largest N that they fill; the last block may begin in the one
// before it and make the same numbers again.
template <int N>
struct Vectors {
  typedef float Floats __attribute__((vector_size(4 * N)));
  typedef int32_t Choices __attribute__((vector_size(4 * N)));
  typedef uint32_t Words __attribute__((vector_size(4 * N)));
  typedef uint16_t Halves __attribute__((vector_size(2 * N)));
};

template <int N, typename T>
INLINE typename Vectors<N>::Floats load_block(const T* from) {
  typename Vectors<N>::Floats values;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&values, from, sizeof values);
  } else {
    typename Vectors<N>::Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    auto words = __builtin_convertvector(halves, typename Vectors<N>::Words) << 16;
    std::memcpy(&values, &words, sizeof values);
  }
  return values;
}

// A bfloat16 is rounded to the nearest, ties to even; a NaN stays one.
template <int N, typename T>
INLINE void store_block(T* to, typename Vectors<N>::Floats values) {
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(to, &values, sizeof values);
  } else {
    typename Vectors<N>::Words words;
    std::memcpy(&words, &values, sizeof values);
    auto rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
    words = values == values ? rounded : (words >> 16) | 0x40;
    auto halves = __builtin_convertvector(words, typename Vectors<N>::Halves);
    std::memcpy(to, &halves, sizeof halves);
  }
}

// What a window sees along the last axis, K positions c numbers apart: the maximum so far, or a NaN once it is met.
template <int N, int K, typename T>
INLINE void maximum_row(const T* row, int64_t c, typename Vectors<N>::Floats& best) {
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k) {
    auto value = load_block<N>(row + k * c);
    best = value > best ? value : best;
    best = value == value ? best : value;
  }
}

// And which tap is chosen so far. A later tap is chosen unless what was chosen is at least as large: the first of
// equal ones stays, as in XLA, and a NaN gives way to whatever comes next.
template <int N, int K, typename T>
INLINE void choose_row(const T* row, int64_t c, int32_t tap, typename Vectors<N>::Floats& best,
                       typename Vectors<N>::Choices& choice) {
#pragma GCC unroll 4
  for (int k = 0; k < K; ++k) {
    auto value = load_block<N>(row + k * c);
    auto stays = best >= value;
    best = stays ? best : value;
    choice = stays ? choice : typename Vectors<N>::Choices{} + (tap + k);
  }
}

// A window: the taps of it that lie on the map, and where on the map (of one example) its first tap would be.
struct Window {
  Range deep, high, wide;
  int64_t corner;
};

INLINE Window window_of(const Pooling& p, int64_t line, int64_t ow) {
  const int64_t oh = line % p.out[1], od = line / p.out[1] % p.out[0];
  const int64_t d = od * p.stride[0] - p.pad[0], h = oh * p.stride[1] - p.pad[1], w = ow * p.stride[2] - p.pad[2];
  return {taps_of(p, 0, od), taps_of(p, 1, oh), taps_of(p, 2, ow), (d * p.in[1] + h) * p.in[2] + w};
}

INLINE int64_t offset(const Pooling& p, int64_t kd, int64_t kh, int64_t kw) {
  return ((kd * p.in[1] + kh) * p.in[2] + kw) * p.channels;
}

INLINE int32_t tap(const Pooling& p, int64_t kd, int64_t kh, int64_t kw) {
  return (kd * p.window[1] + kh) * p.window[2] + kw;
}

template <int N, typename T>
inline typename Vectors<N>::Floats maximum(const Pooling& p, const Window& w, const T* x) {
  const int64_t c = p.channels, count = w.wide.last - w.wide.first;
  auto best = load_block<N>(x + offset(p, w.deep.first, w.high.first, w.wide.first));
  for (int64_t kd = w.deep.first; kd < w.deep.last; ++kd)
    for (int64_t kh = w.high.first; kh < w.high.last; ++kh) {
      const T* row = x + offset(p, kd, kh, w.wide.first);
      if (count == 2) maximum_row<N, 2>(row, c, best);
      else if (count == 3) maximum_row<N, 3>(row, c, best);
      else
        for (int64_t k = 0; k < count; ++k) maximum_row<N, 1>(row + k * c, c, best);
    }
  return best;
}

template <int N, typename T>
inline typename Vectors<N>::Choices choice(const Pooling& p, const Window& w, const T* x) {
  const int64_t c = p.channels, count = w.wide.last - w.wide.first;
  auto best = load_block<N>(x + offset(p, w.deep.first, w.high.first, w.wide.first));
  auto chosen = typename Vectors<N>::Choices{} + tap(p, w.deep.first, w.high.first, w.wide.first);
  for (int64_t kd = w.deep.first; kd < w.deep.last; ++kd)
    for (int64_t kh = w.high.first; kh < w.high.last; ++kh) {
      const T* row = x + offset(p, kd, kh, w.wide.first);
      const int32_t first = tap(p, kd, kh, w.wide.first);
      if (count == 2) choose_row<N, 2>(row, c, first, best, chosen);
      else if (count == 3) choose_row<N, 3>(row, c, first, best, chosen);
      else
        for (int64_t k = 0; k < count; ++k) choose_row<N, 1>(row + k * c, c, first + k, best, chosen);
    }
  return chosen;
}

// One line of windows: the maximum of each.
template <int N, typename T>
void maximum_line(const Pooling& p, int64_t line, const T* x, T* y) {
  const int64_t c = p.channels;
  x += line / p.out[1] / p.out[0] * p.in[0] * p.in[1] * p.in[2] * c;
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Window w = window_of(p, line, ow);
    for (int64_t block = 0; block < c; block += N) {
      const int64_t at = std::min(block, c - N);
      store_block<N>(y + (line * p.out[2] + ow) * c + at, maximum<N>(p, w, x + w.corner * c + at));
    }
  }
}

// One line of windows: the tap that each has chosen.
template <int N, typename T>
void choose_line(const Pooling& p, int64_t line, const T* x, uint16_t* chosen) {
  const int64_t c = p.channels;
  x += line / p.out[1] / p.out[0] * p.in[0] * p.in[1] * p.in[2] * c;
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Window w = window_of(p, line, ow);
    for (int64_t block = 0; block < c; block += N) {
      const int64_t at = std::min(block, c - N);
      auto halves = __builtin_convertvector(choice<N>(p, w, x + w.corner * c + at), typename Vectors<N>::Halves);
      std::memcpy(chosen + ow * c + at, &halves, sizeof halves);
    }
  }
}

// What the windows of one line, which touch without overlapping, have to do with the map's gradient; and zeros for
// the positions behind the last window of an axis.
template <int N, typename T>
void gradient_apart(const Pooling& p, int64_t line, const T* x, const T* dy, T* dx) {
  const int64_t c = p.channels, oh = line % p.out[1], od = line / p.out[1] % p.out[0];
  const int64_t first = line / p.out[1] / p.out[0] * p.in[0] * p.in[1] * p.in[2] * c;
  for (int64_t ow = 0; ow < p.out[2]; ++ow) {
    const Window w = window_of(p, line, ow);
    for (int64_t block = 0; block < c; block += N) {
      const int64_t at = std::min(block, c - N), corner = first + w.corner * c + at;
      const auto chosen = choice<N>(p, w, x + corner);
      const auto more = load_block<N>(dy + (line * p.out[2] + ow) * c + at);
      for (int64_t kd = w.deep.first; kd < w.deep.last; ++kd)
        for (int64_t kh = w.high.first; kh < w.high.last; ++kh)
          for (int64_t kw = w.wide.first; kw < w.wide.last; ++kw) {
            auto taken = chosen == tap(p, kd, kh, kw) ? more : typename Vectors<N>::Floats{};
            store_block<N>(dx + corner + offset(p, kd, kh, kw), taken);
          }
    }
  }
  int64_t begin[3], end[3];  // of the positions that are this line's to write
  for (int i = 0; i < 3; ++i) {
    const int64_t o = i == 0 ? od : i == 1 ? oh : p.out[2] - 1;
    begin[i] = std::max<int64_t>(o * p.stride[i] - p.pad[i], 0), end[i] = (o + 1) * p.stride[i] - p.pad[i];
    if (o + 1 == p.out[i] || end[i] > p.in[i]) end[i] = p.in[i];
  }
  const int64_t last[3] = {p.out[0] * p.stride[0] - p.pad[0], p.out[1] * p.stride[1] - p.pad[1],
                           p.out[2] * p.stride[2] - p.pad[2]};
  for (int64_t d = begin[0]; d < end[0]; ++d)
    for (int64_t h = begin[1]; h < end[1]; ++h) {
      const int64_t w = d >= last[0] || h >= last[1] ? 0 : std::min(last[2], p.in[2]);
      std::memset(dx + first + ((d * p.in[1] + h) * p.in[2] + w) * c, 0, sizeof(T) * (p.in[2] - w) * c);
    }
}

// The gradient of a position that K windows see, in the order of the windows.
template <int N, int K, typename T>
void gather(int64_t c, const Seen<T>* seen, int64_t count, T* dx) {
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N);
    typename Vectors<N>::Floats sum = {};
#pragma GCC unroll 4
    for (int64_t i = 0; i < (K ? K : count); ++i) {
      typename Vectors<N>::Halves halves;
      std::memcpy(&halves, seen[i].chosen + at, sizeof halves);
      auto chosen = __builtin_convertvector(halves, typename Vectors<N>::Choices);
      sum += chosen == seen[i].tap ? load_block<N>(seen[i].dy + at) : typename Vectors<N>::Floats{};
    }
    store_block<N>(dx + at, sum);
  }
}

// One line of the map's gradient: each position takes from the windows that have chosen it.
template <int N, typename T>
void gradient_line(const Pooling& p, int64_t line, const T* x, const T* dy, T* dx, const Scratch<T>& s) {
  const int64_t c = p.channels, h = line % p.in[1], d = line / p.in[1] % p.in[0], n = line / p.in[1] / p.in[0];
  const Range deep = windows_of(p, 0, d), high = windows_of(p, 1, h);
  for (int64_t od = deep.first; od < deep.last; ++od)
    for (int64_t oh = high.first; oh < high.last; ++oh) {
      const int64_t place = od % s.deep * s.high + oh % s.high, wanted = (n * p.out[0] + od) * p.out[1] + oh;
      if (s.line[place] != wanted) choose_line<N>(p, wanted, x, s.chosen + place * p.out[2] * c);
      s.line[place] = wanted;
    }
  dx += line * p.in[2] * c;
  for (int64_t w = 0; w < p.in[2]; ++w, dx += c) {
    const Range wide = windows_of(p, 2, w);
    int64_t count = 0;
    for (int64_t od = deep.first; od < deep.last; ++od)
      for (int64_t oh = high.first; oh < high.last; ++oh) {
        const int64_t place = od % s.deep * s.high + oh % s.high, window = (n * p.out[0] + od) * p.out[1] + oh;
        const int64_t kd = d + p.pad[0] - od * p.stride[0], kh = h + p.pad[1] - oh * p.stride[1];
        for (int64_t ow = wide.first; ow < wide.last; ++ow)
          s.seen[count++] = {s.chosen + (place * p.out[2] + ow) * c, dy + (window * p.out[2] + ow) * c,
                             tap(p, kd, kh, w + p.pad[2] - ow * p.stride[2])};
      }
    switch (count) {
      case 1: gather<N, 1>(c, s.seen, count, dx); break;
      case 2: gather<N, 2>(c, s.seen, count, dx); break;
      case 4: gather<N, 4>(c, s.seen, count, dx); break;
      default: gather<N, 0>(c, s.seen, count, dx);
    }
  }
}

template <int N, typename T>
void run_lines(const Pooling& p, Range lines, const T* x, const T* dy, T* made, const Scratch<T>& s) {
  const bool apart = p.apart();
  for (int64_t line = lines.first; line < lines.last; ++line) {
    if (dy == nullptr) maximum_line<N>(p, line, x, made);
    else if (apart) gradient_apart<N>(p, line, x, dy, made);
    else gradient_line<N>(p, line, x, dy, made, s);
  }
}

// The lines' maxima, or with dy their gradient.
template <typename T>
void run(const Pooling& p, Range lines, const T* x, const T* dy, T* made, const Scratch<T>& s) {
  if (p.channels >= WIDEST) return run_lines<WIDEST>(p, lines, x, dy, made, s);
  if (p.channels >= 4) return run_lines<4>(p, lines, x, dy, made, s);
  return run_lines<1>(p, lines, x, dy, made, s);
}
