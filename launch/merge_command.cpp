#include "launch/merge_command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/merge.h"
#include "runtime/base/exit_codes.h"

namespace herd {

int merge_command(int argc, char** argv) {
  CLI::App app("Writes a base model and its adapter as one Hugging Face folder, and compares the two before it is kept.", "herd merge");
  MergeRequest request;
  double bound = 0;
  app.add_option("--model", request.model, "Hugging Face folder of the base model, or its hub id, org/name")->required();
  app.add_option("--adapter", request.adapter, "PEFT folder of the adapter, or its hub id")->required();
  app.add_option("--output", request.output, "folder to write; new or empty")->required();
  app.add_option("--dtype", request.dtype, "fp32, bf16 or fp16; default: as the base's weights are stored");
  app.add_flag("--force-base", request.force_base, "put the adapter onto another model than it was trained on");
  auto* given =
      app.add_option("--bound", bound,
                     "greatest deviation of a logit, relative to the greatest logit; default: 1e-4 for fp32, by the number of layers else")
          ->check(CLI::PositiveNumber);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (given->count() > 0) request.bound = bound;

  request.model = hub_folder(request.model, HubUse::kModel, "--model");
  request.adapter = hub_folder(request.adapter, HubUse::kAdapter, "--adapter");
  const auto report = merge_folders(request);
  fmt::print("{}: {} weights merged, written as {}\n", request.output.string(), report.merged, report.dtype);
  fmt::print("greatest logit deviation {:.3g} of {:.3g} ({:.2g} relative, bound {:.2g}); the adapter itself moves logits by up to {:.3g}\n",
             report.deviation, report.scale, report.deviation / report.scale, report.bound, report.adapter_effect);
  return kExitSuccess;
}

}  // namespace herd
