// All kernels but matrix products and convolutions. Included inside the target's namespace.
#include "walk.h"
#include "cells.h"
#include "exponential.h"
#include "elementwise.h"
#include "move.h"
#include "reduce.h"
#include "math.h"
#include "softmax.h"
#include "group_norm.h"
#include "pooling.h"
#include "segments.h"

#define LOCKSTEP_REST_KERNELS                              \
  {"neg", unary<Vec, Neg>, nullptr},                       \
  {"abs", unary<Vec, Abs>, nullptr},                       \
  {"sign", unary<Vec, Sign>, nullptr},                     \
  {"square", unary<Vec, Square>, nullptr},                 \
  {"reciprocal", unary<Vec, Reciprocal>, nullptr},         \
  {"sqrt", unary<Vec, Sqrt>, nullptr},                     \
  {"rsqrt", unary<Vec, Rsqrt>, nullptr},                   \
  {"exp", unary<Vec, Exp>, nullptr},                       \
  {"sigmoid", unary<Vec, Sigmoid>, nullptr},               \
  {"relu", unary<Vec, Relu>, nullptr},                     \
  {"floor", unary<Vec, Floor>, nullptr},                   \
  {"ceil", unary<Vec, Ceil>, nullptr},                     \
  {"round", unary<Vec, Round>, nullptr},                   \
  {"isNan", unary<Vec, IsNan>, nullptr},                   \
  {"toFloat", toFloat, nullptr},             \
  {"toInt", toInt, nullptr},                   \
  {"not", logicalNot, nullptr},                     \
  {"add", binary<Vec, Add>, nullptr},                      \
  {"sub", binary<Vec, Sub>, nullptr},                      \
  {"mul", binary<Vec, Mul>, nullptr},                      \
  {"div", binary<Vec, Div>, nullptr},                      \
  {"maximum", binary<Vec, Maximum>, nullptr},              \
  {"minimum", binary<Vec, Minimum>, nullptr},              \
  {"squaredDifference", binary<Vec, SquaredDifference>, nullptr}, \
  {"less", binary<Vec, Less>, nullptr},                    \
  {"lessEqual", binary<Vec, LessEqual>, nullptr},          \
  {"greater", binary<Vec, Greater>, nullptr},              \
  {"greaterEqual", binary<Vec, GreaterEqual>, nullptr},    \
  {"equal", binary<Vec, Equal>, nullptr},                  \
  {"notEqual", binary<Vec, NotEqual>, nullptr},            \
  {"reluGradient", binary<Vec, ReluGradient>, nullptr},    \
  {"sigmoidGradient", binary<Vec, SigmoidGradient>, nullptr}, \
  {"tanhGradient", binary<Vec, TanhGradient>, nullptr},    \
  {"addInt", binary<Cells, AddInt>, nullptr},              \
  {"subInt", binary<Cells, SubInt>, nullptr},              \
  {"mulInt", binary<Cells, MulInt>, nullptr},              \
  {"maximumInt", binary<Cells, MaximumInt>, nullptr},      \
  {"minimumInt", binary<Cells, MinimumInt>, nullptr},      \
  {"lessInt", binary<Cells, LessInt>, nullptr},            \
  {"lessEqualInt", binary<Cells, LessEqualInt>, nullptr},  \
  {"greaterInt", binary<Cells, GreaterInt>, nullptr},      \
  {"greaterEqualInt", binary<Cells, GreaterEqualInt>, nullptr}, \
  {"equalInt", binary<Cells, EqualInt>, nullptr},          \
  {"notEqualInt", binary<Cells, NotEqualInt>, nullptr},    \
  {"and", binary<Cells, And>, nullptr},                    \
  {"or", binary<Cells, Or>, nullptr},                      \
  {"select", choose, nullptr},                             \
  {"copy", copy, nullptr},                                 \
  {"fill", fill, nullptr},                                 \
  {"oneHot", oneHot, nullptr},                             \
  {"gather", gather, nullptr}, \
  {"sum", reduce<Vec, SumOf>, reductionNeeds},             \
  {"mean", mean, reductionNeeds},           \
  {"prod", reduce<Vec, ProductOf>, reductionNeeds},        \
  {"max", reduce<Vec, LargestOf>, reductionNeeds},         \
  {"min", reduce<Vec, SmallestOf>, reductionNeeds},        \
  {"sumInt", reduce<Cells, OfInts<AddInt, 0>>, reductionNeeds}, \
  {"maxInt", reduce<Cells, OfInts<MaximumInt, INT32_MIN>>, reductionNeeds}, \
  {"minInt", reduce<Cells, OfInts<MinimumInt, INT32_MAX>>, reductionNeeds}, \
  {"any", reduce<Cells, OfInts<Or, 0>>, reductionNeeds},   \
  {"every", reduce<Cells, OfInts<And, 1>>, reductionNeeds}, \
  {"argMax", argument<1>, nullptr},                        \
  {"argMin", argument<-1>, nullptr}, \
  {"expm1", unaryInDouble<Expm1>, nullptr}, \
  {"log", unaryInDouble<Log>, nullptr}, \
  {"log1p", unaryInDouble<Log1p>, nullptr}, \
  {"sin", unaryInDouble<Sin>, nullptr}, \
  {"cos", unaryInDouble<Cos>, nullptr}, \
  {"tanh", unaryInDouble<Tanh>, nullptr}, \
  {"erf", unaryInDouble<Erf>, nullptr}, \
  {"elu", unaryInDouble<Elu>, nullptr}, \
  {"softplus", unaryInDouble<Softplus>, nullptr}, \
  {"pow", pow, nullptr}, \
  {"softmax", softmax, nullptr}, \
  {"groupNorm", groupNorm, groupNormNeeds}, \
  {"groupNormGradient", groupNormGradient, groupNormGradientNeeds}, \
  {"maxPool", maxPool, nullptr}, \
  {"avgPool", avgPool, nullptr}, \
  {"maxPoolGradient", maxPoolGradient, nullptr}, \
  {"avgPoolGradient", avgPoolGradient, nullptr}, \
  {"segmentSum", segmentSum, segmentSumNeeds},
