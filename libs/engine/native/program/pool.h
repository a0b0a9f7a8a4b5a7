// The threads that run programs.
#pragma once

#include "kernel.h"

namespace lockstep {

/** This thread's pool of so many threads, itself counted; made once. */
Pool* poolOf(int threads);

}  // namespace lockstep
