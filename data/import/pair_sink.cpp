#include "data/import/pair_sink.h"

#include <algorithm>

#include "data/format/alpaca_lines.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::string_view kNotTwoFields = "not two tab-separated fields", kEmptySide = "an empty query or answer",
                           kShort = "a session of one utterance";

}  // namespace

PairSink::PairSink(const Corpus& corpus, const ImportRequest& request, TextOutput& out) : corpus_(corpus), request_(request), out_(out) {
  if (corpus.traditional || request.simplify) simplified_ = std::make_unique<Simplified>();
}

void PairSink::pair(std::string_view query, std::string_view answer) { row(std::string(query).append("\t").append(answer)); }

void PairSink::fields(const std::vector<std::string>& fields) { row(join(fields, "\t")); }

void PairSink::session(std::vector<std::string>& utterances) {
  const auto session = std::exchange(utterances, {});
  if (session.empty()) return;
  if (request_.turns == Turns::kWhole) return conversation(session);
  const auto wanted = request_.turns == Turns::kAll ? Sessions::kPairs : corpus_.shipped;
  if (session.size() == 1) return leave_out(kShort);
  if (wanted == Sessions::kTwoLines && session.size() > 2) return leave_out("a session of more than two utterances");
  const auto pairs = wanted == Sessions::kPairs ? session.size() - 1 : 1;
  for (std::size_t i = 0; i < pairs; ++i) pair(session[i], session[i + 1]);
}

void PairSink::leave_out(std::string_view why) {
  const auto known = std::ranges::find(count_.left_out, why, &std::pair<std::string, std::int64_t>::first);
  if (known != count_.left_out.end()) ++known->second;
  else count_.left_out.emplace_back(why, 1);
}

void PairSink::row(std::string line) {
  if (std::ranges::count(line, '\t') != 1) return leave_out(kNotTwoFields);
  line = converted(std::move(line));
  if (!request_.json_lines) {
    out_.line(line);
  } else {
    const auto tab = line.find('\t');
    if (tab == 0 || tab + 1 == line.size()) return leave_out(kEmptySide);
    out_.line(alpaca_line(instruction_record(line.substr(0, tab), {}, line.substr(tab + 1))));
  }
  ++count_.written;
}

void PairSink::conversation(const std::vector<std::string>& utterances) {
  Record record;
  const auto whole = utterances.size() / 2 * 2;  // a last question without its answer teaches nothing
  if (whole == 0) return leave_out(kShort);
  for (std::size_t i = 0; i < whole; ++i) {
    if (utterances[i].empty()) return leave_out(kEmptySide);
    record.turns.push_back({.role = i % 2 == 0 ? Role::kUser : Role::kAssistant, .text = converted(utterances[i])});
  }
  out_.line(conversation_line(record, request_.corpus + "-" + std::to_string(++count_.written)));
}

std::string PairSink::converted(std::string text) const { return simplified_ ? simplified_->convert(text) : text; }

}  // namespace herd
