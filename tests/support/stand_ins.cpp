// The driver, NCCL and a CUDA module as far as herd looks at them before it uses them: their answers come from the environment.
#include <cstdlib>
#include <cstring>

namespace {
int number(const char* variable) {
  const char* text = std::getenv(variable);
  return text ? std::atoi(text) : 0;
}
}  // namespace

extern "C" {
int cuInit(unsigned) { return number("STAND_IN_GPUS") ? 0 : 100; }  // 100: CUDA_ERROR_NO_DEVICE
int cuDeviceGetCount(int* count) {
  *count = number("STAND_IN_GPUS");
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetUuid_v2(char* uuid, int device) {
  std::memset(uuid, 0, 16);
  uuid[15] = static_cast<char>(device);
  return 0;
}
int ncclGetVersion(int* version) {
  *version = number("STAND_IN_NCCL");
  return 0;
}
const void* herd_cuda_module() {
  static const int version = -1;
  return &version;
}
}
