#include "launch/merge.h"

#include <fmt/format.h>

#include "launch/model_files.h"
#include "models/hub.h"
#include "peft/adapter_io.h"
#include "runtime/base/log.h"
#include "runtime/base/new_folder.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

constexpr const char* kDense = "dense";

void convert(CausalLm& model, at::ScalarType dtype) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) { p.value = p.value.detach().to(dtype); });
  model.tie();
}

// How the base is kept: what one asks for, else what training left in herd.json. Options of a storage are training's where it is the same.
std::optional<QuantOptions> storage_of(const MergeRequest& request, const std::optional<Provenance>& trained) {
  std::optional<QuantOptions> recorded;
  if (trained && !trained->base_quantization.empty())
    recorded = quantisation_from(trained->base_quantization, (request.adapter / "herd.json").string() + ": 'base_quantization'");
  const auto& asked = request.quantization;
  if (asked.empty() || (recorded && recorded->method == asked)) return recorded;
  if (recorded)
    log_warning("{} was trained on a base kept as {}; it is merged into one kept as {}", request.adapter.string(), describe_quantisation(*recorded), asked);
  return asked == kDense ? std::nullopt : std::optional(QuantOptions{.method = asked});
}

void check_bound(const MergeRequest& request, const MergeReport& report) {
  const auto& found = report.deviation;
  if (found.relative() <= report.bound) return;  // not where it is not a number
  throw IoError({.who = "merging " + request.adapter.string() + " into " + request.model.string(),
                 .found = fmt::format("logits that deviate by up to {:.3g} of {:.3g}: {:.3g} relative, in {}", found.greatest, found.scale,
                                      found.relative(), report.dtype),
                 .expected = fmt::format("at most {:.3g} relative", report.bound),
                 .remedy = report.dtype == "fp32" ? "nothing was written; --max-deviation accepts more"
                                                  : "nothing was written; --dtype fp32 rounds less, --max-deviation accepts more"});
}

}  // namespace

MergeReport merge_folders(const MergeRequest& request) {
  check_merges(request.adapter, read_adapter_options(request.adapter).method);
  const NewFolder staging(request.output, NewFolder::Place::kFree);
  const auto dtype = request.dtype.empty() ? stored_format(open_hub_weights(request.model)) : number_formats().at(request.dtype);
  const auto trained = read_provenance(request.adapter);
  const auto storage = storage_of(request, trained);
  MergeReport report{.dtype = format_name(dtype), .storage = storage ? describe_quantisation(*storage) : ""};
  Batch batch;
  Tensor expected;
  {
    auto base = load_hub_folder(request.model, at::kFloat, "auto", storage);
    if (base.gptq) report.storage = describe_quantisation(as_options(*base.gptq));
    auto& model = *base.model;
    batch = probe_batch(model);
    const auto untouched = probe_logits(model, batch);
    attach_adapter(model, request.adapter, {hub_name(request.model), request.force_base ? "" : base.fingerprint});
    expected = probe_logits(model, batch);
    report.adapter_effect = deviation(untouched, expected).greatest;
    report.bound = request.max_deviation.value_or(merge_bound(model, dtype));
    report.matrices = merge_adapter(model, dtype);
    convert(model, dtype);
    save_hub_folder(model, base.config, staging.path(),
                    {.copies = files_beside_weights(request.model, base.config), .provenance = trained ? trained : read_provenance(request.model)});
  }
  const auto written = load_hub_folder(staging.path(), at::kFloat);
  report.deviation = deviation(expected, probe_logits(*written.model, batch));
  check_bound(request, report);
  staging.commit();
  return report;
}

}  // namespace herd
