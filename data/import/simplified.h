#pragma once
#include <memory>
#include <string>

namespace opencc {
class SimpleConverter;
}

namespace herd {

/// Traditional Chinese characters to simplified ones: OpenCC's t2s, longest phrase first.
class Simplified {
 public:
  /// @throws IoError where OpenCC's data are not installed.
  Simplified();
  ~Simplified();
  std::string convert(const std::string& text) const;

 private:
  std::unique_ptr<opencc::SimpleConverter> converter_;
};

}  // namespace herd
