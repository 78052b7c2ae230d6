# What the CUDA module needs: nvcc, the toolkit's runtime, NCCL. Where something is missing it is left out, visibly; the rest of herd
# neither includes nor links any of it.
set(HERD_CUDA AUTO CACHE STRING "Build the CUDA module libherd_cuda: AUTO (where nvcc and NCCL are found), ON or OFF")
set_property(CACHE HERD_CUDA PROPERTY STRINGS AUTO ON OFF)
set(HERD_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING "Compute capabilities that the CUDA module holds machine code for")

if(HERD_CUDA STREQUAL "OFF")
  set(missing "HERD_CUDA is OFF")
else()
  find_program(HERD_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(HERD_NVCC)
    file(REAL_PATH ${HERD_NVCC} nvcc_file)
    cmake_path(GET nvcc_file PARENT_PATH cuda_home)
    cmake_path(GET cuda_home PARENT_PATH cuda_home)
  endif()
  find_path(HERD_CUDA_INCLUDE cuda_runtime_api.h HINTS ${cuda_home}/include ${cuda_home}/targets/x86_64-linux/include
            PATHS /usr/local/cuda/include)
  find_library(HERD_CUDART NAMES cudart libcudart.so.13 HINTS ${cuda_home}/lib64 ${cuda_home}/lib ${HERD_LIBTORCH}/nvidia/cu13/lib
               PATHS /usr/local/cuda/lib64)
  find_path(HERD_NCCL_INCLUDE nccl.h HINTS ${HERD_LIBTORCH}/nvidia/nccl/include ${cuda_home}/include
            PATHS /usr/local/cuda/include)
  find_library(HERD_NCCL NAMES nccl libnccl.so.2 HINTS ${HERD_LIBTORCH}/nvidia/nccl/lib ${cuda_home}/lib64 ${cuda_home}/lib
               PATHS /usr/local/cuda/lib64)
  set(missing)
  foreach(part "nvcc=HERD_NVCC" "cuda_runtime_api.h=HERD_CUDA_INCLUDE" "libcudart=HERD_CUDART" "nccl.h=HERD_NCCL_INCLUDE" "libnccl=HERD_NCCL")
    string(REPLACE "=" ";" part ${part})
    list(GET part 0 name)
    list(GET part 1 variable)
    if(NOT ${variable})
      list(APPEND missing "no ${name}")
    endif()
  endforeach()
  list(JOIN missing ", " missing)
endif()

set(HERD_HAS_CUDA OFF)
if(NOT missing)
  set(HERD_HAS_CUDA ON)
  set(cuda_says "built, for compute capabilities ${HERD_CUDA_ARCHITECTURES}")
elseif(HERD_CUDA STREQUAL "ON")
  message(FATAL_ERROR "HERD_CUDA is ON, but: ${missing}. CUDA_HOME names the toolkit's folder; scripts/setup --cuda installs NCCL beside libtorch")
else()
  set(cuda_says "not built (${missing}): model.device=cuda will say so")
endif()
message(STATUS "CUDA module: ${cuda_says}")
set(HERD_CUDA_SAYS "${cuda_says}" CACHE INTERNAL "")  # scripts/lib.sh repeats it

# herd_cuda_objects(VARIABLE a.cu …): objects by nvcc, by a command of our own. (CMake's CUDA language would pass the house's flags on to
# nvcc, which does not know them.)
function(herd_cuda_objects variable)
  set(codes)
  foreach(architecture ${HERD_CUDA_ARCHITECTURES})
    list(APPEND codes -gencode arch=compute_${architecture},code=sm_${architecture})
    set(newest ${architecture})
  endforeach()
  list(APPEND codes -gencode arch=compute_${newest},code=compute_${newest})  # what is newer compiles this at its start
  set(objects)
  foreach(source ${ARGN})
    cmake_path(GET source STEM name)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.cu.o)
    set(warnings)
    if(HERD_WERROR)
      set(warnings -Werror all-warnings)
    endif()
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${HERD_NVCC} -std=c++20 -O3 -ccbin ${CMAKE_CXX_COMPILER} ${codes} ${warnings} -Xcompiler -fPIC,-Wall,-Wextra -I${CMAKE_SOURCE_DIR}
              -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "Building CUDA object ${source}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()
