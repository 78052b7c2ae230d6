#include "data/template/render.h"

#include <algorithm>

#include "data/template/chat_template.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

bool is_models(Role role) { return role == Role::kAssistant || role == Role::kThought || role == Role::kCall; }

const char* word(Role role) {
  switch (role) {
    case Role::kUser: return "question";
    case Role::kAssistant: return "answer";
    case Role::kThought: return "thought before a tool's call";
    case Role::kCall: return "tool's call";
    case Role::kTool: return "tool's answer";
    case Role::kText: return "text";
  }
  return "";
}

class Renderer {
 public:
  Renderer(const Template& t, const Record& record)
      : template_(t), record_(record), pieces_(t.of(rounds_of(record), has_input(record))), system_(record.system.empty() ? t.system : record.system) {}

  std::vector<TextPiece> run(std::size_t turns) {
    round_ = template_.first_round;
    if (fits(pieces_.begin)) put(pieces_.begin, {}, -1, false);
    bool first = true;
    for (std::size_t i = 0; i < turns; ++i) {
      const auto& turn = record_.turns[i];
      const auto place = static_cast<std::int32_t>(i);
      if (turn.role == Role::kUser) {
        put(first && fits(pieces_.first_user) ? pieces_.first_user : pieces_.user, turn, place, false);
        first = false;
      } else if (turn.role == Role::kTool) {
        require(!pieces_.tool.empty(), turn.role);
        put(pieces_.tool, turn, place, false);
      } else {
        models_turn(turn, place, i + 1 == record_.turns.size());
        if (i + 1 < record_.turns.size()) put(form_of(turn.role).after, turn, place, false);
        if (turn.role == Role::kAssistant) ++round_;
      }
    }
    return std::move(out_);
  }

  std::vector<TextPiece> before_answer(std::size_t turns) {
    out_ = run(turns);
    put(pieces_.assistant.header, {}, -1, false);
    return std::move(out_);
  }

 private:
  bool fits(const Form& form) const { return !form.empty() && !(form.has("system") && system_.empty()); }

  void require(bool known, Role role) const {
    if (known) return;
    throw DataError({.who = "template '" + template_.name + "'",
                     .found = std::string("a record with a ") + word(role) + ", which the template has no form for",
                     .expected = "questions and answers alone",
                     .remedy = "take a template that has one: `herd data templates` tells"});
  }

  const ModelTurn& form_of(Role role) const {
    const auto& form = role == Role::kThought ? pieces_.thought : role == Role::kCall ? pieces_.call : pieces_.assistant;
    require(form.known(), role);
    return form;
  }

  void models_turn(const Turn& turn, std::int32_t place, bool last) {
    const auto& form = form_of(turn.role);
    put(form.header, turn, place, false);
    if (!turn.text.empty()) put(form.text, turn, place, true);
    put(last && !form.last_end.empty() ? form.last_end : form.end, turn, place, true);
  }

  void put(const Form& form, const Turn& turn, std::int32_t place, bool written) {
    const bool apart = form.has("input");
    for (const auto& part : form.parts()) {
      TextPiece piece{.written = written, .turn = place};
      if (!part.is_slot) {
        piece.text = part.text;
        piece.own_words = true;
      } else if (part.text == "text") {
        piece.text = apart || turn.input.empty() ? turn.text : turn.text + "\n" + turn.input;
      } else if (part.text == "input") {
        piece.text = turn.input;
      } else if (part.text == "system") {
        piece.text = system_;
      } else if (part.text == "category") {
        piece.text = record_.category;
      } else if (part.text == "round") {
        piece.text = std::to_string(round_);
      } else {
        (part.text == "bos" ? piece.is_bos : piece.is_eos) = true;
      }
      if (piece.is_bos || piece.is_eos || !piece.text.empty()) add(std::move(piece));
    }
  }

  void add(TextPiece piece) { out_.push_back(std::move(piece)); }

  const Template& template_;
  const Record& record_;
  const Conversation& pieces_;
  const std::string& system_;
  std::int64_t round_ = 1;
  std::vector<TextPiece> out_;
};

/// The turns up to the last one that is not the model's.
std::size_t turns_before_answer(const Record& record) {
  auto count = record.turns.size();
  while (count > 0 && is_models(record.turns[count - 1].role)) --count;
  return count;
}

}  // namespace

std::int64_t rounds_of(const Record& record) {
  return std::count_if(record.turns.begin(), record.turns.end(), [](const Turn& turn) { return turn.role == Role::kUser; });
}

bool has_input(const Record& record) {
  const auto first = std::find_if(record.turns.begin(), record.turns.end(), [](const Turn& turn) { return turn.role == Role::kUser; });
  return first != record.turns.end() && !first->input.empty();
}

std::vector<TextPiece> render(const Template& t, const Record& record) {
  if (record.turns.size() == 1 && record.turns[0].role == Role::kText)  // no conversation: nothing stands around it
    return {{.text = record.turns[0].text, .written = true, .turn = 0}, {.is_eos = true, .written = true, .turn = 0}};
  if (t.program) return t.program->render(record);
  return Renderer(t, record).run(record.turns.size());
}

std::vector<TextPiece> render_prompt(const Template& t, const Record& record) {
  if (t.program) return t.program->render_prompt(record, turns_before_answer(record));
  return Renderer(t, record).before_answer(turns_before_answer(record));
}

std::string text_of(const std::vector<TextPiece>& pieces, const std::string& eos, const std::string& bos) {
  std::string out;
  for (const auto& piece : pieces) out += piece.is_eos ? eos : piece.is_bos ? bos : piece.text;
  return out;
}

std::string AnswerFrame::answer(std::string_view written) const {
  if (written.starts_with(before)) written.remove_prefix(before.size());
  if (!after.empty() && written.ends_with(after)) written.remove_suffix(after.size());
  return std::string(written);
}

AnswerFrame answer_frame(const Template& t, std::int64_t rounds, bool has_input) {
  AnswerFrame out;
  if (t.program) return t.program->frame();
  const auto& pieces = t.of(rounds, has_input);
  bool before = true;
  for (const auto& part : pieces.assistant.text.parts()) {
    if (part.is_slot && part.text == "text")
      before = false;
    else if (!part.is_slot)
      (before ? out.before : out.after) += part.text;
  }
  for (const auto* turn : {&pieces.assistant, &pieces.call}) {
    const auto& end = turn->last_end.empty() ? turn->end : turn->last_end;
    if (turn->known() && end.parts().size() == 1 && !end.parts()[0].is_slot) out.ends.push_back(end.parts()[0].text);
  }
  return out;
}

}  // namespace herd
