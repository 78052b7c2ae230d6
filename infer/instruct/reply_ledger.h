#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "infer/answer_parts.h"
#include "infer/endpoint.h"
#include "infer/instruct/production.h"
#include "runtime/base/file.h"

namespace herd {

/// The replies of a service, each of which was paid for, kept from the moment they come: a line of JSON each, behind a line of the settings
/// that they were asked under. What a killed process left half written does not count, and its question is asked again. One process at a
/// time (the caller sees to that); one thread at a time.
class ReplyLedger {
 public:
  /// Reads what is there. @throws ConfigError with the settings that differ where it is of others; IoError
  ReplyLedger(std::filesystem::path file, const AnswerSettings& settings);

  /// The reply to this very question, where it is there.
  std::optional<ChatReply> find(const ProductionJob& job) const;
  /// A text is written at once. That there is none is kept back until a text comes: where a service answers nonsense until it is given up,
  /// the same command asks again. @throws IoError
  void add(const ProductionJob& job, const ChatReply& reply);

  std::int64_t texts() const { return texts_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  std::int64_t answer_tokens() const { return answer_tokens_; }
  std::int64_t uncounted() const { return uncounted_; }  ///< texts whose tokens the service did not tell

 private:
  using Key = std::tuple<std::int64_t, std::int64_t, std::string>;  // request, part, fingerprint of the question
  void read(const std::string& text, const AnswerSettings& settings);
  void count(const ChatReply& reply);

  std::filesystem::path path_;
  std::map<Key, ChatReply> replies_;
  std::string held_back_;
  std::int64_t texts_ = 0, prompt_tokens_ = 0, answer_tokens_ = 0, uncounted_ = 0;
  std::optional<File> file_;
};

}  // namespace herd
