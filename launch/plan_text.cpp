#include "launch/plan_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/base/text.h"

namespace herd {
namespace {

std::string bytes(std::int64_t n) { return human_bytes(static_cast<std::uint64_t>(n)); }

std::string line(std::string_view name, std::int64_t n, std::string_view note = "") {
  return fmt::format("  {:<26}{:>10}{}{}\n", name, bytes(n), note.empty() ? "" : "   ", note);
}

std::string trained_part(const Footprint& f) {
  if (f.trained == f.parameters) return "all trained";
  return fmt::format("{} trained ({:.2g} %)", with_thousands(f.trained),
                     100.0 * static_cast<double>(f.trained) / static_cast<double>(f.parameters));
}

std::string title(const Plan& plan, const RunConfig& config) {
  const auto& f = plan.footprint;
  return fmt::format("{} parameters, {}; {} on {}{}\n", with_thousands(f.parameters), trained_part(f), config.parallel.strategy,
                     plural(plan.job.ranks, "rank"), plan.job.nodes > 1 ? " of " + plural(plan.job.nodes, "node") : "");
}

std::string memory_text(const Plan& plan, const RunConfig& config) {
  const auto& m = plan.footprint.memory;
  const bool ahead = m.gathered > 0;
  auto text =
      fmt::format("\nmemory of a rank ({})\n", plan.job.ranks > 1 ? fmt::format("rank {}, which holds most", plan.job.rank) : "tensors");
  text += line("parameters", m.parameters) + line("gradients", m.gradients) + line("optimizer state", m.optimizer);
  if (ahead) text += line("gathered blocks", m.gathered, "at the highest moment of a step, as the next two");
  if (m.travelling > 0) text += line("gradients on their way", m.travelling);
  text += line("activations", m.activations,
               fmt::format("{} of {} tokens",
                           plural(std::min<std::int64_t>(config.train.micro_batch_size,
                                                         (config.train.global_batch_size + plan.job.ranks - 1) / plan.job.ranks),
                                  "row"),
                           with_thousands(plan.data.longest)));
  if (m.result > 0) text += line("to write the result", m.result, "on top of the first three, in place of the last");
  if (m.snapshot > 0) text += line("copy that is being saved", m.snapshot);
  text += line("peak", m.peak());
  if (m.host_states > 0) text += line("in host memory: states", m.host_states, "parallel.offload");
  if (m.host_snapshot > 0) text += line("in host memory: the copy", m.host_snapshot, "that is being saved");
  return text;
}

std::string verdict(const Plan& plan) {
  if (!plan.limit) return "";
  const auto spare = *plan.limit - plan.footprint.memory.peak();
  if (plan.fits())
    return fmt::format("\nfits {}: {} to spare, for the program, its data and its libraries\n", bytes(*plan.limit), bytes(spare));
  auto text = fmt::format("\ndoes not fit {}: {} too much\n", bytes(*plan.limit), bytes(-spare));
  const auto list = [&text](const std::vector<PlannedChange>& changes) {
    for (const auto& c : changes) text += fmt::format("  {:<50}{:>10}\n", c.what, bytes(c.memory.peak()));
  };
  if (!plan.alone.empty()) {
    text += plan.alone.size() > 1 ? "each of these would do, the cheapest first; with its peak\n" : "this would do; with its peak\n";
    list(plan.alone);
  } else if (!plan.together.empty()) {
    text += plan.can_fit() ? "no single change would do; these together, with the peak after each\n"
                           : "nothing herd can change would do; the most that it can, with the peak after each\n";
    list(plan.together);
  } else {
    text += "nothing herd can change would do\n";
  }
  return text;
}

std::string traffic_text(const Plan& plan) {
  const auto& sent = plan.footprint.sent;
  if (plan.job.ranks == 1) return "";
  const auto a_node = plan.job.ranks / plan.job.nodes;
  auto text = line("sent by a rank", static_cast<std::int64_t>(sent.inside + sent.across));
  if (plan.job.nodes == 1) return text;
  return text + line("  inside its node", static_cast<std::int64_t>(sent.inside)) +
         line("  to other nodes", static_cast<std::int64_t>(sent.across)) +
         line("out of a node", static_cast<std::int64_t>(sent.across) * a_node, "all its ranks");
}

}  // namespace

std::string to_text(const Plan& plan, const RunConfig& config) {
  const auto& data = plan.data;
  auto text = title(plan, config) + memory_text(plan, config);
  text += fmt::format("\na step: {} in {} on each rank\n", plural(config.train.global_batch_size, "row"),
                      plan.footprint.micro_batches == 1 ? "1 micro-batch" : fmt::format("{} micro-batches", plan.footprint.micro_batches));
  text += traffic_text(plan);
  text += data.steps ? fmt::format("the run: {}, {}\n", plural(*data.steps, "step"), plural(*data.tokens, "token"))
                     : fmt::format("the run: steps and tokens unknown: {}\n", data.unknown);
  text += fmt::format("a checkpoint: {}\n", bytes(plan.footprint.checkpoint_bytes));
  return text + verdict(plan);
}

std::string to_json(const Plan& plan, const RunConfig& config) {
  using Json = nlohmann::ordered_json;
  const auto memory = [](const MemoryPlan& m) {
    return Json{
        {"parameters", m.parameters},           {"gradients", m.gradients},         {"optimizer", m.optimizer},   {"gathered", m.gathered},
        {"gradients_travelling", m.travelling}, {"activations", m.activations},     {"result", m.result},         {"snapshot", m.snapshot},
        {"host_states", m.host_states},         {"host_snapshot", m.host_snapshot}, {"step_peak", m.step_peak()}, {"peak", m.peak()}};
  };
  const auto changes = [&](const std::vector<PlannedChange>& list) {
    auto json = Json::array();
    for (const auto& c : list) json.push_back({{"change", c.what}, {"peak", c.memory.peak()}});
    return json;
  };
  const auto& f = plan.footprint;
  Json json{{"strategy", config.parallel.strategy},
            {"ranks", plan.job.ranks},
            {"nodes", plan.job.nodes},
            {"parameters", f.parameters},
            {"trained", f.trained},
            {"memory", memory(f.memory)},
            {"micro_batches", f.micro_batches},
            {"longest_row", plan.data.longest},
            {"sent_inside_node", f.sent.inside},
            {"sent_across_nodes", f.sent.across},
            {"checkpoint", f.checkpoint_bytes},
            {"steps", nullptr},
            {"tokens", nullptr}};
  if (plan.data.steps) json["steps"] = *plan.data.steps, json["tokens"] = *plan.data.tokens;
  else json["unknown"] = plan.data.unknown;
  if (plan.limit)
    json["limit"] = *plan.limit, json["fits"] = plan.fits(), json["alone"] = changes(plan.alone), json["together"] = changes(plan.together);
  return json.dump(2) + "\n";
}

}  // namespace herd
