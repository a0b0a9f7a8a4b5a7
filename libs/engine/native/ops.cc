// The kernels as TensorFlow ops, by TensorFlow's C API for them (tensorflow/c/ops.h, kernels.h). They are registered when the
// binding is loaded, are float32 and NHWC, and exist for the CPU only.
#include <cstdint>
#include <initializer_list>
#include <string>

#include "conv3x3.h"
#include "group_norm.h"
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"
#include "vector.h"

namespace {

using Shape = std::initializer_list<int64_t>;

class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  operator TF_Status*() { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }

 private:
  TF_Status* status_;
};

/** One run of an op: its inputs and outputs, which live as long as this. A wrong shape makes the op fail, once. */
class Run {
 public:
  explicit Run(TF_OpKernelContext* context) : context_(context) {}
  ~Run() {
    for (int i = 0; i < count_; i++) TF_DeleteTensor(tensors_[i]);
  }
  Run(const Run&) = delete;

  /** Null once something has failed: the first failure is the one that is told. */
  TF_Tensor* input(int index) {
    TF_Tensor* tensor = nullptr;
    if (failed()) return tensor;
    TF_GetInput(context_, index, &tensor, status_);
    return keep(tensor);
  }

  const float* floats(int index) { return data(input(index)); }

  /** The data of an input of this shape. */
  const float* floats(int index, Shape shape) {
    TF_Tensor* tensor = input(index);
    if (!failed() && !has(tensor, shape)) fail("input " + std::to_string(index) + " has another shape than the op needs");
    return data(tensor);
  }

  /** As `floats`, or null where the input is empty: left out. */
  const float* optional(int index, Shape shape) {
    TF_Tensor* tensor = input(index);
    return !failed() && TF_TensorElementCount(tensor) == 0 ? nullptr : floats(index, shape);
  }

  float* output(int index, Shape shape) {
    if (failed()) return nullptr;
    size_t bytes = sizeof(float);
    for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
    TF_Tensor* tensor =
        TF_AllocateOutput(context_, index, TF_FLOAT, shape.begin(), static_cast<int>(shape.size()), bytes, status_);
    return data(keep(tensor));
  }

  int dim(TF_Tensor* tensor, int axis, int rank) {
    if (failed()) return 0;
    if (TF_NumDims(tensor) == rank) return static_cast<int>(TF_Dim(tensor, axis));
    fail("an input has another number of dimensions than the op needs");
    return 0;
  }

  void fail(const std::string& message) {
    if (!failed()) TF_SetStatus(status_, TF_INVALID_ARGUMENT, message.c_str());
  }

  bool failed() const { return !status_.ok(); }

  /** Whether the op can go on; if not, TensorFlow is told why. */
  bool ready() {
    if (failed()) TF_OpKernelContext_Failure(context_, status_);
    return !failed();
  }

 private:
  static constexpr int kMost = 16;

  TF_Tensor* keep(TF_Tensor* tensor) {
    if (tensor != nullptr && count_ < kMost) tensors_[count_++] = tensor;
    return tensor;
  }

  static bool has(TF_Tensor* tensor, Shape shape) {
    if (TF_NumDims(tensor) != static_cast<int>(shape.size())) return false;
    int axis = 0;
    for (const int64_t size : shape)
      if (TF_Dim(tensor, axis++) != size) return false;
    return true;
  }

  float* data(TF_Tensor* tensor) { return failed() ? nullptr : static_cast<float*>(TF_TensorData(tensor)); }

  TF_OpKernelContext* context_;
  Status status_;
  TF_Tensor* tensors_[kMost];
  int count_ = 0;
};

struct ConvAttributes {
  TF_Bool doubled = 0;
  void read(TF_OpKernelConstruction* construction, TF_Status* status) {
    TF_OpKernelConstruction_GetAttrBool(construction, "doubled", &doubled, status);
  }
};

struct NormAttributes {
  int32_t groups = 0;
  float epsilon = 0;
  TF_Bool silu = 0;
  void read(TF_OpKernelConstruction* construction, TF_Status* status) {
    TF_OpKernelConstruction_GetAttrInt32(construction, "groups", &groups, status);
    if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrFloat(construction, "epsilon", &epsilon, status);
    if (TF_GetCode(status) == TF_OK) TF_OpKernelConstruction_GetAttrBool(construction, "silu", &silu, status);
  }
};

/** Shape of a convolution whose output, or gradient of it, is [n, h, w, ...]. */
lockstep::ConvShape convShape(Run& run, int n, int h, int w, TF_Tensor* filter, bool doubled) {
  const int in = run.dim(filter, 2, 4), out = run.dim(filter, 3, 4);
  if (!run.failed() && (TF_Dim(filter, 0) != 3 || TF_Dim(filter, 1) != 3)) run.fail("the filter is not 3x3");
  if (in % lockstep::kLanes != 0 || out % lockstep::kLanes != 0) run.fail("channels are not multiples of 8");
  if (doubled && (h % 2 != 0 || w % 2 != 0)) run.fail("a doubled image has an odd size");
  return {n, h, w, in, out, doubled};
}

void convolve(const ConvAttributes& attributes, Run& run) {
  TF_Tensor *x = run.input(0), *filter = run.input(1);
  const bool doubled = attributes.doubled != 0;
  const int times = doubled ? 2 : 1, n = run.dim(x, 0, 4), h = times * run.dim(x, 1, 4), w = times * run.dim(x, 2, 4);
  const lockstep::ConvShape s = convShape(run, n, h, w, filter, doubled);
  const float* input = run.floats(0, {n, h / times, w / times, s.in});
  const float *bias = run.optional(2, {s.out}), *residual = run.optional(3, {n, h, w, s.out});
  float* y = run.output(0, {n, h, w, s.out});
  if (run.ready()) lockstep::convolve(s, input, run.floats(1), bias, residual, y);
}

void inputGradient(const ConvAttributes& attributes, Run& run) {
  TF_Tensor *dy = run.input(0), *filter = run.input(1);
  const int n = run.dim(dy, 0, 4), h = run.dim(dy, 1, 4), w = run.dim(dy, 2, 4), times = attributes.doubled ? 2 : 1;
  const lockstep::ConvShape s = convShape(run, n, h, w, filter, attributes.doubled != 0);
  const float* gradient = run.floats(0, {n, h, w, s.out});
  float* dx = run.output(0, {n, h / times, w / times, s.in});
  if (run.ready()) lockstep::inputGradient(s, gradient, run.floats(1), dx);
}

void filterGradient(const ConvAttributes& attributes, Run& run) {
  TF_Tensor *x = run.input(0), *dy = run.input(1);
  const int n = run.dim(dy, 0, 4), h = run.dim(dy, 1, 4), w = run.dim(dy, 2, 4), times = attributes.doubled ? 2 : 1;
  const int in = run.dim(x, 3, 4), out = run.dim(dy, 3, 4);
  if (in % lockstep::kLanes != 0 || out % lockstep::kLanes != 0) run.fail("channels are not multiples of 8");
  const float* input = run.floats(0, {n, h / times, w / times, in});
  float *dfilter = run.output(0, {3, 3, in, out}), *dbias = run.output(1, {out});
  if (run.ready())
    lockstep::filterGradient({n, h, w, in, out, attributes.doubled != 0}, input, run.floats(1), dfilter, dbias);
}

lockstep::NormShape normShape(Run& run, const NormAttributes& attributes, TF_Tensor* x) {
  const int n = run.dim(x, 0, 4), pixels = run.dim(x, 1, 4) * run.dim(x, 2, 4), channels = run.dim(x, 3, 4);
  if (channels % lockstep::kLanes != 0) run.fail("channels are not a multiple of 8");
  if (attributes.groups < 1 || channels % attributes.groups != 0) run.fail("groups do not divide the channels");
  return {n, pixels, channels, attributes.groups, attributes.epsilon, attributes.silu != 0};
}

void normalise(const NormAttributes& attributes, Run& run) {
  TF_Tensor* x = run.input(0);
  const lockstep::NormShape s = normShape(run, attributes, x);
  const float *offset = run.floats(1, {s.n, s.channels}), *gamma = run.floats(2, {s.channels});
  const float* beta = run.floats(3, {s.channels});
  float* z = run.output(0, {s.n, run.dim(x, 1, 4), run.dim(x, 2, 4), s.channels});
  float* statistics = run.output(1, {s.n, 3, s.channels});
  if (run.ready()) lockstep::normalise(s, run.floats(0), offset, gamma, beta, z, statistics);
}

void normaliseGradient(const NormAttributes& attributes, Run& run) {
  TF_Tensor* x = run.input(1);
  const lockstep::NormShape s = normShape(run, attributes, x);
  const int64_t h = run.dim(x, 1, 4), w = run.dim(x, 2, 4);
  const float *dz = run.floats(0, {s.n, h, w, s.channels}), *statistics = run.floats(2, {s.n, 3, s.channels});
  const float *gamma = run.floats(3, {s.channels}), *beta = run.floats(4, {s.channels});
  float *dx = run.output(0, {s.n, h, w, s.channels}), *doffset = run.output(1, {s.n, s.channels});
  float *dgamma = run.output(2, {s.channels}), *dbeta = run.output(3, {s.channels});
  if (run.ready())
    lockstep::normaliseGradient(s, dz, run.floats(1), statistics, gamma, beta, dx, doffset, dgamma, dbeta);
}

template <class Attributes>
void* create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  Status status;
  attributes->read(construction, status);
  if (!status.ok()) TF_OpKernelConstruction_Failure(construction, status);
  return attributes;
}

template <class Attributes, void (*compute)(const Attributes&, Run&)>
void runOp(void* attributes, TF_OpKernelContext* context) {
  Run run(context);
  compute(*static_cast<Attributes*>(attributes), run);
}

template <class Attributes>
void destroy(void* attributes) {
  delete static_cast<Attributes*>(attributes);
}

/** Shapes are found when an op runs: nothing before that asks for them. */
void unknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

using Specs = std::initializer_list<const char*>;

template <class Attributes, void (*compute)(const Attributes&, Run&)>
bool define(const char* name, Specs inputs, Specs outputs, Specs attributes) {
  Status status;
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (const char* input : inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char* output : outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  for (const char* attribute : attributes) TF_OpDefinitionBuilderAddAttr(op, attribute);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, unknownShapes);
  TF_RegisterOpDefinition(op, status);
  TF_KernelBuilder* kernel =
      TF_NewKernelBuilder(name, "CPU", create<Attributes>, runOp<Attributes, compute>, destroy<Attributes>);
  TF_RegisterKernelBuilder(name, kernel, status);
  return status.ok();
}

const bool registered[] = {
    define<ConvAttributes, convolve>("LockstepConv3x3",
                                     {"x: float", "filter: float", "bias: float", "residual: float"}, {"y: float"},
                                     {"doubled: bool"}),
    define<ConvAttributes, inputGradient>("LockstepConv3x3InputGradient", {"dy: float", "filter: float"}, {"dx: float"},
                                          {"doubled: bool"}),
    define<ConvAttributes, filterGradient>("LockstepConv3x3FilterGradient", {"x: float", "dy: float"},
                                           {"dfilter: float", "dbias: float"}, {"doubled: bool"}),
    define<NormAttributes, normalise>("LockstepGroupNorm", {"x: float", "offset: float", "gamma: float", "beta: float"},
                                      {"z: float", "statistics: float"}, {"groups: int", "epsilon: float", "silu: bool"}),
    define<NormAttributes, normaliseGradient>(
        "LockstepGroupNormGradient", {"dz: float", "x: float", "statistics: float", "gamma: float", "beta: float"},
        {"dx: float", "doffset: float", "dgamma: float", "dbeta: float"}, {"groups: int", "epsilon: float", "silu: bool"}),
};

}  // namespace
