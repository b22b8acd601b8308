// Convolutions of 3x3 windows in 16 products for each 2x2 outputs instead of 36: Winograd's minimal filtering
// F(2x2, 3x3), with its transforms B, G and A, as in Lavin and Gray (2016), sections 4.1 and 5.
//
// y = A^T [(G g G^T) * (B^T d B)] A for each tile of 2x2 outputs and the 4x4 patch d that it sees, summed over
// channels between the transforms; so the 16 products are 16 matrix products of tiles by channels. The weights'
// gradient is the transpose: G^T [(B^T d B) * (A dy A^T)] G, summed over tiles. The factors are 1 and 1/2, so that
// float32 loses no more than by the plain sum, whose chains are nine times as long.
#pragma once

#include <cstdint>

#include "problem.h"
#include "threads.h"

namespace cnnlab {

// Whether it is the faster way, by what its parts were measured to cost.
bool suits_winograd(const Problem& p);

// Kind 0; `factor` and `bias` are of each feature, where something comes after.
void run_winograd(const Problem& p, ffi::ThreadPool& pool, const float* src, const float* weights, float* dst,
                  const float* factor, const float* bias);

// Kind 2.
void run_winograd_weights(const Problem& p, ffi::ThreadPool& pool, const float* src, const float* dst, float* made);

}  // namespace cnnlab
