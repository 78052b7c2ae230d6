#include "launch/data_list_command.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "data/listing.h"
#include "launch/data_arguments.h"
#include "launch/hub_places.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// Where names of data sets come from.
struct Lists {
  std::vector<std::string> catalogue;
  std::string folder = "data";
  Catalogue open() const { return Catalogue(catalogue, folder); }
};

void add_lists(CLI::App& command, Lists& lists) {
  command.add_option("--catalogue", lists.catalogue, "further lists, as data.catalogue")->expected(1)->take_all();
  command.add_option("--folder", lists.folder, "where the files of herd's own list lie, as data.folder")->capture_default_str();
}

void add_list(CLI::App& data) {
  struct Asked : Lists {
    std::string tag;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("list", "the data sets that are known by name");
  command->add_option("--tag", asked->tag, "only those with this tag: EN, CN, ML, MT, TS, HG, SI, MIX, COL");
  add_lists(*command, *asked);
  command->final_callback([asked] { std::cout << catalogue_table(asked->open(), asked->tag); });
}

void show(const Lists& lists, const std::string& what, const ReadOptions& options, std::size_t records) {
  const auto catalogue = lists.open();
  if (const auto* entry = catalogue.find(what); entry && !std::filesystem::exists(what)) {
    std::cout << entry_text(*entry, catalogue);
    return;
  }
  const auto file = hub_records(what, "show");
  if (!std::filesystem::exists(file)) {
    const auto close = nearest(what, catalogue.aliases());
    throw ConfigError({.who = "show",
                       .found = "'" + what + "', neither a file nor a name of `herd data list`",
                       .expected = "one of the two",
                       .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
  }
  std::cout << file_text(file, options, records);
}

void add_show(CLI::App& data) {
  struct Asked : Lists {
    std::string what;
    ReadOptions options{.format = "", .broken = Broken::kSkip, .columns = {}};
    std::size_t records = 3;
  };
  auto asked = std::make_shared<Asked>();
  auto* command = data.add_subcommand("show", "what is known of a data set, or what a file holds");
  command->add_option("what", asked->what, "a name of `herd data list`, or a file")->required();
  command->add_option("--records", asked->records, "records of a file to show")->capture_default_str();
  command->add_option("--format", asked->options.format, "one of `herd data formats`; default: told by the file");
  add_lists(*command, *asked);
  command->final_callback([asked] { show(*asked, asked->what, asked->options, asked->records); });
}

}  // namespace

void add_data_lists(CLI::App& data) {
  add_list(data);
  add_show(data);
  data.add_subcommand("formats", "the forms of files that are read, and how each is recognised")->final_callback([] {
    std::cout << formats_table();
  });
  auto name = std::make_shared<std::string>();
  auto* command = data.add_subcommand("templates", "the templates, or one of them over a sample, with what is learnt marked");
  command->add_option("name", *name, "a template, or a file of that form");
  command->final_callback([name] { std::cout << (name->empty() ? templates_table() : template_sample(*name, wants_color())); });
}

}  // namespace herd
