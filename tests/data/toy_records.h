#pragma once
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "data/data_options.h"
#include "data/record.h"

namespace herd::test {

/// A record as a line of a JSON-lines file.
inline std::string line(std::string_view instruction, std::string_view output, std::string_view input = "") {
  return nlohmann::json{{"instruction", instruction}, {"input", input}, {"output", output}}.dump() + "\n";
}

/// Records as if line i + 1 of made.json held record i.
inline Records records_of(std::initializer_list<Record> list) {
  Records out{.files = {"made.json"}, .records = list};
  for (std::size_t i = 0; i < out.records.size(); ++i)
    out.records[i].source = {0, static_cast<std::uint32_t>(i + 1), static_cast<std::uint32_t>(i + 1)};
  return out;
}

/// Alpaca's prompt of {"Add.", "1 {2}"} and of {"Add.", ""}.
inline constexpr const char* kWithInput =
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that "
    "appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 {2}\n\n### Response:";
inline constexpr const char* kWithoutInput =
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd."
    "\n\n### Response:";

inline DataOptions options(std::int64_t max_tokens = 512) {
  DataOptions out;
  out.max_tokens = max_tokens;
  out.threads = 2;
  return out;
}

}  // namespace herd::test
