// The module that runs programs: loads one, plans its memory, runs it stage by stage on arrays of JavaScript. Without TensorFlow.
//
// A program is checked once, when it is loaded; a run allocates nothing. docs/internals/programs.md says what it consists of.
#include <node_api.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernel.h"
#include "pool.h"

namespace lockstep {

extern const Target kTarget_plain, kTarget_wide;
#if defined(LOCKSTEP_WITH_avx2)
extern const Target kTarget_avx2;
#endif
#if defined(LOCKSTEP_WITH_avx512)
extern const Target kTarget_avx512;
#endif

namespace {

constexpr size_t kAlignment = 64;
enum Space { kArena, kConstants, kFirstInput };

/** The targets that this processor runs, from the slowest to the fastest; `wide` is for tests: 16 lanes without their instructions. */
std::vector<const Target*> targets() {
  std::vector<const Target*> found = {&kTarget_wide, &kTarget_plain};
#if defined(LOCKSTEP_WITH_avx2)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&kTarget_avx2);
#endif
#if defined(LOCKSTEP_WITH_avx512)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) found.push_back(&kTarget_avx512);
#endif
  return found;
}

const Kernel* kernelOf(const Target& target, const std::string& name) {
  for (int i = 0; i < target.count; i++)
    if (name == target.kernels[i].name) return target.kernels + i;
  return nullptr;
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Memory = std::unique_ptr<float, Free>;

/** Memory of so many floats; null where there is none. */
Memory allocate(size_t floats) {
  const size_t bytes = (std::max<size_t>(floats, 1) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  return Memory(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
}

struct Step {
  const Kernel* kernel;
  size_t operands;
};

struct Place {
  int space, offset;
};

struct Program {
  std::vector<Step> steps;
  std::vector<int32_t> operands, stageEnds;
  std::vector<Place> places;
  std::vector<float*> buffers;
  size_t inputs = 0, outputs = 0;
  Pool* pool = nullptr;
  Memory arena, constants, scratch;
  size_t shared = 0, perThread = 0, bytes = 0;

  Call callOf(const Step& step, Failure* failure) {
    return {operands.data() + step.operands, buffers.data(), pool, scratch.get(), scratch.get() + shared, perThread, failure};
  }

  /** Finds out what the instructions need beside their operands, and takes it. */
  bool reserve(size_t arenaCells, const void* values, size_t constantCells) {
    for (const Step& step : steps) {
      if (step.kernel->needs == nullptr) continue;
      const Needs needs = step.kernel->needs(callOf(step, nullptr));
      shared = std::max(shared, (needs.shared + 15) / 16 * 16);
      perThread = std::max(perThread, (needs.perThread + 15) / 16 * 16);
    }
    const size_t scratchCells = shared + perThread * pool->threads();
    arena = allocate(arenaCells);
    constants = allocate(constantCells);
    scratch = allocate(scratchCells);
    if (!arena || !constants || !scratch) return false;
    std::memcpy(constants.get(), values, constantCells * sizeof(float));
    bytes = (arenaCells + constantCells + scratchCells) * sizeof(float);
    for (size_t i = 0; i < places.size(); i++)
      if (places[i].space < kFirstInput)
        buffers[i] = (places[i].space == kArena ? arena : constants).get() + places[i].offset;
    return true;
  }

  /** Points buffers at the arrays of this run. */
  void bind(const std::vector<float*>& arrays) {
    for (size_t i = 0; i < places.size(); i++)
      if (places[i].space >= kFirstInput) buffers[i] = arrays[places[i].space - kFirstInput] + places[i].offset;
  }

  Failure run(size_t stage) {
    Failure failure = Failure::none;
    const size_t first = stage == 0 ? 0 : stageEnds[stage - 1];
    for (size_t at = first; at < static_cast<size_t>(stageEnds[stage]) && failure == Failure::none; at++)
      steps[at].kernel->run(callOf(steps[at], &failure));
    return failure;
  }

  /** Runs all stages, and adds each instruction's milliseconds to `times`. */
  void measure(float* times) {
    using Clock = std::chrono::steady_clock;
    Failure failure = Failure::none;
    Clock::time_point before = Clock::now();
    for (size_t at = 0; at < steps.size() && failure == Failure::none; at++) {
      steps[at].kernel->run(callOf(steps[at], &failure));
      const Clock::time_point after = Clock::now();
      times[at] += std::chrono::duration<float, std::milli>(after - before).count();
      before = after;
    }
  }
};

/** What a call of JavaScript hands over, read; the first thing that is wrong becomes an exception. */
class Arguments {
 public:
  explicit Arguments(napi_env env) : env_(env) {}

  bool ok() const { return ok_; }
  void fail(const std::string& message) {
    if (ok_) napi_throw_error(env_, nullptr, message.c_str());
    ok_ = false;
  }

  napi_value property(napi_value object, const char* name) {
    napi_value value = nullptr;
    if (napi_get_named_property(env_, object, name, &value) != napi_ok) fail(std::string(name) + " is missing");
    return value;
  }

  int64_t number(napi_value value) {
    int64_t result = 0;
    if (ok_ && napi_get_value_int64(env_, value, &result) != napi_ok) fail("a number was expected");
    return result;
  }

  std::string text(napi_value value) {
    char buffer[64] = "";
    size_t length = 0;
    if (ok_ && napi_get_value_string_utf8(env_, value, buffer, sizeof buffer, &length) != napi_ok) fail("a text was expected");
    return std::string(buffer, length);
  }

  /** The cells of a Float32Array or Int32Array. */
  std::pair<float*, size_t> cells(napi_value value) {
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (!ok_) return {nullptr, 0};
    if (napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        (type != napi_float32_array && type != napi_int32_array))
      fail("a Float32Array or an Int32Array was expected");
    return {static_cast<float*>(data), length};
  }

  std::vector<int32_t> integers(napi_value value) {
    const auto [data, length] = cells(value);
    const auto* from = reinterpret_cast<const int32_t*>(data);
    return ok_ ? std::vector<int32_t>(from, from + length) : std::vector<int32_t>();
  }

  std::vector<napi_value> list(napi_value value) {
    uint32_t length = 0;
    std::vector<napi_value> items;
    if (ok_ && napi_get_array_length(env_, value, &length) != napi_ok) fail("a list was expected");
    for (uint32_t i = 0; ok_ && i < length; i++) {
      napi_value item = nullptr;
      if (napi_get_element(env_, value, i, &item) != napi_ok) fail("a list has no such element");
      items.push_back(item);
    }
    return items;
  }

 private:
  napi_env env_;
  bool ok_ = true;
};

std::vector<napi_value> argumentsOf(napi_env env, napi_callback_info info, size_t count) {
  std::vector<napi_value> values(count);
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  return values;
}

/** Reads instructions of (number of the name, operands, operands ...). */
void readCode(Arguments& read, const Target& target, napi_value spec, Program& program) {
  std::vector<const Kernel*> kernels;
  for (napi_value name : read.list(read.property(spec, "names"))) {
    kernels.push_back(kernelOf(target, read.text(name)));
    if (kernels.back() == nullptr) read.fail("there is no kernel " + read.text(name));
  }
  const std::vector<int32_t> code = read.integers(read.property(spec, "code"));
  for (size_t at = 0; read.ok() && at + 2 <= code.size(); at += 2 + code[at + 1]) {
    const size_t name = code[at], count = code[at + 1];
    if (name >= kernels.size() || count > code.size() - at - 2) return read.fail("an instruction is cut off");
    program.steps.push_back({kernels[name], program.operands.size()});
    program.operands.insert(program.operands.end(), code.begin() + at + 2, code.begin() + at + 2 + count);
  }
}

void readPlaces(Arguments& read, napi_value spec, size_t arenaCells, size_t constantCells, Program& program) {
  const std::vector<int32_t> pairs = read.integers(read.property(spec, "buffers"));
  const int spaces = static_cast<int>(kFirstInput + program.inputs + program.outputs);
  for (size_t at = 0; read.ok() && at + 2 <= pairs.size(); at += 2) {
    const Place place{pairs[at], pairs[at + 1]};
    const bool inside = place.space >= 0 && place.space < spaces && place.offset >= 0 &&
                        (place.space != kArena || static_cast<size_t>(place.offset) <= arenaCells) &&
                        (place.space != kConstants || static_cast<size_t>(place.offset) <= constantCells);
    if (!inside) return read.fail("a buffer lies outside");
    program.places.push_back(place);
  }
  program.buffers.resize(program.places.size(), nullptr);
}

void destroy(napi_env, void* data, void*) { delete static_cast<Program*>(data); }

napi_value create(napi_env env, napi_callback_info info) {
  Arguments read(env);
  const napi_value spec = argumentsOf(env, info, 1)[0];
  const std::string name = read.text(read.property(spec, "target"));
  const std::vector<const Target*> known = targets();
  const auto target = std::find_if(known.begin(), known.end(), [&](const Target* each) { return name == each->name; });
  if (target == known.end()) read.fail("this processor does not run the kernels " + name);
  auto program = std::make_unique<Program>();
  const int64_t threads = read.number(read.property(spec, "threads"));
  const int64_t arena = read.number(read.property(spec, "arena"));
  program->inputs = read.number(read.property(spec, "inputs"));
  program->outputs = read.number(read.property(spec, "outputs"));
  const auto [constants, constantCells] = read.cells(read.property(spec, "constants"));
  if (read.ok() && (threads < 1 || arena < 0)) read.fail("threads or arena are out of range");
  if (read.ok()) readCode(read, **target, spec, *program);
  if (read.ok()) readPlaces(read, spec, arena, constantCells, *program);
  program->stageEnds = read.integers(read.property(spec, "stageEnds"));
  for (size_t i = 0; read.ok() && i < program->stageEnds.size(); i++)
    if (program->stageEnds[i] < (i == 0 ? 0 : program->stageEnds[i - 1]) ||
        static_cast<size_t>(program->stageEnds[i]) > program->steps.size())
      read.fail("the stages do not fit the instructions");
  if (!read.ok()) return nullptr;
  program->pool = poolOf(static_cast<int>(threads));
  if (!program->reserve(arena, constants, constantCells)) read.fail("there is no memory for the program");
  napi_value handle = nullptr;
  if (!read.ok() || napi_create_external(env, program.get(), destroy, nullptr, &handle) != napi_ok) return nullptr;
  program.release();
  return handle;
}

Program* programOf(napi_env env, napi_value handle) {
  void* data = nullptr;
  napi_get_value_external(env, handle, &data);
  return static_cast<Program*>(data);
}

/** run(handle, stage, arrays): the inputs, then the outputs; lengths were checked by the caller. */
napi_value run(napi_env env, napi_callback_info info) {
  Arguments read(env);
  const std::vector<napi_value> given = argumentsOf(env, info, 3);
  Program* program = programOf(env, given[0]);
  const int64_t stage = read.number(given[1]);
  std::vector<float*> arrays;
  for (napi_value array : read.list(given[2])) arrays.push_back(read.cells(array).first);
  if (program == nullptr || arrays.size() != program->inputs + program->outputs || stage < 0 ||
      static_cast<size_t>(stage) >= program->stageEnds.size())
    read.fail("the program has no such stage, or other arrays");
  if (!read.ok()) return nullptr;
  program->bind(arrays);
  napi_value result = nullptr;
  napi_create_int32(env, static_cast<int32_t>(program->run(stage)), &result);
  return result;
}

/** measure(handle, arrays, times): runs the whole, and adds each instruction's milliseconds to times. For benchmarks. */
napi_value measure(napi_env env, napi_callback_info info) {
  Arguments read(env);
  const std::vector<napi_value> given = argumentsOf(env, info, 3);
  Program* program = programOf(env, given[0]);
  std::vector<float*> arrays;
  for (napi_value array : read.list(given[1])) arrays.push_back(read.cells(array).first);
  const auto [times, count] = read.cells(given[2]);
  if (program == nullptr || arrays.size() != program->inputs + program->outputs || count != program->steps.size())
    read.fail("the program has other arrays, or another number of instructions");
  if (!read.ok()) return nullptr;
  program->bind(arrays);
  program->measure(times);
  return nullptr;
}

/** Frees the memory now; the handle must not be used any more. */
napi_value release(napi_env env, napi_callback_info info) {
  Program* program = programOf(env, argumentsOf(env, info, 1)[0]);
  if (program == nullptr) return nullptr;
  program->arena.reset();
  program->constants.reset();
  program->scratch.reset();
  program->stageEnds.clear();
  return nullptr;
}

/** Bytes that a program holds beside its arrays. */
napi_value bytesOf(napi_env env, napi_callback_info info) {
  Program* program = programOf(env, argumentsOf(env, info, 1)[0]);
  napi_value result = nullptr;
  napi_create_int64(env, program == nullptr ? 0 : static_cast<int64_t>(program->bytes), &result);
  return result;
}

napi_value names(napi_env env, const std::vector<std::string>& texts) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  for (size_t i = 0; i < texts.size(); i++) {
    napi_value text = nullptr;
    napi_create_string_utf8(env, texts[i].c_str(), texts[i].size(), &text);
    napi_set_element(env, list, static_cast<uint32_t>(i), text);
  }
  return list;
}

napi_value init(napi_env env, napi_value exports) {
  std::vector<std::string> targetNames, kernelNames;
  for (const Target* target : targets()) targetNames.push_back(target->name);
  for (int i = 0; i < kTarget_plain.count; i++) kernelNames.push_back(kTarget_plain.kernels[i].name);
  napi_set_named_property(env, exports, "targets", names(env, targetNames));
  napi_set_named_property(env, exports, "kernels", names(env, kernelNames));
  const std::pair<const char*, napi_callback> functions[] = {
      {"create", create}, {"run", run}, {"measure", measure}, {"release", release}, {"bytesOf", bytesOf}};
  for (const auto& [name, function] : functions) {
    napi_value value = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  return exports;
}

NAPI_MODULE(lockstep_program, init)

}  // namespace
}  // namespace lockstep
