#include "launch/data_cull_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "data/readers/paths.h"
#include "infer/instruct/cull.h"
#include "launch/near_arguments.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// On one line, its first 80 bytes or a little less.
std::string beginning(std::string text) {
  constexpr std::size_t kMost = 80;
  for (auto& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  if (text.size() <= kMost) return text;
  auto end = kMost;
  while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "…";
}

void tell(const CullReport& report, const CullRequest& request) {
  fmt::print("{} read; dropped: {} (near duplicates: {})\n", plural(report.read, "record"), told(report.dropped), request.near.text());
  for (const auto& pair : report.pairs)
    fmt::print("near: {}\n  is like {}{}\n  went   {}\n  stayed {}\n", describe(pair.gone, report.files),
               describe(pair.stayed, report.files), request.near.by == NearBound::By::kSketch ? "" : fmt::format(" ({:.3g})", pair.score),
               beginning(pair.gone_question), beginning(pair.stayed_question));
  if (!request.dropped.empty()) fmt::print("{}: {}\n", request.dropped.string(), plural(report.read - report.kept, "record"));
  fmt::print("{}: {}\n", request.output.string(), plural(report.kept, "record"));
}

}  // namespace

void add_data_cull(CLI::App& data) {
  struct Asked {
    std::vector<std::string> files;
    NearArguments near;
    CullRequest request;
  };
  auto asked = std::make_shared<Asked>();
  auto& bounds = asked->request.bounds;
  auto* command = data.add_subcommand("cull", "writes records without near duplicates, refusals, and what is too short or long");
  command->add_option("files", asked->files, "files of records, patterns or folders")->required();
  command->add_option("--output", asked->request.output, "JSON lines to write")->required();
  command->add_option("--dropped", asked->request.dropped, "JSON lines of the others, each with its reason");
  declare(*command, asked->near);
  static const std::map<std::string, CullRequest::Keep> kKeeps{{"first", CullRequest::Keep::kFirst},
                                                               {"longest", CullRequest::Keep::kLongest}};
  command->add_option("--keep", asked->request.keep, "of near duplicates the first (the default), or the one with the longest answer")
      ->transform(CLI::CheckedTransformer(kKeeps).description(""));
  for (const auto& [option, bound, what] :
       {std::tuple{"--shortest-instruction", &bounds.shortest_instruction, "words, or characters of Chinese"},
        {"--longest-instruction", &bounds.longest_instruction, "0: any"},
        {"--shortest-output", &bounds.shortest_output, "of each answer"},
        {"--longest-output", &bounds.longest_output, "0: any"}})
    command->add_option(option, *bound, what)->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--examples", asked->request.examples, "pairs to show")->capture_default_str();
  command->footer("herd data cull a.json b.jsonl --rouge 0.7 --keep longest --output thinned.jsonl --dropped dropped.jsonl");
  command->final_callback([asked] {
    asked->request.near = asked->near.bound();
    asked->request.files = expand_paths(asked->files);
    tell(cull(asked->request), asked->request);
  });
}

}  // namespace herd
