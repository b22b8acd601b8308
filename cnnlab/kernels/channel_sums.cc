// Sums over space of a map whose channels lie last, or of the product of two: a number for each example and channel.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lanes.h"  // Bfloat16
#include "threads.h"

namespace cnnlab {
namespace {

#define LINES "channel_sums_lines.h"
#include "for_each_processor.h"

constexpr int64_t kPart = 1 << 17;  // numbers that are worth a thread's while
constexpr int64_t kRows = 256;      // rows that are summed in float32; their sums are in float64

template <typename T>
void add_rows(const T* x, const T* by, int64_t rows, int64_t channels, float* sum) {
  if (by) ON_THIS_PROCESSOR(add<true>(x, by, rows, channels, sum))
  else ON_THIS_PROCESSOR(add<false>(x, x, rows, channels, sum))
}

// Each example's rows are cut into parts by their number alone, and the parts' sums added in order: no bit depends on
// how many threads there are.
template <typename T>
void sum(ffi::ThreadPool& pool, const T* x, const T* by, int64_t batch, int64_t rows, int64_t channels, float* made) {
  const int64_t parts = std::max<int64_t>(1, std::min(rows * channels / kPart, rows / kRows)), units = batch * parts;
  std::vector<double> sums(units * channels);
  const int64_t worth = std::max<int64_t>(1, batch * rows * channels / kPart);
  const int64_t tasks = std::min({units, worth, std::max<int64_t>(1, pool.num_threads())});
  spread(pool, tasks, [&](size_t task) {
    std::vector<float> here(channels);
    for (int64_t unit = units * task / tasks; unit < units * int64_t(task + 1) / tasks; ++unit) {
      const int64_t part = unit % parts, first = unit / parts * rows;
      const int64_t end = first + rows * (part + 1) / parts;
      for (int64_t row = first + rows * part / parts; row < end; row += kRows) {
        std::fill(here.begin(), here.end(), 0.0f);
        const int64_t at = row * channels;
        add_rows(x + at, by ? by + at : nullptr, std::min(kRows, end - row), channels, here.data());
        for (int64_t c = 0; c < channels; ++c) sums[unit * channels + c] += here[c];
      }
    }
  });
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t c = 0; c < channels; ++c) {
      double total = 0;
      for (int64_t part = 0; part < parts; ++part) total += sums[(n * parts + part) * channels + c];
      made[n * channels + c] = total;
    }
}

ffi::Error channel_sums(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::RemainingArgs factor,
                        ffi::Result<ffi::Buffer<ffi::F32>> made) {
  const auto shape = x.dimensions();
  int64_t rows = 1;
  for (size_t axis = 1; axis + 1 < shape.size(); ++axis) rows *= shape[axis];
  const void* by = factor.size() ? factor.get<ffi::AnyBuffer>(0)->untyped_data() : nullptr;
  const auto run = [&](auto example) {
    using T = decltype(example);
    sum(pool, static_cast<const T*>(x.untyped_data()), static_cast<const T*>(by), shape.front(), rows, shape.back(),
        made->typed_data());
  };
  return guarded("channel sums", [&] { in_type(x.element_type(), run); });
}

}  // namespace
}  // namespace cnnlab

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_channel_sums, cnnlab::channel_sums,
                              cnnlab::ffi::Ffi::Bind()
                                  .Ctx<cnnlab::ffi::ThreadPool>()
                                  .Arg<cnnlab::ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<cnnlab::ffi::Buffer<cnnlab::ffi::F32>>());
