# Every outside library, as one imported target each. Versions are tested minima.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt 9.1 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(MPI 3.1 REQUIRED COMPONENTS CXX)
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 1.10 REQUIRED COMPONENTS C)
find_package(ZLIB 1.2.13 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(ICU 72 REQUIRED COMPONENTS uc i18n)
pkg_check_modules(opencc REQUIRED IMPORTED_TARGET opencc>=1.1.5)  # as Debian's 1.1.6 calls itself
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece>=0.1.97)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd>=1.5)
pkg_check_modules(cairo REQUIRED IMPORTED_TARGET cairo>=1.16)
pkg_check_modules(httplib REQUIRED IMPORTED_TARGET cpp-httplib>=0.11.4)
pkg_check_modules(libedit REQUIRED IMPORTED_TARGET libedit>=3.1)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash>=0.8)

# libtorch from the unpacked wheel. Its own CMake package demands a CUDA toolkit, so this small target stands in for it.
if(NOT EXISTS "${HERD_LIBTORCH}/torch/lib/libtorch_cpu.so")
  message(FATAL_ERROR "libtorch not found in HERD_LIBTORCH='${HERD_LIBTORCH}'; run scripts/setup, which prints the folder, or ./quickstart")
endif()
add_library(torch_cpu INTERFACE)
target_compile_options(torch_cpu INTERFACE
  "SHELL:-idirafter ${HERD_LIBTORCH}/torch/include"
  "SHELL:-idirafter ${HERD_LIBTORCH}/torch/include/torch/csrc/api/include"
  -fopenmp)  # without it at::parallel_for, whose body is in a header, runs on one thread and says nothing
# OpenMP's runtime is the wheel's: with the compiler's own beside it a process would have two pools of threads.
target_link_libraries(torch_cpu INTERFACE
  ${HERD_LIBTORCH}/torch/lib/libtorch_cpu.so ${HERD_LIBTORCH}/torch/lib/libc10.so ${HERD_LIBTORCH}/torch/lib/libgomp.so.1)
# The wheel's libraries find the CUDA runtime beside themselves by their own rpath; ours find the wheel.
set(CMAKE_BUILD_RPATH ${HERD_LIBTORCH}/torch/lib ${HERD_LIBTORCH}/nvidia/cu13/lib ${HERD_LIBTORCH}/nvidia/nccl/lib)
