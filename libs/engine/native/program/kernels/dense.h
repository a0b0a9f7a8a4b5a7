// Matrix products and convolutions.

namespace dense {

#include "unrolled.h"
#include "turn.h"
#include "block.h"
#include "chains.h"
#include "matmul.h"
#include "gather.h"
#include "narrow.h"
#include "conv2d.h"
#include "conv2d_input_gradient.h"
#include "winograd.h"
#include "winograd_tiles.h"
#include "conv3x3.h"
#include "conv3x3_filter_gradient.h"

#undef LOCKSTEP_INLINED

}  // namespace dense

#define LOCKSTEP_DENSE_KERNELS                                                              \
  {"matmul", dense::matmul, dense::matmulNeeds},                                            \
  {"conv2d", dense::conv2d, dense::conv2dNeeds},                                            \
  {"conv2dInputGradient", dense::conv2dInputGradient, dense::conv2dInputGradientNeeds},     \
  {"conv2dFilterGradient", dense::conv2dFilterGradient, dense::conv2dFilterGradientNeeds},  \
  {"conv3x3", dense::conv3x3, dense::conv3x3Needs},                                         \
  {"conv3x3InputGradient", dense::conv3x3InputGradient, dense::conv3x3InputGradientNeeds},  \
  {"conv3x3FilterGradient", dense::conv3x3FilterGradient, dense::conv3x3FilterGradientNeeds},
