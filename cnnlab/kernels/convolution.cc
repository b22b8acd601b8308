// Convolution and its two gradients by oneDNN, as calls that XLA's CPU programs make.
//
// Maps stay where XLA has them, channels last, without a copy; weights are brought into oneDNN's own order inside.
// The batch (or, with fewer examples than threads, each map's rows) is cut into slices, and a single-threaded oneDNN
// primitive runs on each slice, on XLA's own thread pool: no second pool competes for the cores. The cut depends on
// the shape and the number of threads alone and sums over slices are added in their order, so that every run gives
// the same bits.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "depthwise.h"
#include "plan.h"

using namespace cnnlab;

namespace {

thread_local Buffer weights_buffer, part_buffer;

char* at(void* base, const memory::desc& desc, const Slice& s, int64_t row, int64_t rows) {
  auto dims = desc.get_dims();
  int64_t line = dims[1];
  for (size_t i = 3; i < dims.size(); ++i) line *= dims[i];
  return static_cast<char*>(base) + (s.example * rows + row) * line * memory::data_type_size(desc.get_data_type());
}

void run_slice(const Plan& plan, size_t i, void* src, void* weights, void* dst, void* bias = nullptr) {
  const Slice& s = plan.slices[i];
  const Problem& p = plan.problem;
  memory x(plan.src[i], engine(), at(src, plan.src[i], s, s.src_row, p.in[0]));
  memory y(plan.dst[i], engine(), at(dst, plan.dst[i], s, s.dst_row, p.out[0]));
  memory w(plan.inner, engine(), weights);
  if (bias) {
    memory b(bias_desc(p), engine(), bias);
    execute(plan.primitives[i], {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST, y}},
            plan.scratch);
  } else if (p.kind == 0) {
    execute(plan.primitives[i], {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}}, plan.scratch);
  } else if (p.kind == 1) {
    execute(plan.primitives[i], {{DNNL_ARG_DIFF_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, y}},
            plan.scratch);
  } else {
    execute(plan.primitives[i], {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, w}, {DNNL_ARG_DIFF_DST, y}},
            plan.scratch);
  }
}

// Kinds 0 and 1: weights in, a map out. `factor` and `bias` are of each feature, where something comes after.
void run_map(const Plan& plan, ffi::ThreadPool& pool, void* given, void* weights, void* made, float* factor = nullptr,
             float* bias = nullptr) {
  if (plan.winograd)
    return run_winograd(plan.problem, pool, static_cast<float*>(given), static_cast<float*>(weights),
                        static_cast<float*>(made), factor, bias);
  if (plan.reordered) {
    void* inside = weights_buffer.get(plan.inner.get_size());
    plan.reorder.run(pool, weights, inside, factor);
    weights = inside;
  }
  void* src = plan.problem.kind == 0 ? given : made;
  void* dst = plan.problem.kind == 0 ? made : given;
  spread(pool, plan.tasks(), [&](size_t i) { run_slice(plan, i, src, weights, dst, bias); });
}

// Kind 2: every slice makes its own sums, which are then added in the order of the slices.
void run_weights(const Plan& plan, ffi::ThreadPool& pool, void* src, void* dst, void* made) {
  if (plan.winograd)
    return run_winograd_weights(plan.problem, pool, static_cast<float*>(src), static_cast<float*>(dst),
                                static_cast<float*>(made));
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
  if (plan.reordered) plan.reorder.run(pool, sums, made);
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
  return guarded("convolution by oneDNN", [&] {
    auto plan = plan_of<Plan, Problem>(numbers, pool);
    void *left = a.untyped_data(), *right = b.untyped_data(), *out = made->untyped_data();
    auto of_weights = run_weights;
    if (plan->own_depthwise) of_weights = plan->problem.operand_type ? run_depthwise<Bfloat16> : run_depthwise<float>;
    if (plan->problem.kind == 2) {
      of_weights(*plan, pool, left, right, out);
    } else {
      run_map(*plan, pool, left, right, out);
    }
  });
}

// A convolution with what comes after it; a residual is in `made` already, where XLA put it or a copy of it.
ffi::Error convolution_after(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Buffer<ffi::F32> weights,
                             ffi::Buffer<ffi::F32> factor, ffi::Buffer<ffi::F32> bias, ffi::RemainingArgs residual,
                             ffi::Result<ffi::AnyBuffer> made, ffi::Span<const int64_t> numbers) {
  return guarded("convolution by oneDNN", [&] {
    auto plan = plan_of<Plan, Problem>(numbers, pool);
    void* out = made->untyped_data();
    if (residual.size() == 1) {
      void* added = residual.get<ffi::AnyBuffer>(0).value().untyped_data();
      if (added != out) std::memcpy(out, added, made->size_bytes());
    }
    run_map(*plan, pool, x.untyped_data(), weights.untyped_data(), out, factor.typed_data(), bias.typed_data());
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_convolution, convolution,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("problem"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(cnnlab_convolution_after, convolution_after,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("problem"));

// Which implementation oneDNN takes for a problem, or why it takes none, into `name`.
// Returns 0 where it has a fast one, 1 where it has only its reference, 2 where it has none.
extern "C" int cnnlab_convolution_probe(const int64_t* numbers, int64_t threads, char* name, size_t size) {
  std::string said;
  int answer = 2;
  try {
    said = plan_of<Plan, Problem>(numbers, threads)->implementation;
    answer = said.find("ref") != std::string::npos;
  } catch (const std::exception& e) {
    said = e.what();
  }
  std::strncpy(name, said.c_str(), size - 1);
  name[size - 1] = 0;
  return answer;
}
