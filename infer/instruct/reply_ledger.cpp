#include "infer/instruct/reply_ledger.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

/// The question as it is sent, but for the model, which the settings name.
std::string asked(const ProductionJob& job) { return fingerprint(Endpoint::body("", job.question)); }

Json json_of(const ProductionJob& job, const ChatReply& reply) {
  Json json{{"request", job.request}, {"part", job.part}, {"asked", asked(job)}};
  if (!reply.text) {
    json["unanswered"] = reply.why;
    return json;
  }
  json["reply"] = *reply.text;
  json["finish"] = reply.finish;
  if (reply.prompt_tokens) json["prompt_tokens"] = *reply.prompt_tokens;
  if (reply.answer_tokens) json["answer_tokens"] = *reply.answer_tokens;
  return json;
}

std::optional<std::int64_t> count_in(const Json& json, const char* name) {
  return json.contains(name) ? std::optional(json.at(name).get<std::int64_t>()) : std::nullopt;
}

ChatReply reply_of(const Json& json) {
  ChatReply reply;
  if (json.contains("unanswered")) {
    reply.why = json.at("unanswered");
    return reply;
  }
  reply.text = json.at("reply");
  reply.finish = json.at("finish");
  reply.prompt_tokens = count_in(json, "prompt_tokens");
  reply.answer_tokens = count_in(json, "answer_tokens");
  return reply;
}

}  // namespace

ReplyLedger::ReplyLedger(fs::path path, const AnswerSettings& settings) : path_(std::move(path)) {
  const auto text = fs::exists(path_) ? read_file(path_) : "";
  const auto first = text.find('\n');
  if (first == text.npos) {  // new, or its first line was not finished
    Json about;
    about["settings"] = settings;
    write_file_atomically(path_, line_of(about));
  } else {
    read(text, settings);
  }
  file_.emplace(path_, File::Mode::append);
  if (first != text.npos && !text.ends_with('\n')) file_->write("\n");  // behind a line that a killed process left half written
}

void ReplyLedger::read(const std::string& text, const AnswerSettings& settings) {
  bool first = true;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    const auto json =
        Json::parse(text.begin() + static_cast<std::ptrdiff_t>(at), text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    try {
      if (std::exchange(first, false)) {
        const auto [there, wanted] = differences(json.at("settings").get<AnswerSettings>(), settings);
        if (there.empty()) continue;
        throw ConfigError({.who = path_.string(),
                           .found = "replies under " + there,
                           .expected = wanted + ", as asked for now",
                           .remedy = "go on as before, choose another --output, or remove that folder to begin anew"});
      }
      auto reply = reply_of(json);
      if (replies_.emplace(Key{json.at("request"), json.at("part"), json.at("asked")}, reply).second) count(reply);
    } catch (const Json::exception&) {
      if (at == 0)
        throw IoError({.who = path_.string(),
                       .found = "no settings in its first line",
                       .expected = "what its replies are of",
                       .remedy = "remove that folder to begin anew"});
      // else a line that was never finished
    }
  }
}

std::optional<ChatReply> ReplyLedger::find(const ProductionJob& job) const {
  const auto found = replies_.find(Key{job.request, job.part, asked(job)});
  return found == replies_.end() ? std::nullopt : std::optional(found->second);
}

void ReplyLedger::add(const ProductionJob& job, const ChatReply& reply) {
  const auto line = line_of(json_of(job, reply));
  if (!reply.text) return void(held_back_ += line);
  file_->write(held_back_ + line);
  held_back_.clear();
  count(reply);
}

void ReplyLedger::count(const ChatReply& reply) {
  if (!reply.text) return;
  ++texts_;
  if (!reply.prompt_tokens || !reply.answer_tokens) ++uncounted_;
  prompt_tokens_ += reply.prompt_tokens.value_or(0);
  answer_tokens_ += reply.answer_tokens.value_or(0);
}

}  // namespace herd
