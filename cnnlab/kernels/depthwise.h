// The weights' gradient of a depthwise convolution, whose window oneDNN's own kernel does not take: it would fill
// blocks of 16x16 channels with one number each (17 MB of sums for 672 channels and a window of 5x5).
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.h"

namespace cnnlab::depthwise {

struct Shape {
  int64_t batch, channels, in[2], out[2], window[2], stride[2], dilation[2], pad[2];
};

// Adds to total[0 ... K) what one row of the gradient has to do with one row of the map, at taps first and on.
template <int K, typename V, typename T>
inline __attribute__((always_inline)) void add_row(const Shape& s, const T* x, const T* dy, int64_t first, V* total) {
  const int64_t step = s.stride[1], width = s.in[1], c = s.channels;
  const int64_t begin = first * s.dilation[1] - s.pad[1], reach = (K - 1) * s.dilation[1];
  V sums[K] = {};
  for (int64_t o = 0, i = begin; o < s.out[1]; ++o, i += step) {
    const V g = load<V>(dy + o * c);
    if (i >= 0 && i + reach < width) {
      for (int k = 0; k < K; ++k) sums[k] += g * load<V>(x + (i + k * s.dilation[1]) * c);
    } else {
      for (int k = 0; k < K; ++k) {
        int64_t at = i + k * s.dilation[1];
        if (at >= 0 && at < width) sums[k] += g * load<V>(x + at * c);
      }
    }
  }
  for (int k = 0; k < K; ++k) total[k] += sums[k];
}

template <typename V, typename T>
inline __attribute__((always_inline)) void add_taps(const Shape& s, const T* x, const T* dy, V* total) {
  int64_t k = 0, n = s.window[1];
  for (; n - k >= 7; k += 7) add_row<7>(s, x, dy, k, total + k);
  for (; n - k >= 5; k += 5) add_row<5>(s, x, dy, k, total + k);
  for (; n - k >= 3; k += 3) add_row<3>(s, x, dy, k, total + k);
  for (; n - k >= 1; k += 1) add_row<1>(s, x, dy, k, total + k);
}

template <typename V, typename T>
inline __attribute__((always_inline)) void add_rows(const Shape& s, const T* x, const T* dy, int64_t channel,
                                                    int64_t n, int64_t o, V* total) {
  dy += ((n * s.out[0] + o) * s.out[1]) * s.channels + channel;
  for (int64_t k = 0; k < s.window[0]; ++k) {
    int64_t i = o * s.stride[0] + k * s.dilation[0] - s.pad[0];
    if (i < 0 || i >= s.in[0]) continue;
    add_taps(s, x + ((n * s.in[0] + i) * s.in[1]) * s.channels + channel, dy, total + k * s.window[1]);
  }
}

// The sums of channels first ... last - 1, as [channel block, window, lane]: blocks of 16, then single channels.
template <typename T>
inline __attribute__((always_inline)) void all_sums(const Shape& s, const T* x, const T* dy, int64_t first,
                                                    int64_t last, float* total) {
  const int64_t taps = s.window[0] * s.window[1];
  std::memset(total, 0, sizeof(float) * taps * (last - first));
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t o = 0; o < s.out[0]; ++o) {
      int64_t c = first;
      for (; c + 16 <= last; c += 16)
        add_rows(s, x, dy, c, n, o, reinterpret_cast<Lanes*>(total + (c - first) * taps));
      for (; c < last; ++c) add_rows(s, x, dy, c, n, o, total + (c - first) * taps);
    }
}

FOR_EACH_PROCESSOR void sums(const Shape& s, const float* x, const float* dy, int64_t first, int64_t last,
                             float* total) {
  all_sums(s, x, dy, first, last, total);
}
FOR_EACH_PROCESSOR void sums(const Shape& s, const Bfloat16* x, const Bfloat16* dy, int64_t first, int64_t last,
                             float* total) {
  all_sums(s, x, dy, first, last, total);
}

}  // namespace cnnlab::depthwise
