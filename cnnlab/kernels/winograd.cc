#include "winograd.h"

#include <immintrin.h>

#include <algorithm>

namespace cnnlab {
namespace {

// The numbers that a pass over tiles needs.
struct Winograd {
  int64_t channels, features, in[2], out[2], pad[2];
  int64_t tiles[2], count;                    // along rows and columns, and of all examples
  int64_t by_feature, by_channel, by_tap[2];  // strides of the weights

  explicit Winograd(const Problem& p) : channels(p.channels), features(p.features), count(p.batch) {
    for (int i = 0; i < 2; ++i) {
      in[i] = p.in[i], out[i] = p.out[i], pad[i] = p.pad[i], tiles[i] = (p.out[i] + 1) / 2;
      by_tap[i] = p.weight_strides[3 + i];
      count *= tiles[i];
    }
    by_feature = p.weight_strides[1], by_channel = p.weight_strides[2];
  }
};

// Where a tile is: the examples' tiles follow one another.
struct Place {
  int64_t example, row, column;

  Place(const Winograd& s, int64_t tile)
      : example(tile / (s.tiles[0] * s.tiles[1])), row(tile / s.tiles[1] % s.tiles[0]), column(tile % s.tiles[1]) {}

  void next(const Winograd& s) {
    if (++column < s.tiles[1]) return;
    column = 0;
    if (++row < s.tiles[0]) return;
    row = 0, ++example;
  }

  int64_t output(const Winograd& s) const {
    return ((example * s.out[0] + 2 * row) * s.out[1] + 2 * column) * s.features;
  }
};

// After a sum: a bias, a map that stands in y already, ReLU.
struct Epilogue {
  const float* bias;
  bool residual, relu;
};

// Features that are worked on together: two vectors of AVX-512, four of AVX2.
constexpr int64_t kPanel = 32;

#define LINES "winograd_lines.h"
#include "for_each_processor.h"

constexpr int64_t kPlanes = 16;
constexpr int64_t kKept = 1 << 18;  // numbers of kernels' transforms that stay in the caches

// Tiles whose patches are there together.
int64_t block_of(int64_t channels) { return std::clamp<int64_t>((1 << 17) / channels, 64, 252); }

// From one plane to the next; a power of two between them would put all of them into the same lines of the cache.
int64_t plane_of(int64_t numbers) { return numbers + 16; }

thread_local Buffer kernels_buffer, left_buffer, right_buffer, zeros_buffer;

float* floats(Buffer& buffer, int64_t numbers) { return static_cast<float*>(buffer.get(numbers * sizeof(float))); }

const float* zeros_for(const Winograd& s) {
  const int64_t numbers = std::max(s.channels, s.features);
  float* zeros = floats(zeros_buffer, numbers);
  std::fill_n(zeros, numbers, 0.0f);
  return zeros;
}

// The threads' shares: channels (or features) are cut as long as a cut leaves `least` of them, then tiles.
struct Shares {
  int64_t channels, cuts, parts;

  Shares(const ffi::ThreadPool& pool, int64_t tiles, int64_t channels, int64_t least) : channels(channels) {
    const int64_t threads = std::max<int64_t>(1, pool.num_threads());
    for (cuts = threads; cuts > 1 && (threads % cuts || channels / cuts < least);) --cuts;
    parts = std::min(threads / cuts, tiles);
  }

  size_t tasks() const { return cuts * parts; }
  int64_t part(size_t task) const { return task / cuts; }
  int64_t first(size_t task) const { return bound(task % cuts); }
  int64_t end(size_t task) const { return bound(task % cuts + 1); }
  int64_t bound(int64_t cut) const {
    return std::min((channels + kPanel - 1) / kPanel * cut / cuts * kPanel, channels);
  }
};

// Calls use(tile, how many, whether it is the first) for blocks, all but equal, of a part of the tiles.
template <typename Use>
void each_block(const Winograd& s, int64_t part, int64_t parts, int64_t most, const Use& use) {
  const int64_t first = s.count * part / parts, here = s.count * (part + 1) / parts - first;
  const int64_t blocks = (here + most - 1) / most;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t tile = here * i / blocks;
    use(first + tile, here * (i + 1) / blocks - tile, i == 0);
  }
}

// Places of windows along an axis that are inside of the map.
int64_t taps_inside(const Problem& p, int axis) {
  int64_t count = 0;
  for (int64_t i = 0; i < p.out[axis]; ++i)
    for (int64_t at = i - p.pad[axis]; at < i - p.pad[axis] + 3; ++at) count += at >= 0 && at < p.in[axis];
  return count;
}

}  // namespace

bool suits_winograd(const Problem& p) {
  for (int i = 0; i < p.axes; ++i)
    if (p.axes != 2 || p.window[i] != 3 || p.stride[i] != 1 || p.dilation[i] != 1) return false;
  if (p.kind == 1 || p.groups != 1 || p.operand_type || p.result_type || p.after > 2) return false;
  if (p.channels % 16 || p.features % 16 || processor() == Processor::kOldest) return false;
  // In the time of a multiply-add, as measured on an AVX-512 processor: a patch, an output and a kernel of each channel
  // transformed; oneDNN leaves out what of its windows lies outside of the map.
  const Winograd s(p);
  const double each = double(p.channels) * p.features;
  double own = s.count * (17.6 * each + 155 * p.channels + 110 * p.features) + 58 * each, other = 1.05 * p.batch * each;
  for (int i = 0; i < 2; ++i) other *= taps_inside(p, i);
  return own < other;
}

void run_winograd(const Problem& p, ffi::ThreadPool& pool, const float* src, const float* weights, float* dst,
                  const float* factor, const float* bias) {
  const Winograd s(p);
  const Shares shares(pool, s.count, s.features, 128);
  const Epilogue after{bias, p.residual != 0, p.after == 2};
  spread(pool, shares.tasks(), [&](size_t task) {
    const int64_t first = shares.first(task), end = shares.end(task), panels = (end - first + kPanel - 1) / kPanel;
    const int64_t block = block_of(s.channels), left = plane_of(block * s.channels), right = plane_of(block * kPanel);
    const int64_t plane = plane_of(s.channels * kPanel), panel = kPlanes * plane;
    const bool kept = panels * panel <= kKept;
    const float* zeros = zeros_for(s);
    float *d = floats(left_buffer, kPlanes * left), *m = floats(right_buffer, kPlanes * right);
    float* all = floats(kernels_buffer, kept ? panels * panel : panel);
    each_block(s, shares.part(task), shares.parts, block, [&](int64_t tile, int64_t count, bool is_first) {
      ON_THIS_PROCESSOR(patches(s, src, tile, count, 0, s.channels, zeros, d, left))
      for (int64_t k = first; k < end; k += kPanel) {
        const int64_t columns = std::min(kPanel, end - k);
        float* u = kept ? all + (k - first) / kPanel * panel : all;
        if (is_first || !kept) ON_THIS_PROCESSOR(kernels(s, weights, factor, k, k + columns, u, plane))
        for (int64_t j = 0; j < kPlanes; ++j)
          ON_THIS_PROCESSOR(product({d + j * left, s.channels, 1, u + j * plane, columns, m + j * right, columns},
                                    count, s.channels, columns, false))
        if (p.after) ON_THIS_PROCESSOR(outputs<true>(s, m, right, tile, count, k, k + columns, dst, after))
        else ON_THIS_PROCESSOR(outputs<false>(s, m, right, tile, count, k, k + columns, dst, after))
      }
    });
  });
}

void run_winograd_weights(const Problem& p, ffi::ThreadPool& pool, const float* src, const float* dst, float* made) {
  const Winograd s(p);
  const Shares shares(pool, s.count, s.channels, 64);
  const int64_t block = block_of(s.channels), plane = plane_of(s.channels * s.features);
  float* sums = floats(kernels_buffer, shares.parts * kPlanes * plane);
  spread(pool, shares.tasks(), [&](size_t task) {
    const int64_t first = shares.first(task), end = shares.end(task), part = shares.part(task);
    const int64_t channels = end - first, left = plane_of(block * channels), right = plane_of(block * s.features);
    const float* zeros = zeros_for(s);
    float *d = floats(left_buffer, kPlanes * left), *e = floats(right_buffer, kPlanes * right);
    float* u = sums + part * kPlanes * plane + first * s.features;
    each_block(s, part, shares.parts, block, [&](int64_t tile, int64_t count, bool is_first) {
      ON_THIS_PROCESSOR(patches(s, src, tile, count, first, end, zeros, d, left))
      ON_THIS_PROCESSOR(errors(s, dst, tile, count, zeros, e, right))
      for (int64_t j = 0; j < kPlanes; ++j)
        ON_THIS_PROCESSOR(product({d + j * left, 1, channels, e + j * right, s.features, u + j * plane, s.features},
                                  channels, count, s.features, !is_first))
    });
  });
  const int64_t threads = std::max<int64_t>(1, pool.num_threads());
  spread(pool, threads, [&](size_t i) {
    const int64_t first = s.channels * i / threads, end = s.channels * (i + 1) / threads;
    for (int64_t part = 1; part < shares.parts; ++part)
      for (int64_t j = 0; j < kPlanes; ++j) {
        float* total = sums + j * plane;
        const float* more = total + part * kPlanes * plane;
        for (int64_t at = first * s.features; at < end * s.features; ++at) total[at] += more[at];
      }
    ON_THIS_PROCESSOR(gradients(s, sums, plane, first, end, made))
  });
}

}  // namespace cnnlab
