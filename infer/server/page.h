#pragma once
#include <span>

namespace herd {

/// A file of infer/server/page, which goes with the binary. Written by infer/server/CMakeLists.txt.
struct PageFile {
  const char *path, *content_type, *text;
};
std::span<const PageFile> page_files();

}  // namespace herd
