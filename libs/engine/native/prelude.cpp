// A module of its own, loaded before the binding. The moment TensorFlow's library is loaded it prints that oneDNN is on, as
// engineEnvironment() asks for, and that it prints so early, whatever TF_CPP_MIN_LOG_LEVEL says. So it is loaded from here,
// with the standard error in a file in memory, and all but those two lines is printed afterwards.
#include <dlfcn.h>
#include <node_api.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>
#include <string>

namespace {

bool expected(const std::string& line) {
  return line.find("oneDNN custom operations are on") != std::string::npos ||
         line.find("before absl::InitializeLog()") != std::string::npos;
}

void printRest(int file) {
  std::string text;
  char chunk[4096];
  lseek(file, 0, SEEK_SET);
  for (ssize_t got; (got = read(file, chunk, sizeof chunk)) > 0;) text.append(chunk, got);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (!expected(line)) std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

NAPI_MODULE_INIT() {
  const int file = memfd_create("lockstep-stderr", MFD_CLOEXEC), real = dup(STDERR_FILENO);
  if (file >= 0 && real >= 0) dup2(file, STDERR_FILENO);
  // A library that cannot be loaded is the binding's error to tell: it needs the same one.
  dlopen("libtensorflow_framework.so.2", RTLD_NOW | RTLD_GLOBAL);
  if (real >= 0) dup2(real, STDERR_FILENO), close(real);
  if (file >= 0) printRest(file), close(file);
  return exports;
}
