#include "infer/scorer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "infer/answer_mode.h"
#include "runtime/base/error.h"
#include "runtime/nn/on_device.h"

namespace herd {
namespace {

constexpr std::int64_t kStretch = 128;  // positions whose logits are held at once: 16 MB of LLaMA's vocabulary in fp32

void check(const CausalLm& model, const std::vector<TokenId>& text, std::size_t number) {
  const auto refuse = [&](std::string found, std::string expected) {
    throw DataError({.who = fmt::format("text {}", number + 1), .found = std::move(found), .expected = std::move(expected), .remedy = ""});
  };
  const auto& facts = model.facts;
  if (text.size() < 2) refuse(fmt::format("{} tokens", text.size()), "two or more: the first stands for what comes before");
  if (std::ssize(text) > facts.max_positions + 1)
    refuse(fmt::format("{} tokens", text.size()), fmt::format("at most {}, in a context of {}", facts.max_positions + 1, facts.max_positions));
  for (const auto id : text)
    if (id < 0 || id >= facts.vocab_size) refuse(fmt::format("token {}", id), fmt::format("one of the model's {}", facts.vocab_size));
}

/// Of one text's hidden states [t, d].
std::vector<LogProbs> score_hidden(CausalLm& model, const Tensor& x_td, const std::vector<TokenId>& text, std::int64_t top) {
  std::vector<LogProbs> out(text.size() - 1);
  for (std::int64_t begin = 0; begin < std::ssize(out); begin += kStretch) {
    const auto count = std::min(kStretch, std::ssize(out) - begin);
    const auto logits_tv = model.head()(model.final_norm(x_td.narrow(0, begin, count).unsqueeze(0)))[0].to(at::kCPU, at::kFloat).contiguous();
    const auto* const logits = logits_tv.const_data_ptr<float>();
    const auto vocab = static_cast<std::size_t>(logits_tv.size(1));
    at::parallel_for(0, count, 1, [&](std::int64_t from, std::int64_t to) {
      for (auto i = static_cast<std::size_t>(from); i < static_cast<std::size_t>(to); ++i) {
        const auto at = static_cast<std::size_t>(begin) + i;
        out[at] = log_probs({logits + i * vocab, vocab}, text[at + 1], static_cast<std::size_t>(top));
      }
    });
  }
  return out;
}

}  // namespace

std::vector<std::vector<std::size_t>> batches_by_length(const std::vector<std::size_t>& lengths, std::int64_t batch_size) {
  if (batch_size < 1)
    throw ConfigError({.who = "batch-size", .found = std::to_string(batch_size), .expected = "1 or more", .remedy = ""});
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return lengths[i]; });
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i % static_cast<std::size_t>(batch_size) == 0) batches.emplace_back();
    batches.back().push_back(order[i]);
  }
  return batches;
}

std::vector<std::vector<LogProbs>> score(CausalLm& model, const std::vector<std::vector<TokenId>>& texts, std::int64_t top, std::int64_t batch_size) {
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    check(model, texts[i], i);
    lengths.push_back(texts[i].size());
  }
  const AnswerMode answer_mode(*model.random);
  at::Device device = at::kCPU;
  for_each_parameter(model, [&](const std::string&, Parameter& p) { device = p.value.device(); });
  std::vector<std::vector<LogProbs>> out(texts.size());
  for (const auto& batch : batches_by_length(lengths, batch_size)) {
    std::vector<std::vector<std::int64_t>> rows;
    for (const auto i : batch) rows.emplace_back(texts[i].begin(), texts[i].end() - 1);
    const auto x_btd = model.hidden(on_device(plain_batch(rows), device));
    for (std::size_t row = 0; row < batch.size(); ++row)
      out[batch[row]] = score_hidden(model, x_btd[static_cast<std::int64_t>(row)], texts[batch[row]], top);
  }
  return out;
}

}  // namespace herd
