// Includes LINES, the loops of a kernel, once for each kind of processor, each into a namespace of its own: GCC takes
// vectors to pieces for the oldest processor before it clones a function for a newer one, so that target_clones make
// comparisons of sixteen numbers twenty times slower. WIDEST is how many floats the processor's vectors have.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "lanes.h"  // Bfloat16

// What is to be done sixteen at a time says so; on lists of a few addresses GCC only wastes time and code with it.
#pragma GCC optimize("no-tree-vectorize")
#define INLINE inline __attribute__((always_inline))

// Whether to write a map past the caches: of one so large little is left there when the next operation reads it.
// Blocks of sixteen numbers have to begin where their size divides the address.
inline bool streamed(const void* map, int64_t bytes, int64_t channels) {
  return bytes >= (16 << 20) && channels % 16 == 0 && reinterpret_cast<uintptr_t>(map) % 64 == 0;
}

// Whether AVX-512 rounds to bfloat16 by itself.
static const bool narrows = __builtin_cpu_supports("avx512bf16");

namespace oldest {
#define WIDEST 4
#include "vectors.h"
#include LINES
#undef WIDEST
}  // namespace oldest
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define WIDEST 8
#include "vectors.h"
#include LINES
#undef WIDEST
}  // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")
namespace avx512 {
#define WIDEST 16
#include "vectors.h"
#include LINES
#undef WIDEST
}  // namespace avx512
#pragma GCC pop_options

enum class Processor { kOldest, kAvx2, kAvx512 };

// What this is, or ONEDNN_MAX_CPU_ISA lets it be taken for.
inline Processor processor() {
  static const Processor found = [] {
    const char* most = std::getenv("ONEDNN_MAX_CPU_ISA");
    const bool newest = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl"), newer = __builtin_cpu_supports("avx2") &&
                        __builtin_cpu_supports("fma");
    if (newest && (!most || std::strstr(most, "AVX512"))) return Processor::kAvx512;
    if (newer && (!most || std::strstr(most, "AVX"))) return Processor::kAvx2;
    return Processor::kOldest;
  }();
  return found;
}

// The call, by the functions that were compiled for this processor.
#define ON_THIS_PROCESSOR(...)                                 \
  switch (processor()) {                                       \
    case Processor::kAvx512: avx512::__VA_ARGS__; break;       \
    case Processor::kAvx2: avx2::__VA_ARGS__; break;           \
    case Processor::kOldest: oldest::__VA_ARGS__; break;       \
  }
