// Bilinear resizing of 8-bit images, to the very bits of Pillow's (src/libImaging/Resample.c): each new pixel is a
// weighed mean over a triangle, along lines first, then down columns, each time rounded to 8 bits. Weights are whole
// numbers of 1 / 2^22 and sums exact, so that neither their order nor the processor changes a bit.
//
// This is a library of its own: it needs neither XLA nor oneDNN.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

namespace cnnlab {
namespace {

constexpr int kBits = 22;  // of a weight
constexpr uint32_t kHalf = 1u << (kBits - 1);

// What the new positions along an axis are made from: old ones from `first` on, as many as `count`, weighed by `most`
// weights a position, the last of which may be zeros.
struct Axis {
  int64_t most;
  std::vector<int64_t> first, count;
  std::vector<uint32_t> weights;
};

// An image as it lies in memory, without gaps; of 4 bytes a pixel the fourth is left out of what is made.
struct Picture {
  const uint8_t* pixels;
  int64_t height, width;
};

#define LINES "resize_lines.h"
#include "for_each_processor.h"

// In doubles and in this order, as Pillow computes them. `low` and `high`: the part of the old axis that counts.
Axis axis_of(int64_t old_size, float low, float high, int64_t size) {
  const double scale = double(high - low) / size, wide = std::max(scale, 1.0), inverse = 1.0 / wide;
  Axis axis{int64_t(std::ceil(wide)) * 2 + 1, {}, {}, {}};
  axis.weights.resize(size * axis.most);
  std::vector<double> weights(axis.most);
  int64_t most = 1;
  for (int64_t i = 0; i < size; ++i) {
    const double centre = low + (i + 0.5) * scale;
    const int64_t first = std::max<int64_t>(int64_t(centre - wide + 0.5), 0);
    const int64_t count = std::min<int64_t>(int64_t(centre + wide + 0.5), old_size) - first;
    double sum = 0.0;
    for (int64_t k = 0; k < count; ++k) {
      weights[k] = std::max(1.0 - std::abs((k + first - centre + 0.5) * inverse), 0.0);
      sum += weights[k];
    }
    for (int64_t k = 0; k < count; ++k) {
      const double share = sum != 0.0 ? weights[k] / sum : weights[k];
      axis.weights[i * axis.most + k] = uint32_t(0.5 + share * (1 << kBits));
    }
    axis.first.push_back(first);
    axis.count.push_back(count);
    most = std::max(most, count);
  }
  for (int64_t i = 0; i < size; ++i)
    std::copy_n(&axis.weights[i * axis.most], most, &axis.weights[i * most]);
  axis.most = most;
  return axis;
}

}  // namespace
}  // namespace cnnlab

// pixels [height, width, channels] -> made [new_height, new_width, 1 or 3], for 1 or 4 channels. box: left, top, right
// and bottom of the part that is resized. 0, or 1 where memory is short.
extern "C" int cnnlab_resize(const uint8_t* pixels, int64_t height, int64_t width, int64_t channels, float left,
                             float top, float right, float bottom, uint8_t* made, int64_t new_height,
                             int64_t new_width) try {
  using namespace cnnlab;
  const Axis across = axis_of(width, left, right, new_width), down = axis_of(height, top, bottom, new_height);
  const Picture picture{pixels, height, width};
  if (channels == 1) ON_THIS_PROCESSOR(resize<1>(picture, across, down, made))
  else ON_THIS_PROCESSOR(resize<4>(picture, across, down, made))
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
