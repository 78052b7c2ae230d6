#include "launch/checkpoint_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "launch/command_line.h"
#include "launch/consolidate.h"
#include "parallel/checkpoint/folder.h"
#include "parallel/checkpoint/store.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

std::string loss_text(const Manifest& manifest) { return manifest.held_out_loss ? fmt::format("{:.4f}", *manifest.held_out_loss) : "-"; }

/// The checkpoints that a path means: all of a run, or the one.
std::vector<fs::path> checkpoints_at(const fs::path& path) {
  if (fs::exists(path / kManifestName)) return {path};
  const auto folder = checkpoints_of(path);
  std::vector<fs::path> all;
  for (const auto step : folder.steps()) all.push_back(folder.step(step));
  if (all.empty()) all.push_back(resolve_checkpoint(path));  // throws what is wrong with the path
  return all;
}

int list(const fs::path& path) {
  const auto checkpoints = checkpoints_at(path);
  fmt::print("{:<14} {:<20} {:>5} {:>10} {:>13}  {}\n", "checkpoint", "saved", "ranks", "size", "held-out loss", "");
  for (const auto& checkpoint : checkpoints) {
    const auto name = checkpoint.filename().string();
    try {
      const CheckpointFolder folder(checkpoint.parent_path());
      const auto manifest = read_manifest(checkpoint);
      check_sizes(checkpoint, manifest);
      std::vector<std::string> marks;
      if (folder.latest() == manifest.step) marks.push_back("latest");
      if (folder.best() == manifest.step) marks.push_back("best");
      fmt::print("{:<14} {:<20} {:>5} {:>10} {:>13}  {}\n", name, manifest.time.substr(0, 19) + "Z", manifest.ranks,
                 human_bytes(manifest.bytes()), loss_text(manifest), join(marks));
    } catch (const IoError& error) {
      fmt::print("{:<14} broken: {}\n", name, error.what());
    }
  }
  return kExitSuccess;
}

int verify(const fs::path& path) {
  int bad = 0;
  for (const auto& checkpoint : checkpoints_at(path)) {
    try {
      verify_checkpoint(checkpoint);
      const auto manifest = read_manifest(checkpoint);
      fmt::print("{}: good, {} tensors in {} files, {}\n", checkpoint.string(), manifest.tensors.size(), manifest.files.size(),
                 human_bytes(manifest.bytes()));
    } catch (const IoError& error) {
      ++bad;
      std::fflush(stdout);
      fmt::print(stderr, "error: {}\n", error.what());
    }
  }
  return bad > 0 ? kExitFailure : kExitSuccess;
}

int show(const fs::path& path) {
  const auto checkpoint = resolve_checkpoint(path);
  const auto manifest = read_manifest(checkpoint);
  fmt::print("{}\n  step {}, saved {} by herd {} on {} rank{} (incarnation {})\n", checkpoint.string(), manifest.step, manifest.time,
             manifest.herd, manifest.ranks, manifest.ranks == 1 ? "" : "s", manifest.incarnation);
  fmt::print("  {} in {} files, held-out loss {}\n\nbelongs to\n", human_bytes(manifest.bytes()), manifest.files.size(),
             loss_text(manifest));
  for (const auto& [name, value] : manifest.fingerprints) fmt::print("  {:<12} {}\n", name, value.empty() ? "-" : value);
  fmt::print("\nstate\n  {}\n\ntensors\n", manifest.state);
  for (const auto& tensor : manifest.tensors) {
    fmt::print("  {:<11} {:<5} {:<16} {}", tensor.state, tensor.dtype, fmt::format("[{}]", fmt::join(tensor.shape, ", ")), tensor.name);
    if (tensor.slices.size() > 1) fmt::print(" ({} slices)", tensor.slices.size());
    fmt::print("\n");
  }
  fmt::print("\nconfig\n{}", manifest.config);
  return kExitSuccess;
}

int write_consolidated(const ConsolidateRequest& request) {
  const auto report = consolidate(request);
  fmt::print("{}: the {} of step {}\n", request.output.string(), report.adapter ? "adapter" : "model", report.step);
  return kExitSuccess;
}

}  // namespace

int checkpoint_command(int argc, char** argv) {
  CLI::App app("Lists a run's checkpoints, compares all their checksums, shows what one holds, or makes a Hugging Face folder of it.", "herd checkpoint");
  app.require_subcommand(1);
  std::string path;
  int code = kExitSuccess;
  const auto add = [&](const char* name, const char* summary, int (*run)(const fs::path&)) {
    auto* command = app.add_subcommand(name, summary);
    command->add_option("path", path, "a run's folder, its checkpoints folder, or a checkpoint")->required();
    command->final_callback([&code, &path, run] { code = run(path); });
  };
  add("list", "step, time, ranks, size, held-out loss; which is the latest, which the best", list);
  add("verify", "every byte against its checksum; of a run, all its checkpoints", verify);
  add("show", "what it belongs to, the trainer's state, all tensors, the config; of a run, its latest", show);
  ConsolidateRequest request;
  auto* command = app.add_subcommand("consolidate", "writes the model or adapter as a Hugging Face folder, without holding it in memory");
  command->add_option("path", request.checkpoint, "a checkpoint, or a run's folder for its latest")->required();
  command->add_option("output", request.output, "folder to write; new or empty")->required();
  command->add_option("--base", request.base, "where the base model lies, if not where the run found it; of a run from model.config: its tokenizer");
  command->final_callback([&] { code = write_consolidated(request); });
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return code;
}

}  // namespace herd
