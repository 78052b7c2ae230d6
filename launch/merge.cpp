#include "launch/merge.h"

#include <fmt/format.h>

#include "launch/model_files.h"
#include "models/hub.h"
#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "runtime/base/new_folder.h"
#include "runtime/net/hub_cache.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

void convert(CausalLm& model, at::ScalarType dtype) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) { p.value = p.value.detach().to(dtype); });
  model.tie();
}

}  // namespace

MergeReport merge_folders(const MergeRequest& request) {
  const NewFolder staging(request.output, NewFolder::Place::kFree);
  const auto dtype = request.dtype.empty() ? stored_format(open_hub_weights(request.model)) : number_formats().at(request.dtype);
  MergeReport report{.dtype = format_name(dtype)};
  Batch batch;
  Tensor expected;
  {
    auto base = load_hub_folder(request.model, at::kFloat);
    auto& model = *base.model;
    batch = probe_batch(model);
    const auto untouched = probe_logits(model, batch);
    attach_adapter(model, request.adapter, {hub_name(request.model), request.force_base ? "" : base.fingerprint});
    expected = probe_logits(model, batch);
    report.adapter_effect = deviation(untouched, expected).greatest;
    report.merged = merge_adapter(model);
    report.bound = request.bound.value_or(merge_bound(model, dtype));
    convert(model, dtype);
    auto provenance = read_provenance(request.adapter);
    if (!provenance) provenance = read_provenance(request.model);
    save_hub_folder(model, base.config, staging.path(), {.copies = files_beside_weights(request.model, base.config), .provenance = provenance});
  }
  const auto written = load_hub_folder(staging.path(), at::kFloat);
  const auto found = deviation(expected, probe_logits(*written.model, batch));
  report.deviation = found.greatest;
  report.scale = found.scale;
  if (!(found.relative() <= report.bound))  // also where it is not a number
    throw IoError(
        {.who = "merging " + request.adapter.string() + " into " + request.model.string(),
         .found = fmt::format("logits that deviate by up to {:.3g} of {:.3g}: {:.3g} relative, in {}", found.greatest, found.scale,
                              found.relative(), report.dtype),
         .expected = fmt::format("at most {:.3g} relative", report.bound),
         .remedy = dtype == at::kFloat ? "nothing was written" : "nothing was written; --dtype fp32 rounds less, --bound accepts more"});
  staging.commit();
  return report;
}

}  // namespace herd
