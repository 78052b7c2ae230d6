#include "launch/chat.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {

Chat::Chat(ChatOptions options, ChatListener listener)
    : options_(std::move(options)), listener_(std::move(listener)), speaker_(options_.speaker),
      adapter_(options_.speaker.used_adapter(options_.use)) {
  if (!options_.load.empty()) load(options_.load);
  if (!options_.system.empty()) dialogue_.system = options_.system;
  speaker_.template_of(adapter_);
  generation_ = options_.sampling.in(speaker_.encoder());
  speaker_.load();
  engine_ = speaker_.engine({.batch_size = 1, .kept_texts = 2});  // the turn before this one, and that of another adapter
}

void Chat::ask(const std::string& question) {
  require_utf8(question, "the question");
  auto text = plain_ ? plain_format(question) : question;
  if (!blocks_.empty()) text = closed_context(blocks_, text);
  const auto before = dialogue_;
  if (dialogue_.open()) dialogue_.undo();  // of a loaded conversation
  dialogue_.ask(std::move(text));
  if (!answer(before)) return listener_.notice("stopped before anything was said: the question is forgotten");
  blocks_.clear();
  plain_ = false;
}

void Chat::ask_again() {
  const auto before = dialogue_;
  if (!dialogue_.reopen()) throw DataError({.who = "/regen", .found = "no question", .expected = "one to answer again", .remedy = ""});
  if (!answer(before)) listener_.notice("stopped before anything was said: the former answer stays");
}

bool Chat::answer(const Dialogue& before) {
  const auto left_out = left_out_;
  const auto take_back = [&] { dialogue_ = before, left_out_ = left_out; };
  try {
    const bool said = answer();
    if (!said) take_back();
    return said;
  } catch (...) {
    take_back();
    throw;
  }
}

// The last rounds that the context has room for beside an answer.
Prompt Chat::prompt() {
  speaker_.use(adapter_);  // virtual tokens take of the context
  const auto context = speaker_.model().facts.max_positions;
  const auto room = context - std::min(generation_.max_new_tokens, context / 2);
  const auto tokens = [&](const Record& record) { return std::ssize(speaker_.prompt(record, adapter_).ids); };
  const auto last = dialogue_.rounds() - 1;
  const auto first = options_.no_history ? last : dialogue_.first_that_fits(tokens, room, std::min(left_out_, last));
  if (!options_.no_history) left_out_ = first;
  return speaker_.prompt(dialogue_.record(first), adapter_);
}

bool Chat::answer() {
  std::string text;
  FinishReason finish{};
  Engine::Id id{};
  bool stopped = false;
  const auto stops = [&] {
    if (!stopped && listener_.stop()) {
      stopped = true;
      engine_->cancel(id);
    }
    return stopped;
  };
  const auto left_out = left_out_;
  Request request{.prompt = prompt(), .options = generation_, .adapter = adapter_};
  request.prompt.name = "the question";
  request.prompt.number = asked_;
  request.on_text = [&](std::string_view piece, const Generation&) {
    if (stops()) return;
    text += piece;
    listener_.text(piece);
  };
  request.on_done = [&](const Generation& generation) { finish = generation.finish; };
  id = engine_->add(std::move(request));
  ++asked_;
  if (left_out_ > left_out)  // told once the question is accepted
    listener_.notice(fmt::format("the context of {} tokens is full: the oldest {} of {} questions are left out, with their answers",
                                 speaker_.model().facts.max_positions, left_out_, dialogue_.rounds()));
  try {
    while (engine_->step()) stops();
  } catch (...) {
    engine_->cancel(id);
    throw;
  }
  listener_.text("\n");
  if (stopped && text.empty()) return false;
  dialogue_.answer(std::move(text));
  if (stopped) listener_.notice("stopped");
  else if (finish == FinishReason::kLength) listener_.notice(fmt::format("ended after max-new-tokens, {}", generation_.max_new_tokens));
  else if (finish == FinishReason::kContext) listener_.notice("ended: the context is full");
  return true;
}

void Chat::reset() {
  dialogue_.reset();
  blocks_.clear();
  plain_ = false;
  left_out_ = 0;
}

bool Chat::undo() {
  left_out_ = 0;
  return dialogue_.undo().has_value();
}

void Chat::set_system(std::string system) {
  require_utf8(system, "the system text");
  Record with = instruction_record("question", "", ""), without = with;
  with.system = system;
  if (!system.empty() && speaker_.prompt(with, adapter_).ids == speaker_.prompt(without, adapter_).ids)
    listener_.notice(
        fmt::format("the template '{}' has no place for it, or it is the template's own", speaker_.template_of(adapter_).name));
  dialogue_.system = std::move(system);
  left_out_ = 0;
}

void Chat::use_adapter(const std::string& name) {
  const auto found = options_.speaker.find_adapter(name);
  if (!found && !name.empty()) throw ConfigError(options_.speaker.no_adapter("/adapter", name));
  speaker_.template_of(found);
  adapter_ = found;
  left_out_ = 0;
}

void Chat::change(const std::vector<std::string>& settings) {
  auto changed = options_.sampling;
  change_settings(changed, settings);
  generation_ = changed.in(speaker_.encoder());
  options_.sampling = std::move(changed);
  left_out_ = 0;
}

void Chat::save(const std::string& file) const { write_file_atomically(file, dialogue_.json() + "\n"); }

void Chat::load(const std::string& file) {
  dialogue_ = Dialogue::parse(read_file(file), file);
  left_out_ = 0;
}

}  // namespace herd
