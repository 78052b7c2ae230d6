#include "data/import/simplified.h"

#include <exception>
#include <opencc/SimpleConverter.hpp>

#include "runtime/base/error.h"

namespace herd {

Simplified::Simplified() {
  try {
    converter_ = std::make_unique<opencc::SimpleConverter>("t2s.json");
  } catch (const std::exception& error) {
    throw IoError(
        {.who = "OpenCC", .found = error.what(), .expected = "its table t2s.json", .remedy = "install the package libopencc-data"});
  }
}

Simplified::~Simplified() = default;

std::string Simplified::convert(const std::string& text) const { return converter_->Convert(text); }

}  // namespace herd
