# Flags that every target shares. They must be the same for all, or the shared precompiled header cannot be reused.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET default)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

# -Wno-restrict: gcc 12 sees overlaps in std::string that are not there. Fields left out of a designated initialiser keep their defaults on purpose.
# -fPIC by flag, not by property: executables would get -fPIE, and the precompiled header would no longer fit them.
add_compile_options(-fPIC -Wall -Wextra -Wno-restrict -Wno-missing-field-initializers)
if(HERD_WERROR)
  add_compile_options(-Werror)
endif()
if(HERD_SANITIZE)
  # A finding ends the program, so that its test fails; by itself the undefined-behaviour sanitizer prints a line and goes on.
  add_compile_options(-fsanitize=${HERD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HERD_SANITIZE})
endif()
# -O2 without debug information: a third less build time than -O3 -g, and the hot loops live in libtorch.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
# The assertions of libstdc++ see what no sanitizer does: an index past a vector's end, yet inside its capacity.
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1 -D_GLIBCXX_ASSERTIONS")

find_program(HERD_CCACHE ccache)
if(HERD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${HERD_CCACHE})
  add_compile_options(-fpch-preprocess)
endif()
# Without RELRO: of a program with one thread-local byte whose code ends in a page's last seven, Debian 12's mold 1.10 has the loader protect a page that is not
# mapped ("cannot apply additional memory protection after relocation"): one program in some hundreds does not start. Not lld 14: where a function's
# cold part is empty its unwind table finds that in place of its neighbour, and an exception thrown there ends the program.
find_program(HERD_MOLD mold)
if(HERD_MOLD)
  add_link_options(-fuse-ld=mold -Wl,-z,norelro)
endif()
