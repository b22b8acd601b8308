// Average pooling of a map whose channels lie last, padded positions not counted, and its gradient.
//
// Both make a line of positions from some rows of others, a few neighbours of each: forward from the taps, divided by
// how many of them lie on the map; backward from the windows that see a position, each divided by its own number of
// taps, which is a product of one number an axis. Each line is made by one thread in one order.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lanes.h"  // Bfloat16
#include "pooling.h"
#include "threads.h"

namespace cnnlab {
namespace {

template <typename T>
struct Row {
  const T* from;
  float weight;
};

// What a position is made from along the line; `weighed`: neighbours have weights of their own.
struct Place {
  Range seen;
  bool weighed;
  float scale;
};

#define LINES "average_pool_lines.h"
#include "for_each_processor.h"

inline float inverse_of(Range taps) { return 1.0f / float(taps.last - taps.first); }

// Every line of the pooled map, or with `backward` of the map's gradient.
template <typename T>
void run(const Pooling& p, Range lines, bool backward, const T* from, T* made) {
  const int64_t *size = backward ? p.in : p.out, *other = backward ? p.out : p.in, c = p.channels;
  const auto seen = [&](int axis, int64_t i) {
    if (backward) return windows_of(p, axis, i);
    const Range taps = taps_of(p, axis, i);
    const int64_t begin = i * p.stride[axis] - p.pad[axis];
    return Range{begin + taps.first, begin + taps.last};
  };
  std::vector<Place> places(size[2]);
  std::vector<float> weights(std::max(p.out[2], p.window[2]), 1.0f);
  for (int64_t w = 0; w < size[2]; ++w)
    places[w] = {seen(2, w), backward, backward ? 1.0f : inverse_of(taps_of(p, 2, w))};
  if (backward)
    for (int64_t w = 0; w < p.out[2]; ++w) weights[w] = inverse_of(taps_of(p, 2, w));
  const bool streams = streamed(made, p.batch * size[0] * size[1] * size[2] * c * sizeof(T), c);
  std::vector<Row<T>> rows;
  for (int64_t line = lines.first; line < lines.last; ++line) {
    const int64_t h = line % size[1], d = line / size[1] % size[0], n = line / size[1] / size[0];
    const Range deep = seen(0, d), high = seen(1, h);
    rows.clear();
    for (int64_t i = deep.first; i < deep.last; ++i)
      for (int64_t j = high.first; j < high.last; ++j) {
        const float weight = inverse_of(taps_of(p, 0, backward ? i : d)) * inverse_of(taps_of(p, 1, backward ? j : h));
        rows.push_back({from + ((n * other[0] + i) * other[1] + j) * other[2] * c, weight});
      }
    T* to = made + line * size[2] * c;
    ON_THIS_PROCESSOR(make_line(c, rows.data(), rows.size(), places, weights.data(), to, streams))
  }
  if (streams) _mm_sfence();
}

ffi::Error average(ffi::ThreadPool& pool, ffi::Span<const int64_t> numbers, bool backward, const void* from,
                   void* made) {
  return pool_by_lines(pool, numbers, [&](const Pooling&) { return backward; }, [&](const Pooling& p, Range lines) {
    if (p.type) run(p, lines, backward, static_cast<const Bfloat16*>(from), static_cast<Bfloat16*>(made));
    else run(p, lines, backward, static_cast<const float*>(from), static_cast<float*>(made));
  });
}

ffi::Error forward(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> y,
                   ffi::Span<const int64_t> numbers) {
  return average(pool, numbers, false, x.untyped_data(), y->untyped_data());
}

ffi::Error gradient(ffi::ThreadPool pool, ffi::AnyBuffer dy, ffi::Result<ffi::AnyBuffer> dx,
                    ffi::Span<const int64_t> numbers) {
  return average(pool, numbers, true, dy.untyped_data(), dx->untyped_data());
}

}  // namespace
}  // namespace cnnlab

#define AVERAGE_POOL                                    \
  cnnlab::ffi::Ffi::Bind()                              \
      .Ctx<cnnlab::ffi::ThreadPool>()                   \
      .Arg<cnnlab::ffi::AnyBuffer>()                    \
      .Ret<cnnlab::ffi::AnyBuffer>()                    \
      .Attr<cnnlab::ffi::Span<const int64_t>>("pooling")

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_average_pool, cnnlab::forward, AVERAGE_POOL);
XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_average_pool_gradient, cnnlab::gradient, AVERAGE_POOL);
