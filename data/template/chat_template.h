#pragma once
#include <cstddef>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "data/template/chat_messages.h"
#include "data/template/chat_pieces.h"
#include "data/template/jinja/program.h"
#include "data/template/render.h"
#include "data/template/template.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A tokenizer's tokens as texts: what a chat template may write, and what ends a turn.
struct ChatTokens {
  std::string bos, eos, unk, pad;      ///< empty: there is none
  std::vector<std::string> ends;       ///< of a turn of the model, besides eos
  std::vector<std::string> specials;   ///< all special ones
};
ChatTokens chat_tokens(const Tokenizer& tokenizer);

/// A tokenizer's own chat template, in Jinja: a record goes through it as messages, and comes out as the same text that transformers'
/// apply_chat_template gives, in pieces. The model writes its answers, and what follows each of them up to and including the first
/// special token; an answer that none follows at the very end gets the end-of-sequence token. Thread-safe.
class ChatTemplate {
 public:
  /// @param now what strftime_now tells, at every rendering alike. @throws DataError as jinja::Program.
  ChatTemplate(std::string source, ChatTokens tokens, const std::tm& now);

  /// @throws DataError naming the record where the template refuses it, leaves a text of it out, or looks into its texts (white space at
  /// their ends taken off is no such look).
  std::vector<TextPiece> render(const Record& record) const;
  /// The first `turns` turns and the header of an answer. @throws DataError also where training's text does not begin with this prompt.
  std::vector<TextPiece> render_prompt(const Record& record, std::size_t turns) const;

  const std::string& source() const { return source_; }
  const ChatTokens& tokens() const { return tokens_; }
  bool writes_bos() const { return writes_bos_; }  ///< at the beginning of a conversation
  /// What the model writes around an answer, and the special token that ends it, where that is not the end of sequence.
  const AnswerFrame& frame() const { return frame_; }

 private:
  struct Written {
    std::size_t begin = 0, end = 0;
    std::int32_t turn = -1;
    bool ended = false;
  };
  /// Of the template's text behind an answer, up to and including the special token.
  struct End {
    std::size_t size = 0;
    std::string token;
  };
  std::string text_of(const std::vector<ChatMessage>& messages, std::size_t count, bool marked, bool prompt) const;
  std::vector<TextPiece> pieces(const ChatMessages& chat, const std::string& plain, bool prompt, const Record& record) const;
  std::vector<Written> written(const ChatMessages& chat, const std::vector<ChatStretch>& stretches, const std::string& plain, const Record& record) const;
  std::optional<End> end_within(std::string_view text, bool composite) const;
  void look_at_an_answer();

  std::string source_;
  ChatTokens tokens_;
  jinja::Program program_;
  std::tm now_;
  bool writes_bos_ = false;
  AnswerFrame frame_;
};

/// The chat template of a tokenizer's folder: chat_template.jinja, else tokenizer_config.json, else chat_template.json. Of several named ones
/// the one called "default", or with `tools` the one called "tool_use" where there is one.
/// @throws DataError where there is none, or where it is no text.
std::string read_chat_template(const std::filesystem::path& folder, bool tools = false);

/// The same as a Template, by the name "chat_template", to render records with as with herd's own. What `data.template: tokenizer` means.
/// @throws DataError as above, or with the line of what herd's Jinja does not know.
std::shared_ptr<const Template> tokenizer_template(const std::filesystem::path& folder, const Tokenizer& tokenizer, bool tools = false);
/// find_template, and for the name `tokenizer` the tokenizer's own.
std::shared_ptr<const Template> template_for(const std::string& name, const Tokenizer& tokenizer);
std::shared_ptr<const Template> chat_template_of(std::string source, ChatTokens tokens);

}  // namespace herd
