#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "infer/request.h"
#include "infer/server/served.h"

namespace herd {

/// What a client asks of /v1/completions or /v1/chat/completions, understood.
struct Call {
  std::string model;  ///< the name it is answered under
  std::optional<std::size_t> adapter{};
  std::vector<Prompt> prompts{};
  std::int64_t n = 1;  ///< answers to each prompt
  GenerationOptions options{};
  bool generates = true;  ///< false: the prompts' own probabilities alone
  bool echo = false;      ///< the prompt's text in front of each answer's
  bool chat = false, stream = false, include_usage = false;

  /// Texts that grow for it: prompt by prompt, the answers of one together.
  std::vector<Request> requests() const;
};

/// @param body an object. @param most_texts prompts times answers. Fields that neither OpenAI's API nor herd's list knows are passed over; docs/serve.md says
/// which of OpenAI's are. @throws ApiError 400, or 404 for a model that is not there.
Call completion_call(const nlohmann::json& body, const Served& served, std::int64_t most_texts);
Call chat_call(const nlohmann::json& body, const Served& served, std::int64_t most_texts);

/// Messages of a chat as a record. @throws ApiError.
Record chat_record(const nlohmann::json& messages);

}  // namespace herd
