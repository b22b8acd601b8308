// A convolution, or a gradient of one, made ready: a oneDNN primitive for each part of the work.
#pragma once

#include <string>
#include <vector>

#include "onednn.h"
#include "problem.h"
#include "winograd.h"

namespace cnnlab {

// A problem made ready for a number of threads: a primitive for each part of a slice, and weights' ways in or out.
struct Plan {
  Problem problem;
  std::vector<Slice> slices;   // the parts of all slices
  std::vector<size_t> begins;  // where each slice's parts begin, and the end of the last
  std::vector<dnnl::primitive> primitives;
  std::vector<memory::desc> src, dst;
  memory::desc plain, inner;  // weights as JAX has them, and as the primitives want them
  Reorder reorder;            // from the one to the other, a weights' gradient the other way
  bool reordered = false;
  size_t scratch = 0;
  std::string implementation;  // of the worst part

  bool own_depthwise = false, winograd = false;

  size_t tasks() const { return begins.size() - 1; }

  Plan(const Problem& p, int64_t threads);
  void add(const Slice& slice, bool first);
};

inline memory::desc map_desc(const Problem& p, const Slice& s, bool is_src, memory::data_type type) {
  memory::dims dims{s.examples, is_src ? p.channels : p.features};
  dims.push_back(is_src ? s.src_rows : s.dst_rows);
  for (int i = 1; i < p.axes; ++i) dims.push_back(is_src ? p.in[i] : p.out[i]);
  const memory::format_tag tags[] = {memory::format_tag::nwc, memory::format_tag::nhwc, memory::format_tag::ndhwc};
  return memory::desc(dims, type, tags[p.axes - 1]);
}

inline memory::dims weight_dims(const Problem& p) {
  memory::dims dims;
  if (p.groups > 1) dims.push_back(p.groups);
  dims.push_back(p.features / p.groups);
  dims.push_back(p.channels / p.groups);
  dims.insert(dims.end(), p.window, p.window + p.axes);
  return dims;
}

inline Plan::Plan(const Problem& p, int64_t threads) : problem(p), begins{0}, winograd(suits_winograd(p)) {
  implementation = winograd ? "own:winograd" : "";
  if (winograd) return;
  OneThread alone;
  for (const Slice& slice : cut(p, threads)) {
    for (const Slice& part : parts_of(p, slice)) slices.push_back(part);
    begins.push_back(slices.size());
  }
  memory::dims strides(p.weight_strides + (p.groups > 1 ? 0 : 1), p.weight_strides + 3 + p.axes);
  // A gradient's sums stay float32 until they are complete.
  const int64_t type = p.kind == 2 ? p.result_type : p.after ? 0 : p.operand_type;
  plain = memory::desc(weight_dims(p), type_of(type), strides);
  for (size_t i = 0; i < slices.size(); ++i) add(slices[i], i == 0);
  own_depthwise = p.kind == 2 && p.axes < 3 && p.channels == p.groups && p.features == p.groups &&
                  p.operand_type == p.result_type && implementation.find("jit_dw") == std::string::npos;
  if (own_depthwise) implementation = "own:depthwise";
  reordered = p.after || inner != plain;
  if (reordered) {
    bool out = p.kind == 2;
    reorder = Reorder(out ? inner : plain, out ? plain : inner, threads, p.groups > 1, p.after);
  }
}

inline memory::desc bias_desc(const Problem& p) {
  return memory::desc({p.features}, memory::data_type::f32, memory::format_tag::a);
}

// What is done to a sum before it is written: + the map that stands there already, the activation.
inline dnnl::post_ops post_ops(const Problem& p) {
  dnnl::post_ops made;
  if (p.residual) made.append_sum();
  if (p.after == 2) made.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
  if (p.after == 3) made.append_eltwise(dnnl::algorithm::eltwise_swish, 1, 0);
  if (p.after == 4) made.append_eltwise(dnnl::algorithm::eltwise_tanh, 0, 0);
  if (p.after == 5) made.append_eltwise(dnnl::algorithm::eltwise_logistic, 0, 0);
  return made;
}

inline void Plan::add(const Slice& slice, bool first) {
  const Problem& p = problem;
  memory::dims stride(p.stride, p.stride + p.axes), dilation, low(p.pad, p.pad + p.axes), high;
  low[0] = slice.pad;
  for (int i = 0; i < p.axes; ++i) {
    dilation.push_back(p.dilation[i] - 1);
    int64_t in = i == 0 ? slice.src_rows : p.in[i], out = i == 0 ? slice.dst_rows : p.out[i];
    high.push_back(std::max<int64_t>(0, (out - 1) * p.stride[i] + p.reach(i) - in - low[i]));
  }
  auto operand = type_of(p.operand_type), result = type_of(p.result_type);
  auto x = map_desc(p, slice, true, p.kind == 1 ? result : operand);
  auto y = map_desc(p, slice, false, p.kind == 0 ? result : operand);
  auto weight_type = p.kind == 2 ? memory::data_type::f32 : operand;
  auto w = first ? memory::desc(weight_dims(p), weight_type, memory::format_tag::any) : inner;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  attributes.set_post_ops(post_ops(p));
  const auto direct = dnnl::algorithm::convolution_direct;

  auto keep = [&](const auto& described, const memory::desc& weights) {
    std::string name = described.impl_info_str();
    if (implementation.empty() || name.find("ref") != std::string::npos) implementation = name;
    scratch = std::max(scratch, described.scratchpad_desc().get_size());
    if (first) inner = weights;
  };
  auto forward_of = [&](const memory::desc& source, const memory::desc& target, const memory::desc& weights) {
    return dnnl::convolution_forward::primitive_desc(engine(), dnnl::prop_kind::forward_training, direct, source,
                                                     weights, target, stride, dilation, low, high, attributes);
  };
  // Gradients ask for a forward convolution as a hint; its own choice of weights' order is of no account.
  auto any_weights = memory::desc(weight_dims(p), operand, memory::format_tag::any);
  auto hint_x = map_desc(p, slice, true, operand), hint_y = map_desc(p, slice, false, operand);
  if (p.after) {
    dnnl::convolution_forward::primitive_desc described(engine(), dnnl::prop_kind::forward_inference, direct, x, w,
                                                        bias_desc(p), y, stride, dilation, low, high, attributes);
    keep(described, described.weights_desc());
    primitives.push_back(dnnl::convolution_forward(described));
  } else if (p.kind == 0) {
    auto described = forward_of(x, y, w);
    keep(described, described.weights_desc());
    primitives.push_back(dnnl::convolution_forward(described));
  } else if (p.kind == 1) {
    auto hint = forward_of(hint_x, hint_y, any_weights);
    dnnl::convolution_backward_data::primitive_desc described(engine(), direct, x, w, y, stride, dilation, low, high,
                                                              hint, attributes);
    keep(described, described.weights_desc());
    primitives.push_back(dnnl::convolution_backward_data(described));
  } else {
    auto hint = forward_of(hint_x, hint_y, any_weights);
    dnnl::convolution_backward_weights::primitive_desc described(engine(), direct, x, w, y, stride, dilation, low,
                                                                 high, hint, attributes);
    keep(described, described.diff_weights_desc());
    primitives.push_back(dnnl::convolution_backward_weights(described));
  }
  src.push_back(x);
  dst.push_back(y);
}

}  // namespace cnnlab
