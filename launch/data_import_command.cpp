#include "launch/data_import_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "data/import/corpora.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

const Table<Turns>& turns() {
  static const Table<Turns> table{"--turns", {{"shipped", Turns::kShipped}, {"all", Turns::kAll}, {"whole", Turns::kWhole}}};
  return table;
}

std::string listed() {
  std::string text = "corpora:";
  for (const auto& [name, corpus] : corpora()) text += fmt::format("\n  {:<12} {}", name, corpus.layout);
  return text + "\n\nherd data import douban raw/douban-multiturn-100w --turns all --output douban.tsv";
}

void import_and_tell(const ImportRequest& request) {
  const auto count = import_corpus(request);
  fmt::print("{}: {}\n", request.output.string(), plural(count.written, request.turns == Turns::kWhole ? "conversation" : "pair"));
  for (const auto& [why, times] : count.left_out) fmt::print("  left out {:>9}: {}\n", with_thousands(times), why);
}

}  // namespace

void add_data_import(CLI::App& data) {
  struct Asked {
    ImportRequest request;
    std::string format = "tsv", turns = "shipped";
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("import", "writes a raw chat corpus as pairs of query and answer");
  command->add_option("corpus", asked->request.corpus, "which layout")->required()->check(CLI::IsMember(corpora().names()));
  command->add_option("path", asked->request.source, "the corpus' file, or the folder of its files")->required();
  command->add_option("--output", asked->request.output, "file to write")->required();
  command->add_option("--format", asked->format, "tsv: query TAB answer; jsonl: instruction records")
      ->check(CLI::IsMember({"tsv", "jsonl"}))
      ->capture_default_str();
  command
      ->add_option("--turns", asked->turns,
                   "of a session, shipped: what the published corpus has; all: every utterance with the next; whole: conversations")
      ->check(CLI::IsMember(turns().names()))
      ->capture_default_str();
  command->add_flag("--simplify", asked->request.simplify, "traditional characters to simplified, where the published corpus leaves them");
  command->footer(listed());
  command->final_callback([asked] {
    asked->request.json_lines = asked->format == "jsonl";
    asked->request.turns = turns().at(asked->turns);
    import_and_tell(asked->request);
  });
}

}  // namespace herd
