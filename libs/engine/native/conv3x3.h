// Convolution with 3x3 filters, stride 1, zero padding 1 ("same"), NHWC, and its gradients, by Winograd's minimal filtering
// F(4x4, 3x3): a quarter of the multiplications of the direct sum.
//
// S. Winograd, "Arithmetic complexity of computations", 1980; A. Lavin and S. Gray, "Fast algorithms for convolutional neural
// networks", 2016 (the matrices A, B, G for the points 0, 1, -1, 2, -2).
//
// Nomenclature: a tile is 4x4 pixels of the output with the 6x6 of the input that they need; V = B'dB its transform (36
// numbers a channel), U = GgG' a filter's, M = sum over input channels of U V; the tile's output is A'MA. The filter's gradient
// is the transpose of that map: G'(sum over tiles of V times A dy A')G. Channels lie in vectors, so they are multiples of 8.
#pragma once

namespace lockstep {

struct ConvShape {
  int n, h, w;  // images, and rows and columns of the output
  int in, out;  // channels, multiples of 8
  /** The input has half the rows and columns; each of its pixels stands for two by two. */
  bool doubled;
};

/** y [n, h, w, out] = x * filter [3, 3, in, out] + bias [out] + residual [n, h, w, out]; either may be null. */
void convolve(const ConvShape& shape, const float* x, const float* filter, const float* bias, const float* residual, float* y);

/** dx, in x's shape, from dy [n, h, w, out]. */
void inputGradient(const ConvShape& shape, const float* dy, const float* filter, float* dx);

/** dfilter [3, 3, in, out] and dbias [out], from x and dy. */
void filterGradient(const ConvShape& shape, const float* x, const float* dy, float* dfilter, float* dbias);

}  // namespace lockstep
