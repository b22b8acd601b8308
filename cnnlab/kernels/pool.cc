// Max-pooling of a map whose channels lie last, and its gradient.
//
// A line is the positions along the last spatial axis at one place of all the others. Every line of what is made is
// made whole, by one thread and in one order, so that no bit depends on how many threads there are.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "lanes.h"  // Bfloat16
#include "pooling.h"
#include "threads.h"

namespace cnnlab {
namespace {

// Where windows are apart: how many positions they cover, and which are window `o`'s, the last having all that follow.
inline int64_t covered(const Pooling& p, int axis) {
  return std::min(p.out[axis] * p.stride[axis] - p.pad[axis], p.in[axis]);
}
inline Range own(const Pooling& p, int axis, int64_t o) {
  const int64_t begin = o * p.stride[axis] - p.pad[axis];
  return {std::max<int64_t>(begin, 0), o + 1 == p.out[axis] ? p.in[axis] : begin + p.stride[axis]};
}

// A row of taps that lie on the map: the map's line that they are in, and the tap at which the row begins.
template <typename T>
struct Row {
  const T* x;
  int32_t tap;
};

// A line of windows that see a position: what they have chosen, their own gradient, the tap at which the row of taps
// begins that sees the position.
template <typename T>
struct Seen {
  const int32_t* chosen;
  const T* dy;
  int32_t tap;
};

// What a thread needs beside the maps: the choices of the lines of windows that a line of the map can meet, of which
// `line` says which they are, and lists of rows and lines.
template <typename T>
struct Scratch {
  int64_t deep, high;  // lines kept along the first two axes
  bool streams;        // the gradient past the caches
  int64_t* line;
  Row<T>* rows;
  Seen<T>* met;
  int32_t* chosen;
};

inline int64_t most(const Pooling& p, int axis) {
  return std::min((p.window[axis] + p.stride[axis] - 1) / p.stride[axis], p.out[axis]);
}

template <typename T>
Scratch<T> scratch_of(const Pooling& p, bool gradient, Buffer& buffer) {
  Scratch<T> s;
  s.deep = most(p, 0);
  s.high = p.in[0] == 1 ? most(p, 1) : p.out[1];  // of volumes every line comes again, at the next depth
  const size_t lines = s.deep * s.high, met = s.deep * most(p, 1), rows = p.window[0] * p.window[1];
  const size_t choices = gradient ? lines * p.out[2] * p.channels : 0;
  const size_t bytes = sizeof(int64_t) * lines + sizeof(Row<T>) * rows + sizeof(Seen<T>) * met;
  s.line = static_cast<int64_t*>(buffer.get(bytes + sizeof(int32_t) * choices));
  s.rows = reinterpret_cast<Row<T>*>(s.line + lines);
  s.met = reinterpret_cast<Seen<T>*>(s.rows + rows);
  s.chosen = reinterpret_cast<int32_t*>(s.met + met);
  std::fill_n(s.line, lines, -1);
  return s;
}

// The rows of taps of a line of windows; how many there are.
template <typename T>
int64_t rows_of(const Pooling& p, int64_t line, const T* x, Row<T>* rows) {
  const int64_t oh = line % p.out[1], od = line / p.out[1] % p.out[0], n = line / p.out[1] / p.out[0];
  const int64_t d = od * p.stride[0] - p.pad[0], h = oh * p.stride[1] - p.pad[1];
  const Range deep = taps_of(p, 0, od), high = taps_of(p, 1, oh);
  int64_t count = 0;
  for (int64_t kd = deep.first; kd < deep.last; ++kd)
    for (int64_t kh = high.first; kh < high.last; ++kh)
      rows[count++] = {x + ((n * p.in[0] + d + kd) * p.in[1] + h + kh) * p.in[2] * p.channels,
                       int32_t((kd * p.window[1] + kh) * p.window[2])};
  return count;
}

#define LINES "pool_lines.h"
#include "for_each_processor.h"

thread_local Buffer scratch_buffer;

template <typename T>
void run(const Pooling& p, Range lines, const void* x, const void* dy, void* made) {
  auto from = static_cast<const T*>(x), g = static_cast<const T*>(dy);
  auto to = static_cast<T*>(made);
  Scratch<T> s = scratch_of<T>(p, dy != nullptr, scratch_buffer);
  const int64_t numbers = p.batch * p.in[0] * p.in[1] * p.in[2] * p.channels;
  s.streams = dy && streamed(made, numbers * sizeof(T), p.channels);
  ON_THIS_PROCESSOR(run(p, lines, from, g, to, s))
  if (s.streams) _mm_sfence();
}

// The maxima, or with dy the gradient; a thread takes lines that follow one another.
ffi::Error pool_lines(ffi::ThreadPool& pool, ffi::Span<const int64_t> numbers, const void* x, const void* dy,
                      void* made) {
  return pool_by_lines(pool, numbers, [&](const Pooling& p) { return dy && !p.apart(); },
                       [&](const Pooling& p, Range lines) {
                         (p.type ? run<Bfloat16> : run<float>)(p, lines, x, dy, made);
                       });
}

ffi::Error maximum(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> y,
                   ffi::Span<const int64_t> numbers) {
  return pool_lines(pool, numbers, x.untyped_data(), nullptr, y->untyped_data());
}

ffi::Error gradient(ffi::ThreadPool pool, ffi::AnyBuffer dy, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> dx,
                    ffi::Span<const int64_t> numbers) {
  return pool_lines(pool, numbers, x.untyped_data(), dy.untyped_data(), dx->untyped_data());
}

}  // namespace
}  // namespace cnnlab

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_max_pool, cnnlab::maximum,
                              cnnlab::ffi::Ffi::Bind()
                                  .Ctx<cnnlab::ffi::ThreadPool>()
                                  .Arg<cnnlab::ffi::AnyBuffer>()
                                  .Ret<cnnlab::ffi::AnyBuffer>()
                                  .Attr<cnnlab::ffi::Span<const int64_t>>("pooling"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_max_pool_gradient, cnnlab::gradient,
                              cnnlab::ffi::Ffi::Bind()
                                  .Ctx<cnnlab::ffi::ThreadPool>()
                                  .Arg<cnnlab::ffi::AnyBuffer>()
                                  .Arg<cnnlab::ffi::AnyBuffer>()
                                  .Ret<cnnlab::ffi::AnyBuffer>()
                                  .Attr<cnnlab::ffi::Span<const int64_t>>("pooling"));
