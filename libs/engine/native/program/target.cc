// All kernels for one kind of processor. Compiled once for each, with LOCKSTEP_TARGET (the name), LOCKSTEP_LANES and the compiler's
// flags for it. Nothing of the C++ library may be used in kernels: what it inlines would be compiled with those flags, and the linker may
// keep that copy for everybody.
#include "kernel.h"

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#define LOCKSTEP_TEXT_OF(name) #name
#define LOCKSTEP_TEXT(name) LOCKSTEP_TEXT_OF(name)
#define LOCKSTEP_JOIN_OF(a, b) a##b
#define LOCKSTEP_JOIN(a, b) LOCKSTEP_JOIN_OF(a, b)

namespace lockstep {
namespace LOCKSTEP_JOIN(target_, LOCKSTEP_TARGET) {

#include "vec.h"
// Sums and small helpers that kernels share.
#include "kernels/common.h"
// Matrix products and convolutions.
#include "kernels/dense.h"
// Everything else.
#include "kernels/rest.h"

}  // namespace

using namespace LOCKSTEP_JOIN(target_, LOCKSTEP_TARGET);

namespace {
const Kernel kernels[] = {
    LOCKSTEP_DENSE_KERNELS
    LOCKSTEP_REST_KERNELS
};
}  // namespace

extern const Target LOCKSTEP_JOIN(kTarget_, LOCKSTEP_TARGET);
const Target LOCKSTEP_JOIN(kTarget_, LOCKSTEP_TARGET) = {
    LOCKSTEP_TEXT(LOCKSTEP_TARGET), kernels, static_cast<int>(sizeof kernels / sizeof kernels[0])};

}  // namespace lockstep
