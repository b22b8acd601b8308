// Max-pooling of a map whose channels lie last, and its gradient.
//
// A line is the positions along the last spatial axis at one place of all the others. Every line of what is made is
// made whole, by one thread and in one order, so that no bit depends on how many threads there are.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "lanes.h"  // Bfloat16
#include "threads.h"

// What is to be done sixteen at a time says so; on lists of a few addresses GCC only wastes time and code with it.
#pragma GCC optimize("no-tree-vectorize")

namespace cnnlab {
namespace {

// [batch, *in, channels] pooled to [batch, *out, channels]; fewer than three spatial axes begin with axes of one
// position. pooling.py writes the same order of numbers.
struct Pooling {
  int64_t batch, channels;
  int64_t in[3], out[3], window[3], stride[3], pad[3];
  int64_t type;  // 0 float32, 1 bfloat16

  // Whether windows touch without overlapping, so that a position is in one window at most.
  bool apart() const { return std::equal(window, window + 3, stride); }
};
constexpr size_t kNumbers = sizeof(Pooling) / sizeof(int64_t);

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

#define INLINE inline __attribute__((always_inline))

namespace oldest {
#define WIDEST 4
#include "pool_lines.h"
#undef WIDEST
}  // namespace oldest
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define WIDEST 8
#include "pool_lines.h"
#undef WIDEST
}  // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
#define WIDEST 16
#include "pool_lines.h"
#undef WIDEST
}  // namespace avx512
#pragma GCC pop_options

enum class Processor { kOldest, kAvx2, kAvx512 };

Processor processor() {
  static const Processor found = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                                         __builtin_cpu_supports("avx512vl")
                                     ? Processor::kAvx512
                                 : __builtin_cpu_supports("avx2") ? Processor::kAvx2
                                                                  : Processor::kOldest;
  return found;
}

thread_local Buffer scratch_buffer;

template <typename T>
void run(const Pooling& p, Range lines, const void* x, const void* dy, void* made) {
  auto from = static_cast<const T*>(x), g = static_cast<const T*>(dy);
  auto to = static_cast<T*>(made);
  const Scratch<T> s = scratch_of<T>(p, dy != nullptr, scratch_buffer);
  switch (processor()) {
    case Processor::kAvx512: return avx512::run(p, lines, from, g, to, s);
    case Processor::kAvx2: return avx2::run(p, lines, from, g, to, s);
    case Processor::kOldest: return oldest::run(p, lines, from, g, to, s);
  }
}

// The maxima, or with dy the gradient; a thread takes lines that follow one another.
ffi::Error pool_lines(ffi::ThreadPool& pool, ffi::Span<const int64_t> numbers, const void* x, const void* dy,
                      void* made) {
  if (numbers.size() != kNumbers) return ffi::Error::InvalidArgument("a pooling of another version of cnnlab");
  Pooling p;
  std::memcpy(&p, numbers.begin(), sizeof p);
  const int64_t* size = dy && !p.apart() ? p.in : p.out;
  const int64_t lines = p.batch * size[0] * size[1];
  // Waking a thread costs some ten microseconds, in which a core reads about this many numbers.
  const int64_t worth = p.batch * p.in[0] * p.in[1] * p.in[2] * p.channels / 32768;
  const int64_t count = std::max<int64_t>(1, std::min({int64_t(pool.num_threads()), lines, worth}));
  try {
    spread(pool, count, [&](size_t i) {
      Range range{lines * int64_t(i) / count, lines * int64_t(i + 1) / count};
      (p.type ? run<Bfloat16> : run<float>)(p, range, x, dy, made);
    });
  } catch (const std::exception& e) {
    return ffi::Error::Internal(std::string("max-pooling: ") + e.what());
  }
  return ffi::Error::Success();
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
