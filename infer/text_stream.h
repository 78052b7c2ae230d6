#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "infer/stop.h"

namespace herd {

/// The text of one generation as its tokens come: what the ids add to the text of the prompt, special tokens left out, whole
/// characters only, cut at the first stop string. What was shown is never taken back.
class TextStream {
 public:
  /// @param output the template's, which takes off what it puts around an answer; none shows the text as the model wrote it.
  TextStream(const Tokenizer& tokenizer, std::span<const TokenId> prompt, std::vector<std::string> stops,
             std::function<std::string(std::string_view)> output = {});

  /// What can be shown more; often nothing.
  std::string push(TokenId id);
  /// A stop string is complete: no more tokens are wanted.
  bool stopped() const { return stops_.stopped(); }
  /// No more tokens come: the rest.
  std::string finish();
  /// All that was shown.
  const std::string& text() const { return shown_; }

 private:
  std::string show(std::string_view text);
  std::string_view without_prompt(std::string_view text);

  StreamDecoder decoder_;
  StopMatcher stops_;
  std::function<std::string(std::string_view)> output_;
  std::size_t prompt_bytes_ = 0;  // text of the prompt that the decoder has yet to give out
  std::string written_, shown_;   // what the model wrote before a stop; the same through output_
};

}  // namespace herd
