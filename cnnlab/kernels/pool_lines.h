// The work of max-pooling on one line, for each kind of processor: see for_each_processor.h.
//
// Channels go in blocks of the largest N that they fill; the last block may begin in the one before it and make the same
// numbers again.

// The maximum of a window, or a NaN where it sees one: K positions (`wide` where K is 0) of each row, c numbers apart.
template <int N, int K, typename T>
inline void maximum(int64_t c, const Row<T>* rows, int64_t count, int64_t from, int64_t wide, T* y) {
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N);
    auto best = load_block<N>(rows[0].x + from + at);
    for (int64_t r = 0; r < count; ++r) {
      const T* x = rows[r].x + from + at;
#pragma GCC unroll 4
      for (int64_t k = 0; k < (K ? K : wide); ++k, x += c) {
        auto value = load_block<N>(x);
        best = value > best ? value : best;
        best = value == value ? best : value;
      }
    }
    store_block<N>(y + at, best);
  }
}

// The tap that a window has chosen. A later tap is chosen unless what was chosen is at least as large: the first of
// equal ones stays, as in XLA, and a NaN gives way to whatever comes next.
template <int N, int K, typename T>
inline void choose(int64_t c, const Row<T>* rows, int64_t count, int64_t from, int64_t wide, int32_t first,
                   int32_t* chosen) {
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N);
    auto best = load_block<N>(rows[0].x + from + at);
    auto choice = typename Vectors<N>::Choices{} + (rows[0].tap + first);
    for (int64_t r = 0; r < count; ++r) {
      const T* x = rows[r].x + from + at;
      auto tap = typename Vectors<N>::Choices{} + (rows[r].tap + first);
#pragma GCC unroll 4
      for (int64_t k = 0; k < (K ? K : wide); ++k, x += c, tap += 1) {
        auto value = load_block<N>(x);
        auto stays = best >= value;
        best = stays ? best : value;
        choice = stays ? choice : tap;
      }
    }
    std::memcpy(chosen + at, &choice, sizeof choice);
  }
}

// One line of windows: the maximum of each.
template <int N, typename T>
inline void maximum_line(const Pooling& p, int64_t line, const T* x, T* y, const Scratch<T>& s) {
  const int64_t c = p.channels, count = rows_of(p, line, x, s.rows);
  y += line * p.out[2] * c;
  for (int64_t ow = 0; ow < p.out[2]; ++ow, y += c) {
    const Range taps = taps_of(p, 2, ow);
    const int64_t from = (ow * p.stride[2] - p.pad[2] + taps.first) * c, wide = taps.last - taps.first;
    if (wide == 2) maximum<N, 2>(c, s.rows, count, from, wide, y);
    else if (wide == 3) maximum<N, 3>(c, s.rows, count, from, wide, y);
    else maximum<N, 0>(c, s.rows, count, from, wide, y);
  }
}

// One line of windows: the tap that each has chosen.
template <int N, typename T>
inline void choose_line(const Pooling& p, int64_t line, const T* x, int32_t* chosen, const Scratch<T>& s) {
  const int64_t c = p.channels, count = rows_of(p, line, x, s.rows);
  for (int64_t ow = 0; ow < p.out[2]; ++ow, chosen += c) {
    const Range taps = taps_of(p, 2, ow);
    const int64_t from = (ow * p.stride[2] - p.pad[2] + taps.first) * c, wide = taps.last - taps.first;
    if (wide == 2) choose<N, 2>(c, s.rows, count, from, wide, taps.first, chosen);
    else if (wide == 3) choose<N, 3>(c, s.rows, count, from, wide, taps.first, chosen);
    else choose<N, 0>(c, s.rows, count, from, wide, taps.first, chosen);
  }
}

// What a window that shares no position with another has to do with the map's gradient.
template <int N, int K, typename T>
inline void scatter(int64_t c, const Row<T>* rows, int64_t count, int64_t from, int64_t wide, int32_t first,
                    const int32_t* chosen, const T* dy, const T* x, T* dx, bool streams) {
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N);
    const auto more = load_block<N>(dy + at);
    typename Vectors<N>::Choices choice;
    std::memcpy(&choice, chosen + at, sizeof choice);
    for (int64_t r = 0; r < count; ++r) {
      T* to = dx + (rows[r].x - x) + from + at;
#pragma GCC unroll 4
      for (int64_t k = 0; k < (K ? K : wide); ++k, to += c)
        store_block<N>(to, choice == int32_t(rows[r].tap + first + k) ? more : Floats<N>{}, streams);
    }
  }
}

// One line of such windows; and zeros for the positions behind the last window of an axis.
template <int N, typename T>
inline void gradient_apart(const Pooling& p, int64_t line, const T* x, const T* dy, T* dx, const Scratch<T>& s) {
  const int64_t c = p.channels, count = rows_of(p, line, x, s.rows);
  dy += line * p.out[2] * c;
  for (int64_t ow = 0; ow < p.out[2]; ++ow, dy += c) {
    const Range taps = taps_of(p, 2, ow);
    const int64_t from = (ow * p.stride[2] - p.pad[2] + taps.first) * c, wide = taps.last - taps.first;
    if (wide == 2) {
      choose<N, 2>(c, s.rows, count, from, wide, taps.first, s.chosen);
      scatter<N, 2>(c, s.rows, count, from, wide, taps.first, s.chosen, dy, x, dx, s.streams);
    } else {
      choose<N, 0>(c, s.rows, count, from, wide, taps.first, s.chosen);
      scatter<N, 0>(c, s.rows, count, from, wide, taps.first, s.chosen, dy, x, dx, s.streams);
    }
  }
  const int64_t oh = line % p.out[1], od = line / p.out[1] % p.out[0], n = line / p.out[1] / p.out[0];
  const Range deep = own(p, 0, od), high = own(p, 1, oh);
  for (int64_t d = deep.first; d < deep.last; ++d)
    for (int64_t h = high.first; h < high.last; ++h) {
      const bool behind = d >= covered(p, 0) || h >= covered(p, 1);
      const int64_t w = behind ? 0 : covered(p, 2);
      std::memset(dx + (((n * p.in[0] + d) * p.in[1] + h) * p.in[2] + w) * c, 0, sizeof(T) * (p.in[2] - w) * c);
    }
}

// The gradient of a position that K windows of each of L lines see (`lines` and `count` where these are 0), in the
// order of the windows; `tap` is the place in a row of taps at which the first of the windows sees it.
template <int N, int L, int K, typename T>
inline void gather(const Pooling& p, const Seen<T>* seen, int64_t lines, Range wide, int64_t tap, T* dx, bool streams) {
  const int64_t c = p.channels;
  for (int64_t block = 0; block < c; block += N) {
    const int64_t at = std::min(block, c - N), from = wide.first * c + at;
    Floats<N> sum = {};
#pragma GCC unroll 2
    for (int64_t l = 0; l < (L ? L : lines); ++l) {
#pragma GCC unroll 2
      for (int64_t k = 0; k < (K ? K : wide.last - wide.first); ++k) {
        typename Vectors<N>::Choices chosen;
        std::memcpy(&chosen, seen[l].chosen + from + k * c, sizeof chosen);
        const int32_t here = seen[l].tap + tap - k * p.stride[2];
        sum += chosen == here ? load_block<N>(seen[l].dy + from + k * c) : Floats<N>{};
      }
    }
    store_block<N>(dx + at, sum, streams);
  }
}

// One line of the map's gradient: each position takes from the windows that have chosen it.
template <int N, typename T>
inline void gradient_line(const Pooling& p, int64_t line, const T* x, const T* dy, T* dx, const Scratch<T>& s) {
  const int64_t c = p.channels, h = line % p.in[1], d = line / p.in[1] % p.in[0], n = line / p.in[1] / p.in[0];
  const Range deep = windows_of(p, 0, d), high = windows_of(p, 1, h);
  int64_t lines = 0;
  for (int64_t od = deep.first; od < deep.last; ++od)
    for (int64_t oh = high.first; oh < high.last; ++oh) {
      const int64_t place = od % s.deep * s.high + oh % s.high, wanted = (n * p.out[0] + od) * p.out[1] + oh;
      int32_t* chosen = s.chosen + place * p.out[2] * c;
      if (s.line[place] != wanted) choose_line<N>(p, wanted, x, chosen, s);
      s.line[place] = wanted;
      const int64_t kd = d + p.pad[0] - od * p.stride[0], kh = h + p.pad[1] - oh * p.stride[1];
      s.met[lines++] = {chosen, dy + wanted * p.out[2] * c, int32_t((kd * p.window[1] + kh) * p.window[2])};
    }
  dx += line * p.in[2] * c;
  for (int64_t w = 0; w < p.in[2]; ++w, dx += c) {
    const Range wide = windows_of(p, 2, w);
    const int64_t count = wide.last - wide.first, tap = w + p.pad[2] - wide.first * p.stride[2];
    if (lines == 1 && count == 1) gather<N, 1, 1>(p, s.met, lines, wide, tap, dx, s.streams);
    else if (lines == 1 && count == 2) gather<N, 1, 2>(p, s.met, lines, wide, tap, dx, s.streams);
    else if (lines == 2 && count == 1) gather<N, 2, 1>(p, s.met, lines, wide, tap, dx, s.streams);
    else if (lines == 2 && count == 2) gather<N, 2, 2>(p, s.met, lines, wide, tap, dx, s.streams);
    else gather<N, 0, 0>(p, s.met, lines, wide, tap, dx, s.streams);
  }
}

template <int N, typename T>
void run_lines(const Pooling& p, Range lines, const T* x, const T* dy, T* made, const Scratch<T>& s) {
  const bool apart = p.apart();
  for (int64_t line = lines.first; line < lines.last; ++line) {
    if (dy == nullptr) maximum_line<N>(p, line, x, made, s);
    else if (apart) gradient_apart<N>(p, line, x, dy, made, s);
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
