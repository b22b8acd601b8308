// Where the windows of a pooling lie on a map whose channels lie last, and its lines cut among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "threads.h"

namespace cnnlab {

// [batch, *in, channels] pooled to [batch, *out, channels]; fewer than three spatial axes begin with axes of one
// position. pooling.py writes the same order of numbers.
struct Pooling {
  int64_t batch, channels;
  int64_t in[3], out[3], window[3], stride[3], pad[3];
  int64_t type;  // 0 float32, 1 bfloat16

  // Whether windows touch without overlapping, so that a position is in one window at most.
  bool apart() const { return std::equal(window, window + 3, stride); }
};

// first ... last - 1
struct Range {
  int64_t first, last;
};

// The taps of window `o` that lie on the map, along an axis.
inline Range taps_of(const Pooling& p, int axis, int64_t o) {
  int64_t begin = o * p.stride[axis] - p.pad[axis];
  return {std::max<int64_t>(0, -begin), std::min(p.window[axis], p.in[axis] - begin)};
}

// The windows that see position `i`, along an axis.
inline Range windows_of(const Pooling& p, int axis, int64_t i) {
  int64_t before = i + p.pad[axis] - p.window[axis];
  int64_t first = before < 0 ? 0 : before / p.stride[axis] + 1;
  return {first, std::min((i + p.pad[axis]) / p.stride[axis] + 1, p.out[axis])};
}

// Makes `make(pooling, lines)` do every line of the map, or of the pooled one, each thread lines that follow one another.
template <typename Of, typename Make>
ffi::Error pool_by_lines(ffi::ThreadPool& pool, ffi::Span<const int64_t> numbers, const Of& of_the_map,
                         const Make& make) {
  return guarded("pooling", [&] {
    const auto p = described<Pooling>(numbers);
    const int64_t* size = of_the_map(p) ? p.in : p.out;
    const int64_t lines = p.batch * size[0] * size[1];
    // Waking a thread costs some ten microseconds, in which a core reads about this many numbers.
    const int64_t worth = p.batch * p.in[0] * p.in[1] * p.in[2] * p.channels / 32768;
    const int64_t count = std::max<int64_t>(1, std::min({int64_t(pool.num_threads()), lines, worth}));
    spread(pool, count, [&](size_t i) {
      make(p, Range{lines * int64_t(i) / count, lines * int64_t(i + 1) / count});
    });
  });
}

}  // namespace cnnlab
