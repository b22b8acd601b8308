// Sixteen float32 at a time, from float32 or bfloat16 in memory.
#pragma once

#include <cstdint>
#include <cstring>

namespace cnnlab {

// Compiled for three processors; which of them this is is asked once, when the library is loaded.
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))

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

}  // namespace cnnlab
