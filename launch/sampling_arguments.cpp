#include "launch/sampling_arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

#include "infer/prompt.h"
#include "launch/command_line.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

template <class N>
bool read_whole(std::string_view text, N& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

SequenceBias logit_bias(const std::string& argument) {
  const std::string_view text = argument;
  const auto cut = std::min(text.find('='), text.size() - 1);
  SequenceBias bias{.ids = {0}};
  if (text.empty() || !read_whole(text.substr(0, cut), bias.ids[0]) || !read_whole(text.substr(cut + 1), bias.bias))
    throw ConfigError({.who = "--logit-bias", .found = "'" + argument + "'", .expected = "ID=VALUE, such as 29871=-2.5", .remedy = ""});
  return bias;
}

}  // namespace

void SamplingArguments::validate() {
  for (const auto& argument : logit_biases) generation.sampling.logit_bias.push_back(logit_bias(argument));
  generation.validate();
}

GenerationOptions SamplingArguments::in(const PieceEncoder& encoder) const {
  auto options = generation;
  for (const auto& word : bad_words)
    for (auto& ids : word_ids(encoder, word)) options.sampling.bad_words.push_back(std::move(ids));
  return options;
}

// In the order in which they act.
void declare(CLI::App& app, SamplingArguments& o) {
  auto& s = o.generation.sampling;
  declare_list(app, "--logit-bias", o.logit_biases, "ID=VALUE, added to a token's logit, -inf bans it; may be given several times");
  app.add_option("--repetition-penalty", s.repetition_penalty, "above 1: tokens of prompt and answer become less probable")->capture_default_str();
  app.add_option("--frequency-penalty", s.frequency_penalty, "taken from a token's logit for each time that the answer has it")->capture_default_str();
  app.add_option("--presence-penalty", s.presence_penalty, "likewise, once")->capture_default_str();
  app.add_option("--no-repeat-ngram", s.no_repeat_ngram, "no run of this many tokens comes twice; 0: any may")->capture_default_str();
  declare_list(app, "--bad-word", o.bad_words, "text that the answer may not have; may be given several times");
  app.add_option("--min-new-tokens", s.min_new_tokens, "the model cannot end an answer before it has as many")->capture_default_str();
  app.add_option("--temperature", s.temperature, "0: greedy, the most probable token")->capture_default_str();
  app.add_option("--top-k", s.top_k, "draw from the k most probable tokens; 0: from all")->capture_default_str();
  app.add_option("--top-p", s.top_p, "draw from the fewest tokens that hold this much probability")->capture_default_str();
  app.add_option("--min-p", s.min_p, "draw from tokens at least this times as probable as the most probable one")->capture_default_str();
  app.add_option("--typical-p", s.typical_p, "draw from the fewest that hold this much, those of the most usual information first")->capture_default_str();
  app.add_option("--seed", s.seed, "the same seed, the same text")->capture_default_str();
  static const std::map<std::string, EarlyStopping> stopping{{"false", EarlyStopping::kHeuristic}, {"true", EarlyStopping::kAtOnce}, {"never", EarlyStopping::kNever}};
  auto& beam = o.generation.beam;
  app.add_option("--beams", beam.beams, "texts of a beam search; 1: none")->capture_default_str();
  app.add_option("--length-penalty", beam.length_penalty, "of a beam search: a text scores its log-probability / length^this")->capture_default_str();
  app.add_option("--early-stopping", beam.early_stopping, "of a beam search: when enough texts have ended (true), when none seems to get better (false), when none can (never)")
      ->option_text("true|false|never [false]")
      ->transform(CLI::CheckedTransformer(stopping));
  app.add_option("--return", beam.returned, "of a beam search: how many texts, the best first")->capture_default_str();
  app.add_option("--max-new-tokens", o.generation.max_new_tokens, "longest answer")->capture_default_str();
  declare_list(app, "--stop", o.generation.stop, "text that ends an answer; may be given several times");
}

}  // namespace herd
