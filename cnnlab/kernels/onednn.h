// What every kernel that calls oneDNN has in common: the engine, a stream and scratch memory for each thread, and
// reorders that are spread over the threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "threads.h"

namespace cnnlab {

using dnnl::memory;

inline memory::data_type type_of(int64_t number) {
  return number == 1 ? memory::data_type::bf16 : memory::data_type::f32;
}

inline const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

inline dnnl::stream& stream() {
  thread_local dnnl::stream one(engine());
  return one;
}

inline void execute(const dnnl::primitive& primitive, std::unordered_map<int, memory> arguments, size_t scratch) {
  thread_local Buffer buffer;
  if (scratch) {
    memory::desc flat({int64_t(scratch)}, memory::data_type::u8, memory::format_tag::a);
    arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(flat, engine(), buffer.get(scratch)));
  }
  primitive.execute(stream(), arguments);
}

// What is made ready once for the numbers that describe a Problem and for a number of threads, and kept for the life of
// the process, as compiled programs are.
template <typename Plan, typename Problem>
std::shared_ptr<const Plan> plan_of(const int64_t* numbers, int64_t threads) {
  static auto* mutex = new std::mutex;
  static auto* plans = new std::map<std::vector<int64_t>, std::shared_ptr<const Plan>>;
  std::vector<int64_t> key(numbers, numbers + sizeof(Problem) / sizeof(int64_t));
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

// The same for a call: on all threads of the pool.
template <typename Plan, typename Problem>
std::shared_ptr<const Plan> plan_of(ffi::Span<const int64_t> numbers, const ffi::ThreadPool& pool) {
  described<Problem>(numbers);
  return plan_of<Plan, Problem>(numbers.begin(), std::max<int64_t>(1, pool.num_threads()));
}

// Weights from one order to another, in pieces along their first axis, one for each thread; `scaled` multiplies each
// output feature (the first axis of `from`, the first two of grouped weights) by a number of its own.
class Reorder {
 public:
  Reorder() = default;

  Reorder(const memory::desc& from, const memory::desc& to, int64_t threads, bool grouped, bool scaled) {
    // Waking a thread costs as much as moving some ten thousand numbers.
    int64_t block = std::max(block_of(from), block_of(to)), blocks = (from.get_dims()[0] + block - 1) / block;
    int64_t count = from.get_size() < (1 << 18) ? 1 : std::min(threads, blocks);
    for (int64_t i = 0; i < count; ++i) add(from, to, blocks * i / count * block, blocks * (i + 1) / count * block,
                                            grouped, scaled);
  }

  void run(ffi::ThreadPool& pool, void* from, void* to, float* scales = nullptr) const {
    spread(pool, pieces_.size(), [&](size_t i) {
      const Piece& p = pieces_[i];
      std::unordered_map<int, memory> arguments{{DNNL_ARG_FROM, memory(p.from, engine(), from)},
                                                {DNNL_ARG_TO, memory(p.to, engine(), to)}};
      if (scales) {
        memory::desc flat({p.scales}, memory::data_type::f32, memory::format_tag::a);
        arguments.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, memory(flat, engine(), scales + p.first_scale));
      }
      execute(p.reorder, arguments, p.scratch);
    });
  }

 private:
  struct Piece {
    memory::desc from, to;
    dnnl::reorder reorder;
    size_t scratch;
    int64_t first_scale, scales;
  };

  // How many positions of the first axis lie in one block of memory.
  static int64_t block_of(const memory::desc& desc) {
    int64_t block = 1;
    for (int i = 0; i < desc.get_inner_nblks(); ++i)
      if (desc.get_inner_idxs()[i] == 0) block *= desc.get_inner_blks()[i];
    return block;
  }

  void add(const memory::desc& from, const memory::desc& to, int64_t first, int64_t end, bool grouped, bool scaled) {
    memory::dims dims = from.get_dims(), at(dims.size(), 0);
    at[0] = first;
    dims[0] = std::min(end, dims[0]) - first;
    Piece p{from.submemory_desc(dims, at), to.submemory_desc(dims, at)};
    const int64_t each = grouped ? dims[1] : 1;
    p.first_scale = first * each, p.scales = dims[0] * each;
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (scaled) attributes.set_scales_mask(DNNL_ARG_SRC, grouped ? 3 : 1);
    dnnl::reorder::primitive_desc described(engine(), p.from, engine(), p.to, attributes);
    p.scratch = described.scratchpad_desc().get_size();
    p.reorder = dnnl::reorder(described);
    pieces_.push_back(p);
  }

  std::vector<Piece> pieces_;
};

}  // namespace cnnlab
