#include "infer/metrics/distinct.h"

#include "runtime/base/error.h"

namespace herd {

Distinct::Distinct(std::size_t n) : n_(n) {
  if (n == 0) throw ConfigError({.who = "distinct-n", .found = "n = 0", .expected = "at least 1", .remedy = "1 and 2 are usual"});
}

void Distinct::add(std::string_view answer, TextTokens tokens) { total_ += add_ngrams(bag_, metric_tokens(answer, tokens), n_); }

}  // namespace herd
