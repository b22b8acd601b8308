// Convolution and its two gradients by oneDNN, as calls that XLA's CPU programs make.
//
// Maps stay where XLA has them, channels last, without a copy; weights are brought into oneDNN's own order inside.
// The batch (or, with fewer examples than threads, each map's rows) is cut into slices, and a single-threaded oneDNN
// primitive runs on each slice, on XLA's own thread pool: no second pool competes for the cores. The cut depends on
// the shape and the number of threads alone and sums over slices are added in their order, so that every run gives
// the same bits.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using dnnl::memory;

namespace {

// What to compute, always told as the forward convolution src [batch, *in, channels], weights, dst [batch, *out,
// features]: kind 0 makes dst, kind 1 the gradient with respect to src, kind 2 with respect to weights.
// problem.py writes the same order of numbers.
struct Problem {
  int64_t kind, axes, batch, groups, channels, features;
  int64_t in[3], out[3], window[3], stride[3], dilation[3], pad[3];
  int64_t weight_strides[6];  // of group, feature within group, channel within group, and the window's axes
  int64_t operand_type, result_type;  // 0 float32, 1 bfloat16

  int64_t reach(int axis) const { return dilation[axis] * (window[axis] - 1) + 1; }
};
constexpr size_t kNumbers = sizeof(Problem) / sizeof(int64_t);

memory::data_type type_of(int64_t number) {
  return number == 1 ? memory::data_type::bf16 : memory::data_type::f32;
}

// Part of the work: some examples, and rows (positions along the first spatial axis) of src and dst.
struct Slice {
  int64_t example, examples, src_row, src_rows, dst_row, dst_rows, pad;
};

// Rows a to b of what the problem makes (or, for kind 2, of dst), and the rows of the other map that they touch.
Slice rows_of(const Problem& p, int64_t example, int64_t a, int64_t b) {
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
bool sound(const Problem& p, const Slice& s) {
  if (s.src_rows < 1 || s.dst_rows < 1 || s.pad < 0) return false;
  int64_t first = (s.pad + p.stride[0] - 1) / p.stride[0] * p.stride[0] - s.pad;
  if (p.kind == 2 && first + p.reach(0) > s.src_rows) return false;
  return p.operand_type == 0 || p.reach(0) <= s.src_rows;
}

std::vector<Slice> cut(const Problem& p, int64_t threads) {
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
std::vector<Slice> parts_of(const Problem& p, const Slice& slice) {
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

const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

// While it lives, oneDNN starts no threads of its own from this thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }

 private:
  int before_;
};

// The weights' gradient of a depthwise convolution, whose window oneDNN's own kernel does not take: it would fill
// blocks of 16x16 channels with one number each (17 MB of sums for 672 channels and a window of 5x5).
namespace depthwise {

typedef float Lanes __attribute__((vector_size(64)));

typedef uint16_t Halves __attribute__((vector_size(32)));
typedef uint32_t Words __attribute__((vector_size(64)));

// A bfloat16 is the upper half of a float32.
struct Bfloat16 {
  uint16_t upper;
};

// Lanes or one float from anywhere, through memcpy: templates forget what a type says of alignment.
template <typename V>
inline __attribute__((always_inline)) V load(const float* from) {
  V values;
  std::memcpy(&values, from, sizeof values);
  return values;
}
template <typename V>
inline __attribute__((always_inline)) V load(const Bfloat16* from) {
  V values;
  if constexpr (sizeof(V) == sizeof(Lanes)) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    Words words = __builtin_convertvector(halves, Words) << 16;
    std::memcpy(&values, &words, sizeof values);
  } else {
    uint32_t word = uint32_t(from->upper) << 16;
    std::memcpy(&values, &word, sizeof values);
  }
  return values;
}

inline void store(float* to, float value) { *to = value; }
inline void store(Bfloat16* to, float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  // To the nearest, ties to even; a NaN stays one.
  to->upper = value != value ? (word >> 16) | 0x40 : (word + 0x7fff + ((word >> 16) & 1)) >> 16;
}

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

// Compiled for three processors; which of them this is is asked once, when the library is loaded.
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
FOR_EACH_PROCESSOR void sums(const Shape& s, const float* x, const float* dy, int64_t first, int64_t last,
                             float* total) {
  all_sums(s, x, dy, first, last, total);
}
FOR_EACH_PROCESSOR void sums(const Shape& s, const Bfloat16* x, const Bfloat16* dy, int64_t first, int64_t last,
                             float* total) {
  all_sums(s, x, dy, first, last, total);
}

}  // namespace depthwise

// Memory that a thread keeps from call to call, since fresh pages cost more than many a convolution.
class Buffer {
 public:
  void* get(size_t bytes) {
    if (bytes > size_) {
      std::free(data_);
      size_ = (bytes + 4095) / 4096 * 4096;
      data_ = std::aligned_alloc(4096, size_);
      if (data_ == nullptr) size_ = 0;
      if (data_ == nullptr) throw std::bad_alloc();
    }
    return data_;
  }
  ~Buffer() { std::free(data_); }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

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

// Runs task(0) ... task(count - 1) on the pool and the calling thread. The caller takes tasks itself until none is
// left and then waits only for those that have begun, so that callers which fill the whole pool cannot wait for
// one another.
void spread(ffi::ThreadPool& pool, size_t count, const std::function<void(size_t)>& task) {
  struct Shared {
    std::atomic<size_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable finished;
    std::string error;
  };
  auto shared = std::make_shared<Shared>();
  // A latecomer finds no task left and never touches `task`, which may be gone by then.
  auto work = [shared, count, &task] {
    for (size_t i; (i = shared->next.fetch_add(1)) < count;) {
      std::string error;
      try {
        OneThread alone;
        task(i);
      } catch (const std::exception& e) {
        error = e.what();
      }
      std::lock_guard<std::mutex> lock(shared->mutex);
      if (!error.empty()) shared->error = error;
      if (shared->done.fetch_add(1) + 1 == count) shared->finished.notify_all();
    }
  };
  for (size_t i = 1; i < count; ++i) pool.Schedule(std::function<void()>(work));
  work();
  for (int i = 0; i < 2000 && shared->done.load() < count; ++i) __builtin_ia32_pause();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->finished.wait(lock, [&] { return shared->done.load() == count; });
  if (!shared->error.empty()) throw std::runtime_error(shared->error);
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
        depthwise::store(&out[c * p.weight_strides[0] + row + column], of[k * lanes]);
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
    if (plan->own_depthwise) run = plan->problem.operand_type ? run_depthwise<depthwise::Bfloat16> : run_depthwise<float>;
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
