# One precompiled header for the whole house: libtorch costs some 20 s a file without it.
add_library(herd_pch OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(herd_pch PUBLIC torch_cpu)
target_precompile_headers(herd_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)

# herd_library(NAME [SHARED] SOURCES a.cpp … [NO_TORCH b.cpp …] [PUBLIC lib …] [PRIVATE lib …])
# NO_TORCH sources never see libtorch, and compile without the precompiled header (1–2 s instead of 5–7).
function(herd_library name)
  cmake_parse_arguments(arg "SHARED" "" "SOURCES;NO_TORCH;PUBLIC;PRIVATE" ${ARGN})
  set(kind STATIC)
  if(arg_SHARED)
    set(kind SHARED)
  endif()
  add_library(herd_${name} ${kind} ${arg_SOURCES} ${arg_NO_TORCH})
  target_include_directories(herd_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(herd_${name} PUBLIC torch_cpu ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  target_precompile_headers(herd_${name} REUSE_FROM herd_pch)
  set_source_files_properties(${arg_NO_TORCH} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
