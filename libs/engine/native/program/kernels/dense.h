// Matrix products and convolutions.

#include "products.h"
#include "conv2d.h"
#include "winograd.h"
#include "conv3x3.h"
#include "conv3x3_filter.h"

#define LOCKSTEP_DENSE_KERNELS                                                  \
  {"matmul", matmul, matmulNeeds},                                              \
  {"conv2d", conv2d, conv2dNeeds},                                              \
  {"conv2dInputGradient", conv2dInputGradient, conv2dInputGradientNeeds},       \
  {"conv2dFilterGradient", conv2dFilterGradient, conv2dFilterGradientNeeds},    \
  {"conv3x3", conv3x3, conv3x3Needs},                                           \
  {"conv3x3InputGradient", conv3x3InputGradient, conv3x3InputGradientNeeds},    \
  {"conv3x3FilterGradient", conv3x3FilterGradient, conv3x3FilterGradientNeeds},
