#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/format/airoboros.h"
#include "infer/dialogue.h"
#include "launch/chat_options.h"
#include "launch/speaker.h"

namespace herd {

/// Who hears a chat.
struct ChatListener {
  std::function<void(std::string_view text)> text;        ///< of an answer, as it grows
  std::function<void(const std::string& notice)> notice;  ///< beside it, a line
  std::function<bool()> stop;                             ///< asked between tokens, before what is new is told: the answer ends there
};

/// A conversation with a model; without a terminal. What it throws leaves the conversation as it was.
class Chat {
 public:
  /// Reads the model. @throws what Speaker throws; what load() does for options.load.
  Chat(ChatOptions options, ChatListener listener);

  /// Answers a question. What is stopped counts as the answer; where nothing is said yet, all is as it was before the question.
  /// @throws DataError where the question alone fills the context.
  void ask(const std::string& question);
  /// Answers the last question once more, with other random numbers; where that is stopped before anything is said, the former answer stays. @throws DataError where there is none.
  void ask_again();
  /// Texts that the next question is to be answered from, in airoboros' form.
  void add_context(ContextBlock block) { blocks_.push_back(std::move(block)); }
  std::size_t contexts() const { return blocks_.size(); }
  /// The next question asks for code and nothing else, in airoboros' form.
  void ask_plain() { plain_ = true; }

  void reset();
  /// @return whether there was a question.
  bool undo();
  void set_system(std::string system);
  /// @param name of an adapter; empty: the base alone. @throws ConfigError with the nearest name; what Speaker::template_of throws.
  void use_adapter(const std::string& name);
  void change(const std::vector<std::string>& settings);
  void save(const std::string& file) const;
  void load(const std::string& file);

  const Dialogue& dialogue() const { return dialogue_; }
  const ChatOptions& options() const { return options_; }
  Speaker& speaker() { return speaker_; }
  const Engine& engine() const { return *engine_; }
  /// Where its adapter is in options().speaker; none: the base.
  std::optional<std::size_t> adapter() const { return adapter_; }

 private:
  // Of the last question. @return false: it was stopped before anything was said; then, and where it throws, all is as it was `before`.
  bool answer(const Dialogue& before);
  bool answer();
  Prompt prompt();

  ChatOptions options_;
  ChatListener listener_;
  Speaker speaker_;
  std::optional<std::size_t> adapter_;
  GenerationOptions generation_;
  std::unique_ptr<Engine> engine_;
  Dialogue dialogue_;
  std::vector<ContextBlock> blocks_;
  bool plain_ = false;
  std::size_t left_out_ = 0;  // rounds that the context has no room for
  std::size_t asked_ = 0;     // keys random numbers
};

}  // namespace herd
