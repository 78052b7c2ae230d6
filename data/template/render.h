#pragma once
#include <string>
#include <vector>

#include "data/record.h"
#include "data/template/template.h"

namespace herd {

/// A stretch of a rendered conversation.
struct TextPiece {
  std::string text;
  bool own_words = false;  ///< the template's: special tokens in it are meant; in a record's text they are text like any other
  bool is_bos = false;     ///< the beginning-of-sequence token itself; `text` is empty. A tokenizer without one has nothing in its place
  bool is_eos = false;     ///< likewise the end-of-sequence token, which must be there
  bool written = false;    ///< by the model: a turn of its own, or what ends it
  std::int32_t turn = -1;  ///< of the record; −1: none
};

/// A record as its template puts it, in pieces that no token reaches across where `written` changes.
/// @throws DataError naming the template for a turn that it has no form for.
std::vector<TextPiece> render(const Template& t, const Record& record);

/// What generation goes on from: everything before the answer to the last question, its header included. An answer that the record has is not read.
std::vector<TextPiece> render_prompt(const Template& t, const Record& record);

/// The pieces as one text. @param eos, bos how those tokens are written.
std::string text_of(const std::vector<TextPiece>& pieces, const std::string& eos, const std::string& bos = "<s>");

/// What stands around an answer's text within what the model writes: taken off, it is the answer.
struct AnswerFrame {
  std::string before, after;
  std::vector<std::string> ends{};  ///< what ends a turn of the model, where that is not the end of sequence
  /// The answer within `written`: without `before`, and without `after` where that is there.
  std::string answer(std::string_view written) const;
};
/// @param rounds as in Template::of.
AnswerFrame answer_frame(const Template& t, std::int64_t rounds, bool has_input);

/// How many questions the record asks, and whether its first one has an input.
std::int64_t rounds_of(const Record& record);
bool has_input(const Record& record);

}  // namespace herd
