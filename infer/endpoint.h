#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/net/http.h"

namespace herd {

struct EndpointOptions {
  std::string url;         ///< `http://127.0.0.1:8000/v1`: an OpenAI-compatible service
  std::string model, key;  ///< the key is sent as a bearer token
  double temperature = 0;
  bool wants_words = false;   ///< an answer without a word counts as silence
  std::int64_t attempts = 5;  ///< at one question, where the service is silent, says nothing, is busy (429) or broken (5xx)
  double first_wait_s = 1;    ///< before the second attempt; doubled before each further one, or as Retry-After says, at most a minute
  double timeout_s = 120;     ///< longest silence

  /// @param option of the command line that names the address. @throws ConfigError
  void validate(const char* option = "--judge") const;
};

/// What is asked of a chat model in one turn.
struct ChatQuestion {
  std::string prompt;
  double temperature = 0;
  std::optional<double> top_p{};
  std::optional<std::int64_t> max_tokens{};  ///< none: the service's own limit
  std::vector<std::string> stop{};
};

struct ChatReply {
  std::optional<std::string> text;
  std::string finish;                                        ///< `stop`, `length`, …, as the service says; may be empty
  std::optional<std::int64_t> prompt_tokens, answer_tokens;  ///< as the service counts them; none: it does not say
  std::string why;                                           ///< there is no text
  bool down = false;                                         ///< asking more is of no use: nobody there, or they do not let us in
};

/// A chat model behind POST URL/chat/completions. One thread at a time.
class Endpoint {
 public:
  explicit Endpoint(EndpointOptions options);

  /// @param stopped asked between attempts: whether to give up.
  ChatReply ask(const ChatQuestion& question, const std::function<bool()>& stopped = {});
  /// What is sent for a question, as JSON.
  static std::string body(const std::string& model, const ChatQuestion& question);

 private:
  std::optional<double> once(const std::string& body, ChatReply& reply);

  const EndpointOptions options_;
  Http http_;
};

}  // namespace herd
