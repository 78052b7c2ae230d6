#include "infer/request.h"

#include <fmt/format.h>

#include "infer/stop.h"
#include "runtime/base/error.h"

namespace herd {

const char* name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos: return "eos";
    case FinishReason::kStop: return "stop";
    case FinishReason::kContext: return "context";
    case FinishReason::kLength: break;
  }
  return "length";
}

namespace {

void at_least(const char* key, std::int64_t value, std::int64_t least) {
  if (value < least) throw ConfigError({.who = key, .found = std::to_string(value), .expected = fmt::format("at least {}", least), .remedy = ""});
}

}  // namespace

void GenerationOptions::validate() const {
  sampling.validate();
  at_least("max-new-tokens", max_new_tokens, 1);
  beam.validate();
  if (log_probs) at_least("log-probs", *log_probs, 0);
  if (log_probs && beam.beams > 1) throw ConfigError({.who = "log-probs", .found = "a beam search", .expected = "one beam", .remedy = ""});
  if (sampling.min_new_tokens > max_new_tokens)
    throw ConfigError({.who = "min-new-tokens", .found = std::to_string(sampling.min_new_tokens), .expected = fmt::format("at most max-new-tokens, {}", max_new_tokens), .remedy = ""});
  const StopMatcher refuses_empty_ones(stop);
}

}  // namespace herd
