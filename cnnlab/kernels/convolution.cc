// Convolution and its two gradients by oneDNN, as calls that XLA's CPU programs make.
//
// Maps stay where XLA has them, channels last, without a copy; weights are brought into oneDNN's own order inside.
// The batch (or, with fewer examples than threads, each map's rows) is cut into slices, and a single-threaded oneDNN
// primitive runs on each slice, on XLA's own thread pool: no second pool competes for the cores. The cut depends on
// the shape and the number of threads alone and sums over slices are added in their order, so that every run gives
// the same bits.
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "depthwise.h"
#include "oneapi/dnnl/dnnl.hpp"
#include "problem.h"
#include "threads.h"

using dnnl::memory;
using namespace cnnlab;

namespace {

memory::data_type type_of(int64_t number) {
  return number == 1 ? memory::data_type::bf16 : memory::data_type::f32;
}

const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

// A problem made ready for a number of threads: a primitive for each part of a slice, and weights' ways in or out.
struct Plan {
  Problem problem;
  std::vector<Slice> slices;   // the parts of all slices
  std::vector<size_t> begins;  // where each slice's parts begin, and the end of the last
  std::vector<dnnl::primitive> primitives;
  std::vector<memory::desc> src, dst;
  memory::desc plain, inner;  // weights as JAX has them, and as the primitives want them
  dnnl::reorder reorder;
  bool reordered = false;
  size_t scratch = 0;
  std::string implementation;  // of the worst part

  bool own_depthwise = false;

  size_t tasks() const { return begins.size() - 1; }

  Plan(const Problem& p, int64_t threads);
  void add(const Slice& slice, bool first);
};

memory::desc map_desc(const Problem& p, const Slice& s, bool is_src, memory::data_type type) {
  memory::dims dims{s.examples, is_src ? p.channels : p.features};
  dims.push_back(is_src ? s.src_rows : s.dst_rows);
  for (int i = 1; i < p.axes; ++i) dims.push_back(is_src ? p.in[i] : p.out[i]);
  const memory::format_tag tags[] = {memory::format_tag::nwc, memory::format_tag::nhwc, memory::format_tag::ndhwc};
  return memory::desc(dims, type, tags[p.axes - 1]);
}

memory::dims weight_dims(const Problem& p) {
  memory::dims dims;
  if (p.groups > 1) dims.push_back(p.groups);
  dims.push_back(p.features / p.groups);
  dims.push_back(p.channels / p.groups);
  dims.insert(dims.end(), p.window, p.window + p.axes);
  return dims;
}

Plan::Plan(const Problem& p, int64_t threads) : problem(p), begins{0} {
  OneThread alone;
  for (const Slice& slice : cut(p, threads)) {
    for (const Slice& part : parts_of(p, slice)) slices.push_back(part);
    begins.push_back(slices.size());
  }
  memory::dims strides(p.weight_strides + (p.groups > 1 ? 0 : 1), p.weight_strides + 3 + p.axes);
  // A gradient's sums stay float32 until they are complete.
  plain = memory::desc(weight_dims(p), type_of(p.kind == 2 ? p.result_type : p.operand_type), strides);
  for (size_t i = 0; i < slices.size(); ++i) add(slices[i], i == 0);
  own_depthwise = p.kind == 2 && p.axes < 3 && p.channels == p.groups && p.features == p.groups &&
                  p.operand_type == p.result_type && implementation.find("jit_dw") == std::string::npos;
  if (own_depthwise) implementation = "own:depthwise";
  reordered = inner != plain;
  if (reordered) {
    const auto& from = p.kind == 2 ? inner : plain;
    const auto& to = p.kind == 2 ? plain : inner;
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::reorder::primitive_desc described(engine(), from, engine(), to, attributes);
    scratch = std::max(scratch, described.scratchpad_desc().get_size());
    reorder = dnnl::reorder(described);
  }
}

void Plan::add(const Slice& slice, bool first) {
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
  if (p.kind == 0) {
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

// One plan for each problem and number of threads; kept for the life of the process, as compiled programs are.
std::shared_ptr<const Plan> plan_of(const int64_t* numbers, int64_t threads) {
  static auto* mutex = new std::mutex;
  static auto* plans = new std::map<std::vector<int64_t>, std::shared_ptr<const Plan>>;
  std::vector<int64_t> key(numbers, numbers + kNumbers);
  key.push_back(threads);
  std::lock_guard<std::mutex> lock(*mutex);
  auto& plan = (*plans)[key];
  if (!plan) {
    Problem problem;
    std::memcpy(&problem, numbers, sizeof problem);
    plan = std::make_shared<const Plan>(problem, threads);
  }
  return plan;
}

thread_local Buffer weights_buffer, scratch_buffer, part_buffer;

dnnl::stream& stream() {
  thread_local dnnl::stream one(engine());
  return one;
}

void execute(const dnnl::primitive& primitive, std::unordered_map<int, memory> arguments, size_t scratch) {
  if (scratch) {
    memory::desc flat({int64_t(scratch)}, memory::data_type::u8, memory::format_tag::a);
    arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(flat, engine(), scratch_buffer.get(scratch)));
  }
  primitive.execute(stream(), arguments);
}

char* at(void* base, const memory::desc& desc, const Slice& s, int64_t row, int64_t rows) {
  auto dims = desc.get_dims();
  int64_t line = dims[1];
  for (size_t i = 3; i < dims.size(); ++i) line *= dims[i];
  return static_cast<char*>(base) + (s.example * rows + row) * line * memory::data_type_size(desc.get_data_type());
}

void run_slice(const Plan& plan, size_t i, void* src, void* weights, void* dst) {
  const Slice& s = plan.slices[i];
  const Problem& p = plan.problem;
  memory x(plan.src[i], engine(), at(src, plan.src[i], s, s.src_row, p.in[0]));
  memory y(plan.dst[i], engine(), at(dst, plan.dst[i], s, s.dst_row, p.out[0]));
  memory w(plan.inner, engine(), weights);
  if (p.kind == 0) {
    execute(plan.primitives[i], {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}}, plan.scratch);
  } else if (p.kind == 1) {
    execute(plan.primitives[i], {{DNNL_ARG_DIFF_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, y}},
            plan.scratch);
  } else {
    execute(plan.primitives[i], {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, y}},
            plan.scratch);
  }
}

void reorder(const Plan& plan, void* from, void* to) {
  OneThread alone;
  const auto& in = plan.problem.kind == 2 ? plan.inner : plan.plain;
  const auto& out = plan.problem.kind == 2 ? plan.plain : plan.inner;
  execute(plan.reorder, {{DNNL_ARG_FROM, memory(in, engine(), from)}, {DNNL_ARG_TO, memory(out, engine(), to)}},
          plan.scratch);
}

// Kinds 0 and 1: weights in, a map out.
void run_map(const Plan& plan, ffi::ThreadPool& pool, void* given, void* weights, void* made) {
  if (plan.reordered) {
    void* inside = weights_buffer.get(plan.inner.get_size());
    reorder(plan, weights, inside);
    weights = inside;
  }
  void* src = plan.problem.kind == 0 ? given : made;
  void* dst = plan.problem.kind == 0 ? made : given;
  spread(pool, plan.tasks(), [&](size_t i) { run_slice(plan, i, src, weights, dst); });
}

// Kind 2: every slice makes its own sums, which are then added in the order of the slices.
void run_weights(const Plan& plan, ffi::ThreadPool& pool, void* src, void* dst, void* made) {
  size_t count = plan.tasks(), bytes = (plan.inner.get_size() + 63) / 64 * 64;
  size_t floats = plan.inner.get_size() / sizeof(float);
  char* sums = static_cast<char*>(weights_buffer.get(count * bytes));
  auto sum_of = [&](size_t i) { return static_cast<float*>(i == 0 && !plan.reordered ? made : sums + i * bytes); };
  spread(pool, count, [&](size_t task) {
    float* total = sum_of(task);
    run_slice(plan, plan.begins[task], src, total, dst);
    for (size_t i = plan.begins[task] + 1; i < plan.begins[task + 1]; ++i) {
      float* part = static_cast<float*>(part_buffer.get(bytes));
      run_slice(plan, i, src, part, dst);
      for (size_t j = 0; j < floats; ++j) total[j] += part[j];
    }
  });
  if (count > 1) {
    size_t shares = floats < 65536 ? 1 : count;
    float* total = sum_of(0);
    spread(pool, shares, [&](size_t share) {
      for (size_t i = 1; i < count; ++i) {
        const float* more = sum_of(i);
        for (size_t j = floats * share / shares; j < floats * (share + 1) / shares; ++j) total[j] += more[j];
      }
    });
  }
  if (plan.reordered) reorder(plan, sums, made);
}

// Kind 2 of a depthwise convolution: the channels are cut, so that no sum is in two slices.
template <typename T>
void run_depthwise(const Plan& plan, ffi::ThreadPool& pool, void* src, void* dst, void* made) {
  const Problem& p = plan.problem;
  depthwise::Shape s{p.batch, p.channels};
  for (int i = 0; i < 2; ++i) {
    int axis = p.axes - 2 + i;  // one spatial axis is two of which the first has one position
    s.in[i] = axis < 0 ? 1 : p.in[axis], s.out[i] = axis < 0 ? 1 : p.out[axis];
    s.window[i] = axis < 0 ? 1 : p.window[axis], s.stride[i] = axis < 0 ? 1 : p.stride[axis];
    s.dilation[i] = axis < 0 ? 1 : p.dilation[axis], s.pad[i] = axis < 0 ? 0 : p.pad[axis];
  }
  const int64_t taps = s.window[0] * s.window[1], count = plan.tasks(), blocks = (s.channels + 15) / 16;
  T* out = static_cast<T*>(made);
  spread(pool, count, [&](size_t task) {
    int64_t first = blocks * task / count * 16, last = std::min<int64_t>(blocks * (task + 1) / count * 16, s.channels);
    if (first >= last) return;
    float* total = static_cast<float*>(part_buffer.get(sizeof(float) * taps * (last - first)));
    depthwise::sums(s, static_cast<T*>(src), static_cast<T*>(dst), first, last, total);
    for (int64_t c = first; c < last; ++c) {
      bool in_block = (c - first) / 16 * 16 + first + 16 <= last;
      int64_t lanes = in_block ? 16 : 1, lane = in_block ? (c - first) % 16 : 0;
      const float* of = total + (c - first - lane) * taps + lane;
      for (int64_t k = 0; k < taps; ++k) {
        int64_t row = p.axes == 1 ? 0 : k / s.window[1] * p.weight_strides[3];
        int64_t column = k % s.window[1] * p.weight_strides[p.axes + 2];
        store(&out[c * p.weight_strides[0] + row + column], of[k * lanes]);
      }
    }
  });
}

ffi::Error convolution(ffi::ThreadPool pool, ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Result<ffi::AnyBuffer> made,
                       ffi::Span<const int64_t> numbers) {
  if (numbers.size() != kNumbers) return ffi::Error::InvalidArgument("a convolution of another version of cnnlab");
  try {
    auto plan = plan_of(numbers.begin(), std::max<int64_t>(1, pool.num_threads()));
    auto run = plan->problem.kind == 2 ? run_weights : run_map;
    if (plan->own_depthwise) run = plan->problem.operand_type ? run_depthwise<Bfloat16> : run_depthwise<float>;
    run(*plan, pool, a.untyped_data(), b.untyped_data(), made->untyped_data());
  } catch (const std::exception& e) {
    return ffi::Error::Internal(std::string("convolution by oneDNN: ") + e.what());
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_convolution, convolution,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("problem"));

// Which implementation oneDNN takes for a problem, or why it takes none, into `name`.
// Returns 0 where it has a fast one, 1 where it has only its reference, 2 where it has none.
extern "C" int cnnlab_convolution_probe(const int64_t* numbers, int64_t threads, char* name, size_t size) {
  std::string said;
  int answer = 2;
  try {
    said = plan_of(numbers, threads)->implementation;
    answer = said.find("ref") != std::string::npos;
  } catch (const std::exception& e) {
    said = e.what();
  }
  std::strncpy(name, said.c_str(), size - 1);
  name[size - 1] = 0;
  return answer;
}
