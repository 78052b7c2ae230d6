#include "runtime/base/error.h"

#include <utility>

namespace herd {
namespace {

std::string message(const Complaint& c) {
  std::string text = c.who;
  auto append = [&](const char* lead, const std::string& part) {
    if (part.empty()) return;
    text += lead;
    text += part;
  };
  append(": ", c.found);
  append("; expected ", c.expected);
  append("\n       ", c.remedy);
  return text;
}

}  // namespace

Error::Error(Complaint complaint) : std::runtime_error(message(complaint)), complaint_(std::move(complaint)) {}

}  // namespace herd
