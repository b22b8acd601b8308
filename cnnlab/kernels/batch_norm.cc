// Batch normalisation in training, with a map added behind it and an activation behind that, on channels-last maps:
// y = f((x - mean) / sqrt(variance + epsilon) * scale + bias + residual), and its gradients.
//
// A map [rows, channels] is walked as [lines, width], a line being the fewest rows whose width is a multiple of 16:
// 16 numbers are one load then, whatever the channels. The rows behind the last whole line go float by float.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lanes.h"  // Bfloat16
#include "threads.h"

namespace {

using namespace cnnlab;

// As batch_norm.py numbers them.
enum Activation : int32_t { kIdentity, kRelu, kSwish };

// Numbers of each of `width` lanes, which a loop over a line takes: z = (x - mean) * factor + bias.
struct Tables {
  const float *mean, *factor, *bias;
};

#define LINES "batch_norm_lines.h"
#include "for_each_processor.h"

using Numbers = ffi::Result<ffi::Buffer<ffi::F32>>;

constexpr int64_t kChunk = 16384;  // floats whose sums are taken in single precision
constexpr int64_t kLines = 64;     // or of lines so long that they are fewer, so many
constexpr int64_t kAlone = 16384;  // fewer are not worth another thread

struct Map {
  int64_t rows, channels, width, lines, rest, step, tasks;

  Map(ffi::Span<const int64_t> shape, const ffi::ThreadPool& pool) {
    channels = shape.back();
    rows = std::accumulate(shape.begin(), shape.end() - 1, int64_t{1}, std::multiplies<>());
    const int64_t rows_of_line = 16 / std::gcd(channels, int64_t{16});
    width = rows_of_line * channels, lines = rows / rows_of_line, rest = rows % rows_of_line * channels;
    step = std::max<int64_t>(kLines, kChunk / width);
    tasks = std::max<int64_t>(1, std::min({pool.num_threads(), rows * channels / kAlone, lines}));
  }

  // Calls use(task, line, lines, rest) for each chunk of lines, the tasks on the pool; `rest` is 0 but for the last.
  // Going backwards finds in the cache what the pass before, going forwards, has left there.
  template <typename Use>
  void each_chunk(ffi::ThreadPool& pool, bool backwards, const Use& use) const {
    spread(pool, tasks, [&](size_t task) {
      const int64_t first = lines * task / tasks, last = lines * (task + 1) / tasks;
      const int64_t chunks = std::max<int64_t>(1, (last - first + step - 1) / step);
      for (int64_t i = 0; i < chunks; ++i) {
        const int64_t chunk = backwards ? chunks - 1 - i : i, line = first + chunk * step;
        const bool at_end = task + 1 == size_t(tasks) && chunk + 1 == chunks;
        use(task, line, std::min(step, last - line), at_end ? rest : 0);
      }
    });
  }

  // Numbers of the channels, again and again until a line is full.
  template <typename Of>
  std::vector<float> along(const Of& of) const {
    std::vector<float> made(width);
    for (int64_t c = 0; c < channels; ++c) made[c] = of(c);
    for (int64_t i = channels; i < width; ++i) made[i] = made[i - channels];
    return made;
  }
};

// How many values there are, their mean, and the sum of squared distances from it.
struct Moments {
  double count = 0, mean = 0, squares = 0;

  // Chan, Golub and LeVeque 1983, eq. 2.1.
  void add(const Moments& more) {
    if (more.count == 0) return;
    const double apart = more.mean - mean, all = count + more.count;
    mean += apart * (more.count / all);
    squares += more.squares + apart * apart * (count * more.count / all);
    count = all;
  }
};

// What one task has seen of each lane.
struct Seen {
  double lines = 0;
  std::vector<double> mean, squares;
};

// Sums about the first line, so that a large mean costs no digits; or, where that lies far from all others in a lane,
// about the means that were so found.
template <typename T>
void take_moments(const T* x, int64_t lines, int64_t width, std::vector<float>& origin, std::vector<float>& sum,
                  std::vector<float>& squares) {
  origin.resize(width), sum.resize(width), squares.resize(width);
  for (int64_t i = 0; i < width; ++i) origin[i] = load<float>(x + i);
  ON_THIS_PROCESSOR(moments(x, origin.data(), lines, width, sum.data(), squares.data()))
  bool far = false;
  for (int64_t i = 0; i < width; ++i) far |= sum[i] * sum[i] > 0.99f * lines * squares[i];
  if (!far) return;
  for (int64_t i = 0; i < width; ++i) origin[i] += sum[i] / lines;
  ON_THIS_PROCESSOR(moments(x, origin.data(), lines, width, sum.data(), squares.data()))
}

template <typename T>
std::vector<Moments> moments_of(const Map& map, ffi::ThreadPool& pool, const T* x) {
  const std::vector<double> none(map.width);
  std::vector<Seen> seen(map.tasks, {0, none, none});
  map.each_chunk(pool, false, [&](size_t task, int64_t line, int64_t lines, int64_t) {
    if (lines == 0) return;
    static thread_local std::vector<float> origin, sum, squares;
    take_moments(x + line * map.width, lines, map.width, origin, sum, squares);
    Seen& so_far = seen[task];
    so_far.lines += lines;
    // Moments::add for all lanes, which have the same counts.
    const double share = lines / so_far.lines, both = (so_far.lines - lines) * share;
    for (int64_t i = 0; i < map.width; ++i) {
      const double from_origin = double(sum[i]) / lines, apart = origin[i] + from_origin - so_far.mean[i];
      so_far.mean[i] += apart * share;
      so_far.squares[i] += std::max(squares[i] - sum[i] * from_origin, 0.0) + apart * apart * both;
    }
  });
  std::vector<Moments> made(map.channels);
  for (const Seen& of : seen)
    for (int64_t i = 0; i < map.width; ++i) made[i % map.channels].add({of.lines, of.mean[i], of.squares[i]});
  for (int64_t i = 0; i < map.rest; ++i)
    made[i % map.channels].add({1, load<float>(x + map.lines * map.width + i), 0});
  return made;
}

template <typename T>
void forward_of(const Map& map, ffi::ThreadPool& pool, const T* x, const T* added, const float* scale,
                const float* bias, T* y, float* mean, float* variance, float epsilon, Activation activation) {
  const auto found = moments_of(map, pool, x);
  for (int64_t c = 0; c < map.channels; ++c) mean[c] = found[c].mean, variance[c] = found[c].squares / found[c].count;
  const auto means = map.along([&](int64_t c) { return mean[c]; });
  const auto factors = map.along([&](int64_t c) { return scale[c] / std::sqrt(variance[c] + epsilon); });
  const auto biases = map.along([&](int64_t c) { return bias[c]; });
  const Tables tables{means.data(), factors.data(), biases.data()};
  const bool streams = streamed(y, map.rows * map.channels * sizeof(T), map.width);
  map.each_chunk(pool, true, [&](size_t, int64_t line, int64_t lines, int64_t rest) {
    const int64_t at = line * map.width;
    const T* more = added ? added + at : nullptr;
    ON_THIS_PROCESSOR(apply(activation, tables, x + at, more, y + at, lines, map.width, rest, streams))
    if (streams) _mm_sfence();
  });
}

template <typename T>
void backward_of(const Map& map, ffi::ThreadPool& pool, const T* x, const T* dy, const T* third, const float* scale,
                 const float* bias, const float* mean, const float* variance, T* dx, float* dscale, float* dbias,
                 T* dz, float epsilon, Activation activation) {
  const auto deviation = [&](int64_t c) { return std::sqrt(variance[c] + epsilon); };
  const auto means = map.along([&](int64_t c) { return mean[c]; });
  const auto factors = map.along([&](int64_t c) { return scale[c] / deviation(c); });
  const auto biases = map.along([&](int64_t c) { return bias[c]; });
  const Tables tables{means.data(), factors.data(), biases.data()};
  std::vector<std::vector<double>> sum(map.tasks, std::vector<double>(map.width)), product = sum;
  map.each_chunk(pool, false, [&](size_t task, int64_t line, int64_t lines, int64_t rest) {
    static thread_local std::vector<float> part, part_of_product;
    part.assign(map.width, 0), part_of_product.assign(map.width, 0);
    const int64_t at = line * map.width;
    const T* more = third ? third + at : nullptr;
    T* made = third ? dz + at : nullptr;
    ON_THIS_PROCESSOR(sums(activation, tables, x + at, more, dy + at, made, lines, map.width, rest, part.data(),
                             part_of_product.data()))
    for (int64_t i = 0; i < map.width; ++i) sum[task][i] += part[i], product[task][i] += part_of_product[i];
  });
  std::vector<double> total(map.channels), total_product(map.channels);
  for (int64_t task = 0; task < map.tasks; ++task)
    for (int64_t i = 0; i < map.width; ++i) {
      total[i % map.channels] += sum[task][i];
      total_product[i % map.channels] += product[task][i];
    }
  for (int64_t c = 0; c < map.channels; ++c) dbias[c] = total[c], dscale[c] = total_product[c] / deviation(c);
  const auto shift = map.along([&](int64_t c) { return total[c] / map.rows; });
  const auto tilt = map.along([&](int64_t c) { return total_product[c] / map.rows / (variance[c] + epsilon); });
  const Activation left = third ? kIdentity : activation;
  map.each_chunk(pool, true, [&](size_t, int64_t line, int64_t lines, int64_t rest) {
    const int64_t at = line * map.width;
    const T* from = (third ? dz : dy) + at;
    ON_THIS_PROCESSOR(back(left, tables, x + at, from, dx + at, lines, map.width, rest, shift.data(), tilt.data()))
  });
}

ffi::Error forward(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Buffer<ffi::F32> scale, ffi::Buffer<ffi::F32> bias,
                   ffi::RemainingArgs residual, ffi::Result<ffi::AnyBuffer> y, Numbers mean, Numbers variance,
                   float epsilon, int32_t activation) {
  const auto run = [&](auto example) {
    using T = decltype(example);
    const T* added = nullptr;
    if (residual.size()) added = static_cast<T*>(residual.get<ffi::AnyBuffer>(0)->untyped_data());
    forward_of<T>(Map(x.dimensions(), pool), pool, static_cast<T*>(x.untyped_data()), added, scale.typed_data(),
                  bias.typed_data(), static_cast<T*>(y->untyped_data()), mean->typed_data(), variance->typed_data(),
                  epsilon, Activation(activation));
  };
  return guarded("batch normalisation", [&] { in_type(x.element_type(), run); });
}

// With a `third`, y for ReLU or the residual for swish, there is the residual's gradient too.
ffi::Error backward(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer dy, ffi::Buffer<ffi::F32> scale,
                    ffi::Buffer<ffi::F32> bias, ffi::Buffer<ffi::F32> mean, ffi::Buffer<ffi::F32> variance,
                    ffi::RemainingArgs third, ffi::Result<ffi::AnyBuffer> dx, Numbers dscale, Numbers dbias,
                    ffi::RemainingRets dresidual, float epsilon, int32_t activation) {
  const auto run = [&](auto example) {
    using T = decltype(example);
    const T* more = nullptr;
    T* dz = nullptr;
    if (third.size()) {
      more = static_cast<T*>(third.get<ffi::AnyBuffer>(0)->untyped_data());
      dz = static_cast<T*>((*dresidual.get<ffi::AnyBuffer>(0))->untyped_data());
    }
    backward_of<T>(Map(x.dimensions(), pool), pool, static_cast<T*>(x.untyped_data()),
                   static_cast<T*>(dy.untyped_data()), more, scale.typed_data(), bias.typed_data(), mean.typed_data(),
                   variance.typed_data(), static_cast<T*>(dx->untyped_data()), dscale->typed_data(),
                   dbias->typed_data(), dz, epsilon, Activation(activation));
  };
  return guarded("batch normalisation", [&] { in_type(x.element_type(), run); });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_batch_norm, forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<float>("epsilon")
                                  .Attr<int32_t>("activation"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_batch_norm_gradient, backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .RemainingRets()
                                  .Attr<float>("epsilon")
                                  .Attr<int32_t>("activation"));
