#include "launch/data_format_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "data/format/airoboros.h"
#include "data/format/belle.h"
#include "data/format/cot.h"
#include "data/format/demo.h"
#include "data/format/table.h"
#include "runtime/base/config_files.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// Files in, one file out: what every format is asked.
struct Files {
  std::vector<fs::path> files;
  fs::path output;
};

CLI::App* add_format(CLI::App& format, const char* name, const char* what, const char* files, Files& asked) {
  auto* command = format.add_subcommand(name, what);
  command->add_option("files", asked.files, files)->required();
  command->add_option("--output", asked.output, "JSON lines to write")->required();
  return command;
}

void tell(const fs::path& output, std::int64_t records) { fmt::print("{}: {}\n", output.string(), plural(records, "record")); }

fs::path shipped_templates() {
  for (const auto& folder : config_folders())
    if (auto file = folder / "data/cot_templates.yaml"; fs::exists(file)) return file;
  throw ConfigError({.who = "--templates",
                     .found = "none, and herd's own are not installed",
                     .expected = "a file of templates",
                     .remedy = "HERD_CONFIGS names further folders"});
}

/// The set of each file: one for all, or one for each; else the beginning of the file's name, `aqua` of aqua_train.tsv.
std::vector<CotInput> with_sets(const std::vector<fs::path>& files, const std::vector<std::string>& sets) {
  if (sets.size() > 1 && sets.size() != files.size())
    throw ConfigError({.who = "--set",
                       .found = fmt::format("{} sets for {}", sets.size(), plural(static_cast<std::int64_t>(files.size()), "file")),
                       .expected = "one for all, or one for each",
                       .remedy = ""});
  std::vector<CotInput> inputs;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto name = files[i].filename().string();
    inputs.push_back({.file = files[i], .set = sets.empty() ? name.substr(0, name.find_first_of("_.")) : sets[sets.size() == 1 ? 0 : i]});
  }
  return inputs;
}

void add_cot(CLI::App& format) {
  struct Asked : Files {
    CotRequest request;
    std::vector<std::string> sets;
    std::string compat;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = add_format(format, "cot", "question, answer and reasoning, three columns of a tab-separated file",
                             "TSV files, one after the other", *asked);
  command->add_option("--templates", asked->request.templates, "YAML or JSON; default: herd's own, configs/data/cot_templates.yaml");
  command
      ->add_option("--set", asked->sets, "data set of the templates, one for all files or one for each; default: the file's name up to '_'")
      ->expected(1)
      ->take_all();
  command->add_option("--inversions", asked->request.inversions,
                      "templates that ask for the question or the reasoning: a second record a row");
  command->add_option("--seed", asked->request.seed, "of the choice among the templates")->capture_default_str();
  command->add_option("--compat", asked->compat, "alpaca-cot: quotes and \\n as in the files that Alpaca-CoT published")
      ->check(CLI::IsMember({"alpaca-cot"}));
  command->footer("herd data format cot aqua_train.tsv gsm8k_train.tsv --seed 1 --output cot.jsonl");
  command->final_callback([asked] {
    auto request = asked->request;
    if (!asked->compat.empty()) request.compat = CotCompat::kAlpacaCot;
    if (request.templates.empty()) request.templates = shipped_templates();
    request.inputs = with_sets(asked->files, asked->sets);
    request.output = asked->output;
    std::int64_t all = 0;
    for (const auto& [input, records, inverted] : format_cot(request)) {
      fmt::print("{:<12} {:>9} of {}\n", input.set, with_thousands(records), input.file.string());
      if (inverted > 0) fmt::print("{:<12} {:>9} inverted\n", "", with_thousands(inverted));
      all += records + inverted;
    }
    tell(request.output, all);
  });
}

void add_table(CLI::App& format) {
  auto asked = std::make_shared<Files>();
  auto* command = add_format(format, "table", "tables with a question and its answer", "JSON arrays or JSON lines of tables", *asked);
  command->footer("herd data format table wtq.jsonl --output tables.jsonl");
  command->final_callback([asked] { tell(asked->output, format_tables(asked->files, asked->output)); });
}

void add_airoboros(CLI::App& format) {
  struct Asked : Files {
    std::string name = "airoboros";
  };
  auto asked = std::make_shared<Asked>();
  auto* command = add_format(format, "airoboros", "instructions with blocks of context, code alone, chats of several turns or characters",
                             "JSON arrays or JSON lines", *asked);
  command->add_option("--name", asked->name, "ids are NAME-1, NAME-2, …")->capture_default_str();
  command->footer("herd data format airoboros instructions.jsonl --output conversations.jsonl");
  command->final_callback([asked] {
    const auto count = format_airoboros(asked->files, asked->output, asked->name);
    const auto all = count.single + count.closed_context + count.plain + count.multi_turn + count.characters;
    tell(asked->output, all);
    for (const auto& [what, records] : {std::pair{"one answer", count.single},
                                        {"closed context", count.closed_context},
                                        {"code alone", count.plain},
                                        {"several turns", count.multi_turn},
                                        {"characters", count.characters}})
      if (records > 0) fmt::print("  {:<16}{:>9}\n", what, with_thousands(records));
  });
}

void add_belle(CLI::App& format) {
  struct Asked : Files {
    BelleRequest request;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = add_format(format, "belle", "instruction records as conversations of two turns",
                             "JSON arrays or JSON lines of {instruction, input, output}", *asked);
  command->add_option("--name", asked->request.name, "ids are NAME-1, NAME-2, …")->capture_default_str();
  command->add_option("--between", asked->request.between,
                      "text between instruction and input, where there is an input; default: none, as BELLE has it");
  command->footer("herd data format belle alpaca_data.json --output conversations.jsonl");
  command->final_callback([asked] {
    asked->request.files = asked->files;
    asked->request.output = asked->output;
    tell(asked->output, format_belle(asked->request));
  });
}

}  // namespace

void add_data_format(CLI::App& data) {
  auto* format = data.add_subcommand("format", "writes records of files in another form");
  format->require_subcommand(1);
  add_cot(*format);
  add_table(*format);
  add_airoboros(*format);
  add_belle(*format);
}

void add_data_demo(CLI::App& data) {
  struct Asked {
    std::int64_t records = 2000;
    std::uint64_t seed = 1;
    fs::path output;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("demo", "writes small instruction files in English and Chinese, for trials");
  command->add_option("--records", asked->records, "in both languages together")->capture_default_str();
  command->add_option("--seed", asked->seed, "of what is asked")->capture_default_str();
  command->add_option("--output", asked->output, "folder to write demo-en.jsonl and demo-cn.jsonl to")->required();
  command->footer("herd data demo --records 2000 --seed 1 --output demo");
  command->final_callback([asked] {
    for (const auto& file : write_demo(asked->output, asked->records, asked->seed)) fmt::print("{}\n", file.string());
  });
}

}  // namespace herd
