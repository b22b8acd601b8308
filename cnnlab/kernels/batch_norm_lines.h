// The loops of batch normalisation over [lines, width], width a multiple of 16 (see batch_norm.cc), for each kind of
// processor: see for_each_processor.h.

// 1 / (1 + exp(-x)): exp(-x) is 2^n exp(r), n the whole number nearest to -x / ln 2, exp(r) the polynomial of degree 5
// whose largest relative error, 1.1e-7, is the least that one which begins 1 + r can have. Its terms are taken in pairs,
// since it is the time from the first to the last of these operations that counts.
template <int N>
INLINE Floats<N> sigmoid(Floats<N> x) {
  const Floats<N> t = clamped<N>(x, 88);
  const Floats<N> whole = t * -1.44269504f + 12582912.0f;  // 1.5 * 2^23: n is in the lowest bits
  const Floats<N> n = whole - 12582912.0f;
  const Floats<N> r = n * -0.693147181f - t, square = r * r;
  const Floats<N> low = r * 0.166671157f + 0.499992281f, high = r * 0.00831247773f + 0.0418905504f;
  Floats<N> e = (high * square + low) * square + (r + 1.0f);
  Words<N> bits, exponent;
  std::memcpy(&bits, &e, sizeof bits);
  std::memcpy(&exponent, &whole, sizeof exponent);
  bits += exponent << 23;
  std::memcpy(&e, &bits, sizeof bits);
  return inverse<N>(1.0f + e);
}

template <int N, Activation A>
INLINE Floats<N> activate(Floats<N> z) {
  const Floats<N> zero = {};
  // A NaN is not below 0, and stays.
  if constexpr (A == kRelu) return z < zero ? zero : z;
  if constexpr (A == kSwish) return z * sigmoid<N>(z);
  return z;
}

// dy times the derivative at z; of ReLU at 0 it is 0.
template <int N, Activation A>
INLINE Floats<N> slope(Floats<N> z, Floats<N> dy) {
  const Floats<N> zero = {};
  if constexpr (A == kRelu) return z > zero ? dy : zero;
  if constexpr (A == kSwish) {
    const Floats<N> s = sigmoid<N>(z);
    return dy * (s * (1.0f + z * (1.0f - s)));
  }
  return dy;
}

template <int N>
INLINE Floats<N> normal(Tables t, int64_t i, Floats<N> x) {
  return (x - load_block<N>(t.mean + i)) * load_block<N>(t.factor + i) + load_block<N>(t.bias + i);
}

// Of each lane over `lines` lines the sum of its distances from `origin`, and of their squares.
template <typename T>
void moments(const T* x, const float* origin, int64_t lines, int64_t width, float* sum, float* squares) {
  constexpr int N = WIDEST;
  std::memset(sum, 0, width * sizeof(float));
  std::memset(squares, 0, width * sizeof(float));
  const T* line = x;
  for (int64_t left = lines; left > 0;) {
    const int64_t four = left % 4 ? 0 : width;  // lines apart, or the same line again
    for (int64_t i = 0; i < width; i += N) {
      const Floats<N> first = load_block<N>(origin + i), a = load_block<N>(line + i) - first;
      Floats<N> s = a, q = a * a;
      if (four) {
        const Floats<N> b = load_block<N>(line + i + width) - first, c = load_block<N>(line + i + 2 * width) - first;
        const Floats<N> d = load_block<N>(line + i + 3 * width) - first;
        s = (a + b) + (c + d), q = (a * a + b * b) + (c * c + d * d);
      }
      store_block<N>(sum + i, load_block<N>(sum + i) + s);
      store_block<N>(squares + i, load_block<N>(squares + i) + q);
    }
    left -= four ? 4 : 1, line += four ? 4 * width : width;
  }
}

// y of places 0 ... n - 1 of one line.
template <int N, Activation A, bool residual, typename T>
INLINE void apply_line(Tables t, const T* x, const T* added, T* y, int64_t n, bool streams) {
  for (int64_t i = 0; i < n; i += N) {
    Floats<N> z = normal<N>(t, i, load_block<N>(x + i));
    if constexpr (residual) z += load_block<N>(added + i);
    store_block<N>(y + i, activate<N, A>(z), streams);
  }
}

// dz, the gradient of what the activation sees, which is needed in both passes of the backward one. With a residual,
// `third` tells z: y itself for ReLU, the residual for swish.
template <int N, Activation A, bool residual, typename T>
INLINE Floats<N> gradient(Tables t, int64_t i, Floats<N> x, const T* third, Floats<N> dy) {
  if constexpr (A == kIdentity) return dy;
  if constexpr (A == kRelu && residual) return slope<N, A>(load_block<N>(third + i), dy);
  Floats<N> z = normal<N>(t, i, x);
  if constexpr (residual) z += load_block<N>(third + i);
  return slope<N, A>(z, dy);
}

// Adds dz and dz (x - mean) of `lines` lines to sums; with a residual, dz is its gradient and is written.
template <int N, int lines, Activation A, bool residual, typename T>
INLINE void sum_lines(Tables t, const T* x, const T* third, const T* dy, T* dz, int64_t n, int64_t width, float* sum,
                      float* product) {
  for (int64_t i = 0; i < n; i += N) {
    Floats<N> s = {}, q = {};
    const Floats<N> mean = load_block<N>(t.mean + i);
#pragma GCC unroll 4
    for (int l = 0; l < lines; ++l) {
      const int64_t at = l * width + i;
      const Floats<N> here = load_block<N>(x + at);
      Floats<N> g = gradient<N, A, residual>(t, i, here, residual ? third + l * width : nullptr, load_block<N>(dy + at));
      if constexpr (residual) {
        store_block<N>(dz + at, g);
        if constexpr (!std::is_same_v<T, float>) g = load_block<N>(dz + at);  // rounded, as the pass for dx finds it
      }
      s += g, q += g * (here - mean);
    }
    store_block<N>(sum + i, load_block<N>(sum + i) + s);
    store_block<N>(product + i, load_block<N>(product + i) + q);
  }
}

// dx = factor (dz - shift - (x - mean) tilt); `dx` may be `dy`.
template <int N, Activation A, typename T>
INLINE void back_line(Tables t, const T* x, const T* dy, T* dx, int64_t n, const float* shift, const float* tilt) {
  for (int64_t i = 0; i < n; i += N) {
    const Floats<N> here = load_block<N>(x + i), g = gradient<N, A, false>(t, i, here, x, load_block<N>(dy + i));
    const Floats<N> apart = here - load_block<N>(t.mean + i);
    store_block<N>(dx + i, load_block<N>(t.factor + i) * (g - load_block<N>(shift + i) - apart * load_block<N>(tilt + i)));
  }
}

// What is done to `lines` whole lines, then to `rest` places of one more, float by float.
template <Activation A, bool residual, typename T>
void apply_to(Tables t, const T* x, const T* added, T* y, int64_t lines, int64_t width, int64_t rest, bool streams) {
  for (int64_t l = 0; l < lines; ++l, x += width, y += width, added += residual ? width : 0)
    apply_line<WIDEST, A, residual>(t, x, added, y, width, streams);
  apply_line<1, A, residual>(t, x, added, y, rest, false);
}
template <Activation A, bool residual, typename T>
void sums_of(Tables t, const T* x, const T* third, const T* dy, T* dz, int64_t lines, int64_t width, int64_t rest,
             float* sum, float* product) {
  const auto take = [&](auto together) {
    constexpr int count = decltype(together)::value;
    sum_lines<WIDEST, count, A, residual>(t, x, third, dy, dz, width, width, sum, product);
    x += count * width, dy += count * width;
    if (residual) third += count * width, dz += count * width;
  };
  // Of wide lines one after the other: four at a time are more streams from memory than the processor foresees.
  for (; lines >= 4 && width <= 64; lines -= 4) take(std::integral_constant<int, 4>{});
  for (; lines > 0; --lines) take(std::integral_constant<int, 1>{});
  sum_lines<1, 1, A, residual>(t, x, third, dy, dz, rest, width, sum, product);
}
template <Activation A, typename T>
void back_to(Tables t, const T* x, const T* dy, T* dx, int64_t lines, int64_t width, int64_t rest, const float* shift,
             const float* tilt) {
  for (int64_t l = 0; l < lines; ++l, x += width, dy += width, dx += width)
    back_line<WIDEST, A>(t, x, dy, dx, width, shift, tilt);
  back_line<1, A>(t, x, dy, dx, rest, shift, tilt);
}

template <typename T>
void apply(Activation a, Tables t, const T* x, const T* added, T* y, int64_t lines, int64_t width, int64_t rest,
           bool streams) {
  if (a == kIdentity && added) return apply_to<kIdentity, true>(t, x, added, y, lines, width, rest, streams);
  if (a == kIdentity) return apply_to<kIdentity, false>(t, x, added, y, lines, width, rest, streams);
  if (a == kRelu && added) return apply_to<kRelu, true>(t, x, added, y, lines, width, rest, streams);
  if (a == kRelu) return apply_to<kRelu, false>(t, x, added, y, lines, width, rest, streams);
  if (added) return apply_to<kSwish, true>(t, x, added, y, lines, width, rest, streams);
  return apply_to<kSwish, false>(t, x, added, y, lines, width, rest, streams);
}
template <typename T>
void sums(Activation a, Tables t, const T* x, const T* third, const T* dy, T* dz, int64_t lines, int64_t width,
          int64_t rest, float* sum, float* product) {
  if (a == kIdentity) return sums_of<kIdentity, false>(t, x, third, dy, dz, lines, width, rest, sum, product);
  if (a == kRelu && third) return sums_of<kRelu, true>(t, x, third, dy, dz, lines, width, rest, sum, product);
  if (a == kRelu) return sums_of<kRelu, false>(t, x, third, dy, dz, lines, width, rest, sum, product);
  if (third) return sums_of<kSwish, true>(t, x, third, dy, dz, lines, width, rest, sum, product);
  return sums_of<kSwish, false>(t, x, third, dy, dz, lines, width, rest, sum, product);
}
template <typename T>
void back(Activation a, Tables t, const T* x, const T* dy, T* dx, int64_t lines, int64_t width, int64_t rest,
          const float* shift, const float* tilt) {
  if (a == kIdentity) return back_to<kIdentity>(t, x, dy, dx, lines, width, rest, shift, tilt);
  if (a == kRelu) return back_to<kRelu>(t, x, dy, dx, lines, width, rest, shift, tilt);
  return back_to<kSwish>(t, x, dy, dx, lines, width, rest, shift, tilt);
}
