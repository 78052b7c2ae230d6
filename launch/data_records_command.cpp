#include "launch/data_records_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "data/dedupe.h"
#include "data/export.h"
#include "data/readers/paths.h"
#include "launch/data_arguments.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

void add_export(CLI::App& data) {
  struct Asked : DataArguments {
    std::filesystem::path output;
    Side side = Side::kBoth;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("export", "writes the records of a recipe's mixture");
  add_data_arguments(*command, *asked, false);
  command->add_option("--output", asked->output, "JSON lines to write")->required();
  static const std::map<std::string, Side> kSides{{"train", Side::kTrain}, {"held_out", Side::kHeldOut}, {"both", Side::kBoth}};
  command->add_option("--side", asked->side, "train, held_out or both (the default)")
      ->transform(CLI::CheckedTransformer(kSides).description(""));
  command->footer("herd data export recipe.yaml data.deduplicate=near --output mixture.jsonl");
  command->final_callback([asked] {
    const auto report = export_records(asked->config(false).data, asked->output, asked->side);
    for (const auto& set : report.sets) {
      std::vector<std::string> told;
      for (const auto& [count, what] : {std::pair{set.broken, "broken"},
                                        {set.filtered, "left out by where"},
                                        {set.duplicates, "duplicates"},
                                        {set.over_limit, "over the limit"}})
        if (count > 0) told.push_back(fmt::format("{} {}", with_thousands(count), what));
      fmt::print("{}: {} of {}{}{}\n", set.name, with_thousands(set.train + set.held_out), plural(set.read + set.broken, "record"),
                 told.empty() ? "" : "; ", join(told));
    }
    fmt::print("{}: {} as {}\n", asked->output.string(), plural(report.written, "record"),
               report.as == WrittenAs::kInstructions ? "instruction, input, output" : "messages");
  });
}

void add_dedupe(CLI::App& data) {
  struct Asked {
    std::vector<std::string> files;
    DedupeRequest request;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("dedupe", "writes the records of files without those that an earlier one is like");
  command->add_option("files", asked->files, "files of records, patterns or folders")->required();
  command->add_option("--output", asked->request.output, "JSON lines to write")->required();
  command->add_option("--near", asked->request.near,
                      "also records that are nearly the same, from this share of common five-character pieces on (0.8)");
  command->add_option("--examples", asked->request.examples, "pairs to show")->capture_default_str();
  command->footer("herd data dedupe a.json b.jsonl --output all.jsonl --near 0.8");
  command->final_callback([asked] {
    asked->request.files = expand_paths(asked->files);
    const auto report = dedupe(asked->request);
    fmt::print("{} read, {} exact duplicates{}\n", plural(report.read, "record"), with_thousands(report.exact),
               asked->request.near > 0
                   ? fmt::format(", {} near ones (at least {:g} alike)", with_thousands(report.near), asked->request.near)
                   : "");
    for (const auto& pair : report.pairs)
      fmt::print("{} {}\n  is {} {}\n  went   {}\n  stayed {}\n", pair.exact ? "exact:" : "near:", describe(pair.gone, report.files),
                 pair.exact ? "a copy of" : "like", describe(pair.stayed, report.files), pair.gone_text, pair.stayed_text);
    fmt::print("{}: {}\n", asked->request.output.string(), plural(report.written, "record"));
  });
}

}  // namespace

void add_data_records(CLI::App& data) {
  add_export(data);
  add_dedupe(data);
}

}  // namespace herd
