#include "infer/server/call_fields.h"

#include <fmt/format.h>

#include <charconv>
#include <random>

#include "infer/server/api_error.h"

namespace herd {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostStops = 16;
constexpr std::int64_t kGreatestSeed = std::int64_t{1} << 53;  // a number of JSON's that every language keeps

std::vector<std::string> stops(const JsonFields& fields) {
  const auto* stop = fields.find("stop");
  if (!stop) return {};
  std::vector<std::string> out;
  for (const auto& text : stop->is_array() ? *stop : Json::array({*stop})) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty() || out.size() == kMostStops)
      throw ApiError::field(fields.name("stop"), shown(*stop), fmt::format("a string, or a list of up to {}, none of them empty", kMostStops));
    out.push_back(text.get<std::string>());
  }
  return out;
}

std::vector<SequenceBias> biases(const JsonFields& fields) {
  const auto* bias = fields.find("logit_bias");
  if (!bias) return {};
  const auto refuse = [&](const std::string& found) { throw ApiError::field(fields.name("logit_bias"), found, "an object of ids and numbers, such as {\"42\": -100}"); };
  if (!bias->is_object()) refuse(shown(*bias));
  std::vector<SequenceBias> out;
  for (const auto& [id, value] : bias->items()) {
    SequenceBias entry{.ids = {0}};
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), entry.ids[0]);
    if (error != std::errc{} || end != id.data() + id.size() || !value.is_number()) refuse("\"" + id.substr(0, 40) + "\": " + shown(value));
    entry.bias = value.get<double>();
    out.push_back(std::move(entry));
  }
  return out;
}

std::uint64_t random_seed() {
  std::random_device device;
  return device();
}

SamplingOptions sampling(const JsonFields& fields) {
  constexpr std::int64_t kMany = 1 << 30;
  SamplingOptions s;
  s.logit_bias = biases(fields);
  s.repetition_penalty = fields.number("repetition_penalty", s.repetition_penalty);
  s.frequency_penalty = fields.number("frequency_penalty", s.frequency_penalty);
  s.presence_penalty = fields.number("presence_penalty", s.presence_penalty);
  s.no_repeat_ngram = fields.integer("no_repeat_ngram", s.no_repeat_ngram, 0, kMany);
  s.temperature = 1;
  s.top_k = std::max<std::int64_t>(0, fields.integer("top_k", s.top_k, -1, kMany));  // -1 is all, elsewhere
  s.top_p = fields.number("top_p", s.top_p);
  s.min_p = fields.number("min_p", s.min_p);
  s.typical_p = fields.number("typical_p", s.typical_p);
  s.validate();
  s.temperature = fields.number("temperature", 1);
  if (s.temperature == 0) s.top_k = 0, s.top_p = 1, s.min_p = 0, s.typical_p = 1;
  s.validate();
  s.seed = fields.find("seed") ? static_cast<std::uint64_t>(fields.integer("seed", 0, -kGreatestSeed, kGreatestSeed)) : random_seed();
  return s;
}

}  // namespace

Call common_call(const JsonFields& fields, const Served& served) {
  const auto& model = served.find(fields.text("model", ""));
  Call call{.model = model.name, .adapter = model.adapter};
  call.n = fields.integer("n", 1, 1, 1024);
  call.options.sampling = sampling(fields);
  call.options.stop = stops(fields);
  call.stream = fields.flag("stream", false);
  if (const auto* options = fields.find("stream_options")) {
    if (!call.stream) throw ApiError(400, "'stream_options' without 'stream': true", "stream_options", "invalid_value");
    if (!options->is_object()) throw ApiError::field("stream_options", shown(*options), "an object");
    call.include_usage = JsonFields(*options, "stream_options.").flag("include_usage", false);
  }
  return call;
}

void limit_texts(const Call& call, std::int64_t most_texts) {
  if (std::ssize(call.prompts) * call.n > most_texts)
    throw ApiError(400, fmt::format("found {} prompts with n = {}; expected at most {} answers to one request", call.prompts.size(), call.n, most_texts), "n", "invalid_value");
}

std::vector<Request> Call::requests() const {
  std::vector<Request> out;
  for (std::size_t i = 0; i < prompts.size(); ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      out.push_back({.prompt = prompts[i], .options = options, .adapter = adapter});
      out.back().prompt.number = out.size() - 1;  // so that a seed gives the same answers whatever the server has answered before
      out.back().prompt.name = prompts.size() == 1 ? "the prompt" : fmt::format("prompt {}", i + 1);
    }
  return out;
}

}  // namespace herd
