// Matrix products and convolutions.
#include "block.h"
#include "chains.h"
#include "matmul.h"
#include "gather.h"
#include "conv2d.h"
#include "conv2d_input_gradient.h"
#include "winograd.h"
#include "conv3x3.h"
#include "conv3x3_filter_gradient.h"

#define LOCKSTEP_DENSE_KERNELS                                                  \
  {"matmul", matmul, matmulNeeds},                                              \
  {"conv2d", conv2d, conv2dNeeds},                                              \
  {"conv2dInputGradient", conv2dInputGradient, conv2dInputGradientNeeds},       \
  {"conv2dFilterGradient", conv2dFilterGradient, conv2dFilterGradientNeeds}, \
  {"conv3x3", conv3x3, conv3x3Needs},                                           \
  {"conv3x3InputGradient", conv3x3InputGradient, conv3x3InputGradientNeeds},    \
  {"conv3x3FilterGradient", conv3x3FilterGradient, conv3x3FilterGradientNeeds},
