// What a convolution is asked to do, and how the work is cut into slices for the threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cnnlab {

// What to compute, always told as the forward convolution src [batch, *in, channels], weights, dst [batch, *out,
// features]: kind 0 makes dst, kind 1 the gradient with respect to src, kind 2 with respect to weights.
// problem.py writes the same order of numbers.
struct Problem {
  int64_t kind, axes, batch, groups, channels, features;
  int64_t in[3], out[3], window[3], stride[3], dilation[3], pad[3];
  int64_t weight_strides[6];  // of group, feature within group, channel within group, and the window's axes
  int64_t operand_type, result_type;  // 0 float32, 1 bfloat16
  // Kind 0 in evaluation: 0 nothing follows; else a factor and a bias for each feature, a map added where `residual`
  // is 1, and an activation: 1 none, 2 ReLU, 3 swish, 4 tanh, 5 sigmoid.
  // Weights are float32 then, whatever the maps are.
  int64_t after, residual;

  int64_t reach(int axis) const { return dilation[axis] * (window[axis] - 1) + 1; }
};

// Part of the work: some examples, and rows (positions along the first spatial axis) of src and dst.
struct Slice {
  int64_t example, examples, src_row, src_rows, dst_row, dst_rows, pad;
};

// Rows a to b of what the problem makes (or, for kind 2, of dst), and the rows of the other map that they touch.
inline Slice rows_of(const Problem& p, int64_t example, int64_t a, int64_t b) {
  Slice s{example, 1};
  if (p.kind == 1) {
    int64_t first = a + p.pad[0] - p.reach(0) + 1;
    first = first <= 0 ? 0 : (first + p.stride[0] - 1) / p.stride[0];
    int64_t last = std::min((b - 1 + p.pad[0]) / p.stride[0], p.out[0] - 1);
    s.src_row = a, s.src_rows = b - a;
    s.dst_row = first, s.dst_rows = last - first + 1;
    s.pad = p.pad[0] + a - first * p.stride[0];
  } else {
    int64_t first = a * p.stride[0] - p.pad[0];
    int64_t end = (b - 1) * p.stride[0] - p.pad[0] + p.reach(0);
    s.dst_row = a, s.dst_rows = b - a;
    s.src_row = std::max<int64_t>(first, 0);
    s.src_rows = std::min(end, p.in[0]) - s.src_row;
    s.pad = s.src_row - first;
  }
  return s;
}

// Whether oneDNN can be trusted with a slice: it fails where there are too few rows for the window, as is_plain in
// problem.py says of whole maps.
inline bool sound(const Problem& p, const Slice& s) {
  if (s.src_rows < 1 || s.dst_rows < 1 || s.pad < 0) return false;
  int64_t first = (s.pad + p.stride[0] - 1) / p.stride[0] * p.stride[0] - s.pad;
  if (p.kind == 2 && first + p.reach(0) > s.src_rows) return false;
  return p.operand_type == 0 || p.reach(0) <= s.src_rows;
}

inline std::vector<Slice> cut(const Problem& p, int64_t threads) {
  double work = double(p.batch) * p.features * (p.channels / p.groups);
  for (int i = 0; i < p.axes; ++i) work *= double(p.window[i]) * p.out[i];
  Slice whole{0, p.batch, 0, p.in[0], 0, p.out[0], p.pad[0]};
  // Waking a thread costs some ten microseconds, in which a core does about half a million multiply-adds.
  if (threads < 2 || work < 5e5) return {whole};
  std::vector<Slice> slices;
  if (p.batch >= threads) {
    for (int64_t i = 0; i < threads; ++i) {
      Slice s = whole;
      s.example = p.batch * i / threads;
      s.examples = p.batch * (i + 1) / threads - s.example;
      slices.push_back(s);
    }
    return slices;
  }
  int64_t rows = p.kind == 1 ? p.in[0] : p.out[0];
  int64_t pieces = std::min((threads + p.batch - 1) / p.batch, rows);
  std::vector<int64_t> cuts{0};
  for (int64_t i = 1; i < pieces; ++i) {
    int64_t at = rows * i / pieces;
    // A gradient's rows are cut where a window begins, so that no slice's padding is negative.
    if (p.kind == 1) at -= (at + p.pad[0]) % p.stride[0];
    if (at > cuts.back()) cuts.push_back(at);
  }
  cuts.push_back(rows);
  for (int64_t n = 0; n < p.batch; ++n)
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      Slice s = rows_of(p, n, cuts[i], cuts[i + 1]);
      if (!sound(p, s)) return {whole};
      slices.push_back(s);
    }
  return slices;
}

// How many positions one chain of float32 sums runs over at most, about: a longer one loses digits (with 32,768
// positions, a weight's gradient was five times further from float64 than XLA's). Windows of one position need none of
// this: oneDNN's kernel for them keeps short chains itself, and loses a third of its speed on parts.
constexpr int64_t kChain = 4096;

// A slice of a weights' gradient in parts whose sums are added one after the other.
inline std::vector<Slice> parts_of(const Problem& p, const Slice& slice) {
  int64_t row = 1, taps = 1;
  for (int i = 0; i < p.axes; ++i) row *= i ? p.out[i] : 1, taps *= p.window[i];
  int64_t positions = slice.dst_rows * row, count = (slice.examples * positions + kChain - 1) / kChain;
  if (p.kind != 2 || count < 2 || taps == 1) return {slice};
  std::vector<Slice> parts;
  if (slice.examples > 1 && positions < 2 * kChain) {
    int64_t each = (slice.examples + count - 1) / count;
    for (int64_t n = 0; n < slice.examples; n += each) {
      Slice part = slice;
      part.example += n;
      part.examples = std::min(each, slice.examples - n);
      parts.push_back(part);
    }
    return parts;
  }
  count = (positions + kChain - 1) / kChain;
  int64_t each = (slice.dst_rows + count - 1) / count, end = slice.dst_row + slice.dst_rows;
  for (int64_t n = slice.example; n < slice.example + slice.examples; ++n)
    for (int64_t a = slice.dst_row; a < end; a += each) {
      parts.push_back(rows_of(p, n, a, std::min(a + each, end)));
      if (!sound(p, parts.back())) return {slice};
    }
  return parts;
}

}  // namespace cnnlab
