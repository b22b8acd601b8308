// The loops of batch normalisation over [lines, width], width a multiple of 16: see batch_norm.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.h"

namespace cnnlab::batch_norm {

#define INLINE inline __attribute__((always_inline))

enum Activation : int32_t { kIdentity, kRelu, kSwish };

INLINE void store(float* to, Lanes values) { std::memcpy(to, &values, sizeof values); }
INLINE void store(Bfloat16* to, Lanes values) {
  Words words;
  std::memcpy(&words, &values, sizeof words);
  // To the nearest, ties to even; a NaN stays one.
  Words rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16, nan = (words >> 16) | 0x40;
  Halves halves = __builtin_convertvector(values != values ? nan : rounded, Halves);
  std::memcpy(to, &halves, sizeof halves);
}
using cnnlab::store;

template <typename V>
struct Bits;
template <>
struct Bits<Lanes> {
  using type = Words;
};
template <>
struct Bits<float> {
  using type = uint32_t;
};

// 1 / (1 + exp(-x)): exp(-x) is 2^n exp(r), n the whole number nearest to -x / ln 2, exp(r) its Taylor polynomial.
template <typename V>
INLINE V sigmoid(V x) {
  const V zero = {}, low = zero - 87.0f, high = zero + 88.0f;
  V t = zero - x;
  t = t < low ? low : t;
  t = t > high ? high : t;
  const V whole = t * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: n is in the lowest bits
  const V n = whole - 12582912.0f;
  const V r = (t - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  V p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  typename Bits<V>::type bits, exponent;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&exponent, &whole, sizeof exponent);
  bits += exponent << 23;
  std::memcpy(&p, &bits, sizeof bits);
  return 1.0f / (1.0f + p);
}

template <Activation A, typename V>
INLINE V activate(V z) {
  const V zero = {};
  // A NaN is not below 0, and stays.
  if constexpr (A == kRelu) return z < zero ? zero : z;
  if constexpr (A == kSwish) return z * sigmoid(z);
  return z;
}

// dy times the derivative at z; of ReLU at 0 it is 0.
template <Activation A, typename V>
INLINE V slope(V z, V dy) {
  const V zero = {};
  if constexpr (A == kRelu) return z > zero ? dy : zero;
  if constexpr (A == kSwish) {
    const V s = sigmoid(z);
    return dy * (s * (1.0f + z * (1.0f - s)));
  }
  return dy;
}

// Numbers of each of `width` lanes, which a loop over a line takes: z = (x - mean) * factor + bias.
struct Tables {
  const float *mean, *factor, *bias;
};

template <typename V>
INLINE V normal(Tables t, int64_t i, V x) {
  return (x - load<V>(t.mean + i)) * load<V>(t.factor + i) + load<V>(t.bias + i);
}

// The mean of each lane over `lines` lines, and the sum of squared distances from it. `x` is read twice: let it be few
// enough lines to stay in the cache. Differences from the first line are summed, so that a large mean costs no digits.
template <typename T>
INLINE void moments_of(const T* x, int64_t lines, int64_t width, float* mean, float* squares) {
  std::memset(mean, 0, width * sizeof(float));
  std::memset(squares, 0, width * sizeof(float));
  const int64_t rest = lines % 4;
  const T* line = x;
  for (int64_t l = 0; l < rest; ++l, line += width)
    for (int64_t i = 0; i < width; i += 16)
      store(mean + i, load<Lanes>(mean + i) + (load<Lanes>(line + i) - load<Lanes>(x + i)));
  for (int64_t l = rest; l < lines; l += 4, line += 4 * width)
    for (int64_t i = 0; i < width; i += 16) {
      const Lanes first = load<Lanes>(x + i);
      Lanes a = load<Lanes>(line + i) - first, b = load<Lanes>(line + i + width) - first;
      Lanes c = load<Lanes>(line + i + 2 * width) - first, d = load<Lanes>(line + i + 3 * width) - first;
      store(mean + i, load<Lanes>(mean + i) + ((a + b) + (c + d)));
    }
  for (int64_t i = 0; i < width; i += 16)
    store(mean + i, load<Lanes>(x + i) + load<Lanes>(mean + i) * (1.0f / lines));
  line = x;
  for (int64_t l = 0; l < rest; ++l, line += width)
    for (int64_t i = 0; i < width; i += 16) {
      const Lanes a = load<Lanes>(line + i) - load<Lanes>(mean + i);
      store(squares + i, load<Lanes>(squares + i) + a * a);
    }
  for (int64_t l = rest; l < lines; l += 4, line += 4 * width)
    for (int64_t i = 0; i < width; i += 16) {
      const Lanes m = load<Lanes>(mean + i);
      Lanes a = load<Lanes>(line + i) - m, b = load<Lanes>(line + i + width) - m;
      Lanes c = load<Lanes>(line + i + 2 * width) - m, d = load<Lanes>(line + i + 3 * width) - m;
      store(squares + i, load<Lanes>(squares + i) + ((a * a + b * b) + (c * c + d * d)));
    }
}

// y of places 0 ... n - 1 of one line.
template <Activation A, bool residual, typename V, typename T>
INLINE void apply_line(Tables t, const T* x, const T* added, T* y, int64_t n) {
  for (int64_t i = 0; i < n; i += sizeof(V) / sizeof(float)) {
    V z = normal(t, i, load<V>(x + i));
    if constexpr (residual) z += load<V>(added + i);
    store(y + i, activate<A>(z));
  }
}

// dz, the gradient of what the activation sees, which is needed in both passes of the backward one. With a residual,
// `third` tells z: y itself for ReLU, the residual for swish.
template <Activation A, bool residual, typename V, typename T>
INLINE V gradient(Tables t, int64_t i, V x, const T* third, V dy) {
  if constexpr (A == kIdentity) return dy;
  if constexpr (A == kRelu && residual) return slope<A>(load<V>(third + i), dy);
  V z = normal(t, i, x);
  if constexpr (residual) z += load<V>(third + i);
  return slope<A>(z, dy);
}

// Adds one line's dz and dz (x - mean) to sums; with a residual, dz is its gradient and is written.
template <Activation A, bool residual, typename V, typename T>
INLINE void sum_line(Tables t, const T* x, const T* third, const T* dy, T* dz, int64_t n, float* sum,
                     float* product) {
  for (int64_t i = 0; i < n; i += sizeof(V) / sizeof(float)) {
    const V here = load<V>(x + i);
    V g = gradient<A, residual, V>(t, i, here, third, load<V>(dy + i));
    if constexpr (residual) {
      store(dz + i, g);
      g = load<V>(dz + i);  // rounded, as the pass for dx finds it
    }
    store(sum + i, load<V>(sum + i) + g);
    store(product + i, load<V>(product + i) + g * (here - load<V>(t.mean + i)));
  }
}

// dx = factor (dz - shift - (x - mean) tilt); `dx` may be `dy`.
template <Activation A, typename V, typename T>
INLINE void back_line(Tables t, const T* x, const T* dy, T* dx, int64_t n, const float* shift,
                      const float* tilt) {
  for (int64_t i = 0; i < n; i += sizeof(V) / sizeof(float)) {
    const V here = load<V>(x + i), g = gradient<A, false, V>(t, i, here, x, load<V>(dy + i));
    const V apart = here - load<V>(t.mean + i);
    store(dx + i, load<V>(t.factor + i) * (g - load<V>(shift + i) - apart * load<V>(tilt + i)));
  }
}

// `lines` whole lines, then `rest` places of one more, float by float.
template <Activation A, bool residual, typename T>
INLINE void apply_lines(Tables t, const T* x, const T* added, T* y, int64_t lines, int64_t width,
                        int64_t rest) {
  for (int64_t at = 0; at < lines * width; at += width)
    apply_line<A, residual, Lanes>(t, x + at, residual ? added + at : nullptr, y + at, width);
  const int64_t at = lines * width;
  if (rest) apply_line<A, residual, float>(t, x + at, residual ? added + at : nullptr, y + at, rest);
}
template <Activation A, bool residual, typename T>
INLINE void sum_lines(Tables t, const T* x, const T* third, const T* dy, T* dz, int64_t lines, int64_t width,
                      int64_t rest, float* sum, float* product) {
  for (int64_t at = 0; at < lines * width; at += width)
    sum_line<A, residual, Lanes>(t, x + at, residual ? third + at : nullptr, dy + at, residual ? dz + at : nullptr,
                                 width, sum, product);
  const int64_t at = lines * width;
  if (rest)
    sum_line<A, residual, float>(t, x + at, residual ? third + at : nullptr, dy + at, residual ? dz + at : nullptr,
                                 rest, sum, product);
}
template <Activation A, typename T>
INLINE void back_lines(Tables t, const T* x, const T* dy, T* dx, int64_t lines, int64_t width, int64_t rest,
                       const float* shift, const float* tilt) {
  for (int64_t at = 0; at < lines * width; at += width)
    back_line<A, Lanes>(t, x + at, dy + at, dx + at, width, shift, tilt);
  const int64_t at = lines * width;
  if (rest) back_line<A, float>(t, x + at, dy + at, dx + at, rest, shift, tilt);
}

// target_clones takes no templates.
#define FOR_TYPE(T)                                                                                                  \
  FOR_EACH_PROCESSOR void moments(const T* x, int64_t lines, int64_t width, float* mean, float* squares) {           \
    moments_of(x, lines, width, mean, squares);                                                                      \
  }                                                                                                                  \
  FOR_EACH_PROCESSOR void apply(Activation a, Tables t, const T* x, const T* added, T* y, int64_t lines,      \
                                int64_t width, int64_t rest) {                                                       \
    if (a == kIdentity && !added) return apply_lines<kIdentity, false>(t, x, added, y, lines, width, rest);          \
    if (a == kRelu && !added) return apply_lines<kRelu, false>(t, x, added, y, lines, width, rest);                  \
    if (a == kSwish && !added) return apply_lines<kSwish, false>(t, x, added, y, lines, width, rest);                \
    if (a == kIdentity) return apply_lines<kIdentity, true>(t, x, added, y, lines, width, rest);                     \
    if (a == kRelu) return apply_lines<kRelu, true>(t, x, added, y, lines, width, rest);                             \
    return apply_lines<kSwish, true>(t, x, added, y, lines, width, rest);                                            \
  }                                                                                                                  \
  FOR_EACH_PROCESSOR void sums(Activation a, Tables t, const T* x, const T* third, const T* dy, T* dz,        \
                               int64_t lines, int64_t width, int64_t rest, float* sum, float* product) {             \
    if (a == kIdentity)                                                                                              \
      return sum_lines<kIdentity, false>(t, x, third, dy, dz, lines, width, rest, sum, product);                     \
    if (a == kRelu && !third) return sum_lines<kRelu, false>(t, x, third, dy, dz, lines, width, rest, sum, product); \
    if (a == kRelu) return sum_lines<kRelu, true>(t, x, third, dy, dz, lines, width, rest, sum, product);            \
    if (!third) return sum_lines<kSwish, false>(t, x, third, dy, dz, lines, width, rest, sum, product);              \
    return sum_lines<kSwish, true>(t, x, third, dy, dz, lines, width, rest, sum, product);                           \
  }                                                                                                                  \
  FOR_EACH_PROCESSOR void back(Activation a, Tables t, const T* x, const T* dy, T* dx, int64_t lines,         \
                               int64_t width, int64_t rest, const float* shift, const float* tilt) {                 \
    if (a == kIdentity) return back_lines<kIdentity>(t, x, dy, dx, lines, width, rest, shift, tilt);                 \
    if (a == kRelu) return back_lines<kRelu>(t, x, dy, dx, lines, width, rest, shift, tilt);                         \
    return back_lines<kSwish>(t, x, dy, dx, lines, width, rest, shift, tilt);                                        \
  }
FOR_TYPE(float)
FOR_TYPE(Bfloat16)
#undef FOR_TYPE

}  // namespace cnnlab::batch_norm
