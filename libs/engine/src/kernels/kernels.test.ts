/** What the kernels promise beside their values: bits that neither the number of threads nor the compiler decides. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { compileArguments, kernelsDir } from '#src/device/engine-parts.mjs';

/** Runs every kernel on fixed numbers of awkward shapes and prints a hash of all results' bytes. */
const DRIVER = String.raw`
#include <cstdint>
#include <cstdio>
#include <vector>
#include "conv3x3.h"
#include "group_norm.h"

using Floats = std::vector<float>;

static Floats numbers(size_t count, uint32_t seed) {
  Floats made(count);
  for (float& value : made) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(seed >> 8) / (1 << 23) - 1.0f;
  }
  return made;
}

static uint64_t hash = 14695981039346656037u;
static void put(const Floats& values) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (size_t i = 0; i < values.size() * sizeof(float); i++) hash = (hash ^ bytes[i]) * 1099511628211u;
}

static void convolution(lockstep::ConvShape s) {
  const size_t small = static_cast<size_t>(s.n) * s.h * s.w / (s.doubled ? 4 : 1), large = static_cast<size_t>(s.n) * s.h * s.w;
  const Floats x = numbers(small * s.in, 1), filter = numbers(9 * s.in * s.out, 2), bias = numbers(s.out, 3);
  const Floats residual = numbers(large * s.out, 4), dy = numbers(large * s.out, 5);
  Floats y(large * s.out), dx(x.size()), dfilter(filter.size()), dbias(s.out);
  lockstep::convolve(s, x.data(), filter.data(), bias.data(), residual.data(), y.data());
  lockstep::inputGradient(s, dy.data(), filter.data(), dx.data());
  lockstep::filterGradient(s, x.data(), dy.data(), dfilter.data(), dbias.data());
  put(y), put(dx), put(dfilter), put(dbias);
}

static void norm(lockstep::NormShape s) {
  const size_t size = static_cast<size_t>(s.n) * s.pixels * s.channels;
  const Floats x = numbers(size, 1), offset = numbers(s.n * s.channels, 2), gamma = numbers(s.channels, 3);
  const Floats beta = numbers(s.channels, 4), dz = numbers(size, 5);
  Floats z(size), statistics(3 * s.n * s.channels), dx(size), doffset(offset.size()), dgamma(s.channels), dbeta(s.channels);
  lockstep::normalise(s, x.data(), offset.data(), gamma.data(), beta.data(), z.data(), statistics.data());
  lockstep::normaliseGradient(s, dz.data(), x.data(), statistics.data(), gamma.data(), beta.data(), dx.data(),
                              doffset.data(), dgamma.data(), dbeta.data());
  put(z), put(statistics), put(dx), put(doffset), put(dgamma), put(dbeta);
}

int main() {
  convolution({3, 14, 13, 24, 40, false});
  convolution({2, 28, 28, 16, 8, true});
  convolution({5, 7, 7, 64, 32, false});
  norm({3, 65, 40, 5, 1e-5f, true});
  norm({2, 9, 8, 2, 1e-5f, false});
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
}
`;

type Run = (variant: readonly string[], threads: number) => string;

/** Returns what compiles the driver with the given flags, runs it on so many threads, and gives the hash that it prints. */
function driver(context: TestContext): Run {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-kernels-'));
  context.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  writeFileSync(join(folder, 'driver.cc'), DRIVER);
  const sources = ['conv3x3.cc', 'group_norm.cc', 'pool.cc'].map((name) => join(kernelsDir(), name));
  return (variant, threads) => {
    const program = join(folder, `driver${variant.join('')}`);
    const rest = ['-I', kernelsDir(), join(folder, 'driver.cc'), ...sources, '-o', program];
    execFileSync('g++', ['-std=c++17', '-ffp-contract=off', '-pthread', ...variant, ...rest]);
    const env = { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) };
    return execFileSync(program, { encoding: 'utf8', env });
  };
}

const flags = compileArguments({ sourceDir: '', headersDir: '' })[0];
const vectors = flags.filter((flag) => flag.startsWith('-m'));

test('the number of threads does not show in the bits', (context) => {
  const run = driver(context);
  const alone = run([...vectors, '-O3'], 1);
  assert.match(alone, /^[0-9a-f]{16}\n$/);
  for (const threads of [2, 3, 7]) assert.equal(run([...vectors, '-O3'], threads), alone);
});

test('neither the optimiser nor the vector instructions show in the bits', (context) => {
  const run = driver(context);
  const expected = run([...vectors, '-O3'], 1);
  assert.equal(run([...vectors, '-O1'], 1), expected);
  assert.equal(run(['-O2'], 1), expected);
});

test('the engine is compiled so that the compiler fuses no multiply-adds of its own', () => {
  assert.ok(flags.includes('-ffp-contract=off'));
  assert.ok(!flags.some((flag) => flag.includes('fast-math') || flag === '-Ofast'));
});
