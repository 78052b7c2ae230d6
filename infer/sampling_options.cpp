#include "infer/sampling_options.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr double kLeastTemperature = 1e-6;  // scores divided by it stay finite in fp32

void check_ids(const char* key, const std::vector<TokenId>& ids) {
  const auto refuse = [&](std::string found) {
    throw ConfigError({.who = key, .found = std::move(found), .expected = "one token id or more", .remedy = ""});
  };
  if (ids.empty()) refuse("an entry without ids");
  for (const auto id : ids)
    if (id < 0) refuse(fmt::format("id {}", id));
}

void check_biases(const std::vector<SequenceBias>& biases) {
  std::set<std::vector<TokenId>> seen;
  for (const auto& [ids, bias] : biases) {
    check_ids("logit-bias", ids);
    const auto refuse = [&](std::string found, const char* expected) {
      throw ConfigError({.who = fmt::format("logit-bias of id {}", fmt::join(ids, " ")), .found = std::move(found), .expected = expected, .remedy = ""});
    };
    if (!(bias < std::numeric_limits<float>::infinity())) refuse(fmt::format("{}", bias), "a number, or -inf to ban it");
    if (!seen.insert(ids).second) refuse("a second one", "one");
  }
}

}  // namespace

void SamplingOptions::validate() const {
  const auto refuse = [](const char* key, std::string found, const char* expected, const char* remedy = "") {
    throw ConfigError({.who = key, .found = std::move(found), .expected = expected, .remedy = remedy});
  };
  const auto number = [&](const char* key, double value, bool good, const char* expected) {
    if (!good || !std::isfinite(value)) refuse(key, fmt::format("{}", value), expected);
  };
  const auto count = [&](const char* key, std::int64_t value, const char* expected) {
    if (value < 0) refuse(key, std::to_string(value), expected);
  };
  check_biases(logit_bias);
  number("repetition-penalty", repetition_penalty, static_cast<float>(repetition_penalty) > 0, "above 0; 1: none");
  number("frequency-penalty", frequency_penalty, true, "a number; 0: none");
  number("presence-penalty", presence_penalty, true, "a number; 0: none");
  count("no-repeat-ngram", no_repeat_ngram, "0 (any may come again) or more");
  for (const auto& ids : bad_words) check_ids("bad-word", ids);
  count("min-new-tokens", min_new_tokens, "0 or more");

  number("temperature", temperature, temperature == 0 || temperature >= kLeastTemperature, "0 (greedy), or 1e-6 or more");
  count("top-k", top_k, "0 (all tokens) or more");
  number("top-p", top_p, top_p > 0 && top_p <= 1, "above 0, at most 1");
  number("min-p", min_p, min_p >= 0 && min_p <= 1, "from 0 to 1");
  number("typical-p", typical_p, typical_p > 0 && typical_p <= 1, "above 0, at most 1");
  if (temperature != 0) return;
  const auto without_effect = [&](const char* key, bool given) {
    if (given) refuse(key, "greedy decoding (temperature 0)", "sampling", "add a temperature, such as 1");
  };
  without_effect("top-k", top_k != 0);
  without_effect("top-p", top_p != 1);
  without_effect("min-p", min_p != 0);
  without_effect("typical-p", typical_p != 1);
}

}  // namespace herd
