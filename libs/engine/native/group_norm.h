// Group normalisation (Wu and He 2018), optionally followed by SiLU (Elfwing et al. 2017), and its gradient. An image is
// walked through two or three times while it lies in the second-level cache, and memory is read and written once.
// The formulas are those of src/groupNorm.ts, with the input's deviation from its channel's mean in place of the input: no
// term of the gradient cancels where |mean| >> std.
#pragma once

namespace lockstep {

struct NormShape {
  int n, pixels, channels, groups;  // channels: a multiple of 8 and of groups
  float epsilon;
  bool silu;
};

/**
 * z [n, pixels, channels] = norm of x + offset [n, channels], times gamma [channels], plus beta [channels], through SiLU if
 * asked. statistics [n, 3, channels]: each channel's mean over pixels of x; 1 / standard deviation of its group; offset plus
 * that mean, less the group's mean.
 */
void normalise(const NormShape& shape, const float* x, const float* offset, const float* gamma, const float* beta, float* z,
               float* statistics);

/** dx [n, pixels, channels], doffset [n, channels], dgamma and dbeta [channels], from dz and what the forward pass left. */
void normaliseGradient(const NormShape& shape, const float* dz, const float* x, const float* statistics, const float* gamma,
                       const float* beta, float* dx, float* doffset, float* dgamma, float* dbeta);

}  // namespace lockstep
