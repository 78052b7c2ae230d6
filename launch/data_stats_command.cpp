#include "launch/data_stats_command.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "data/stats/stats_output.h"
#include "launch/data_arguments.h"
#include "launch/run_vocabulary.h"
#include "runtime/base/text.h"

namespace herd {

void add_data_stats(CLI::App& data) {
  struct Asked : DataArguments {
    StatsOptions options;
    std::filesystem::path output;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("stats", "what a mixture is made of: sizes, lengths, what is cut and learnt, duplicates, words");
  add_data_arguments(*command, *asked, true);
  command->add_option("--output", asked->output, "folder for stats.json, pictures and index.html");
  command->add_option("--samples", asked->options.samples, "records of each set on the page")->capture_default_str();
  command
      ->add_option("--near-records", asked->options.near_records, "so many records are searched for near duplicates; 3 KB of memory each")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--top", asked->options.top, "n-grams told of each length and language")->capture_default_str();
  command->footer("herd data stats --sets alpaca.json belle.jsonl --tokenizer models/llama --output stats");
  command->final_callback([asked] {
    const auto config = asked->config(true);
    RunVocabulary vocabulary;
    if (!tokenizer_folder(config.model).empty()) vocabulary = load_vocabulary(config.model);
    const auto stats = data_stats(config.data, vocabulary.tokenizer.get(), asked->options);
    std::cout << stats_text(stats);
    if (asked->output.empty()) return;
    const auto written = join(write_stats(asked->output, stats));
    std::cout << asked->output.string() << ": " << written << "\n";
  });
}

}  // namespace herd
