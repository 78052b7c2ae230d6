#include "launch/merge_command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "launch/command_line.h"
#include "launch/hub_places.h"
#include "launch/merge.h"
#include "runtime/base/exit_codes.h"
#include "runtime/nn/quantise.h"

namespace herd {
namespace {

void print(const MergeRequest& request, const MergeReport& report) {
  const auto& [matrices, dtype, storage, found, bound, effect] = report;
  fmt::print("{}: {} weights merged, written as {}\n", request.output.string(), matrices.updated, dtype);
  if (!storage.empty()) fmt::print("the base was kept as {}: {} matrices dequantised\n", storage, matrices.dequantised);
  fmt::print("greatest logit deviation {:.3g} of {:.3g} ({:.2g} relative, bound {:.2g}), mean {:.2g}\n", found.greatest, found.scale, found.relative(), bound,
             found.mean);
  fmt::print("next tokens: Kullback-Leibler divergence {:.2g} nats, the same one likeliest after {:.4g} % of texts\n", found.divergence,
             100 * found.same_choice);
  if (matrices.rounding.of_matrix > 0)
    fmt::print("rounding to {} costs {} most: {:.2g} % of its norm, {:.2g} % of its update's\n", dtype, matrices.rounding.layer,
               100 * matrices.rounding.of_matrix, 100 * matrices.rounding.of_update);
  fmt::print("the adapter itself moves logits by up to {:.3g}\n", effect);
}

}  // namespace

int merge_command(int argc, char** argv) {
  CLI::App app("Writes a base model and its adapter as one Hugging Face folder, and compares the two before it is kept.", "herd merge");
  MergeRequest request;
  double max_deviation = 0;
  auto storages = weight_storages().names();
  storages.insert(storages.begin(), "dense");
  app.add_option("--model", request.model, "Hugging Face folder of the base model, or its hub id, org/name")->required();
  app.add_option("--adapter", request.adapter, "PEFT folder of the adapter, or its hub id")->required();
  app.add_option("--output", request.output, "folder to write; new or empty")->required();
  app.add_option("--dtype", request.dtype, "fp32, bf16 or fp16; default: as the base's weights are stored");
  app.add_option("--quantization", request.quantization, "how the base is kept while its matrices are made dense; default: as in the adapter's training")
      ->option_text("dense|int8|nf4|fp4")
      ->check(CLI::IsMember(storages));
  app.add_flag("--force-base", request.force_base, "put the adapter onto another model than it was trained on");
  auto* given =
      app.add_option("--max-deviation", max_deviation,
                     "greatest deviation of a logit, relative to the greatest logit; default: 1e-4 for fp32, by the number of layers and of bits else")
          ->check(CLI::PositiveNumber);
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (given->count() > 0) request.max_deviation = max_deviation;

  request.model = hub_folder(request.model, HubUse::kModel, "--model");
  request.adapter = hub_folder(request.adapter, HubUse::kAdapter, "--adapter");
  const auto report = merge_folders(request);
  print(request, report);
  return kExitSuccess;
}

}  // namespace herd
