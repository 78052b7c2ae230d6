#include "runtime/nn/quantise.h"

#include <algorithm>
#include <map>

#include "runtime/base/text.h"
#include "runtime/nn/four_bit_weight.h"
#include "runtime/nn/gptq_weight.h"
#include "runtime/nn/int8_weight.h"

namespace herd {

const Table<StorageEntry>& weight_storages() {
  static const Table<StorageEntry> table{
      "weight storage",
      {
          {"int8",
           {.make = [](const Parameter& dense, const QuantOptions& o) -> std::unique_ptr<QuantisedWeight> {
              return std::make_unique<Int8Weight>(dense, o.threshold);
            },
            .summary = "whole numbers, a scale a row, outlying inputs apart (LLM.int8, Dettmers et al. 2022)"}},
          {"nf4",
           {.make = [](const Parameter& dense, const QuantOptions& o) -> std::unique_ptr<QuantisedWeight> {
              return std::make_unique<FourBitWeight>(kernel::nf4_book(), dense, o.block_size, o.double_quant);
            },
            .summary = "four bits, quantiles of the normal distribution (QLoRA, Dettmers et al. 2023)"}},
          {"fp4",
           {.make = [](const Parameter& dense, const QuantOptions& o) -> std::unique_ptr<QuantisedWeight> {
              return std::make_unique<FourBitWeight>(kernel::fp4_book(), dense, o.block_size, o.double_quant);
            },
            .summary = "four bits, a floating-point number of two exponent bits and one of mantissa"}},
          {"gptq",
           {.make = [](const Parameter& dense, const QuantOptions& o) -> std::unique_ptr<QuantisedWeight> {
              return std::make_unique<GptqWeight>(dense, GptqOptions{.bits = o.bits.value_or(4), .group_size = o.group_size.value_or(128)});
            },
            .summary = "whole numbers of 2, 3, 4 or 8 bits in groups of inputs: the storage of GPTQ's folders (Frantar et al. 2023)"}},
      }};
  return table;
}

namespace {

struct Source {
  const QuantisedWeight* weight;
  const Parameter* dense;  // what `read` knows
  WeightLayout layout;
};

}  // namespace

Parameter out_in(Linear& linear) {
  const auto& lying = linear.weight();
  if (linear.layout() == WeightLayout::kOutIn) return lying;
  Parameter turned({linear.out_features(), linear.in_features()}, {lying.axes[1], lying.axes[0]});
  turned.name = lying.name;
  turned.trainable = lying.trainable;
  set_dtype(turned, lying.value.scalar_type());
  return turned;
}

namespace {

// A stretch of that, where it lies transposed: of each of its rows there what the stretch's rows have of it.
void read_turned(const Parameter& lying, std::int64_t begin, const Tensor& out, const ReadParameter& read) {
  const auto in = lying.value.size(0), row = lying.value.size(1), first = begin / in, end = (begin + out.numel() - 1) / in + 1;
  const auto turned = at::empty({in, end - first}, out.options());
  for (std::int64_t i = 0; i < in; ++i) read(lying, i * row + first, turned[i]);
  out.copy_(turned.t().flatten().narrow(0, begin - first * in, out.numel()));
}

bool names(const std::string& linear, const std::string& end) { return linear == end || linear.ends_with("." + end); }

struct Target {
  std::string name;
  Linear* linear;
};

std::vector<Target> targets(CausalLm& model, const QuantOptions& options) {
  std::vector<Target> found;
  std::vector<std::string> unknown = options.skip_modules;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    const auto skipped = [&](const std::string& end) { return names(name, end); };
    std::erase_if(unknown, skipped);
    const bool head = &linear == &model.head();
    if ((head && !options.head) || std::any_of(options.skip_modules.begin(), options.skip_modules.end(), skipped)) return;
    found.push_back({name, &linear});
  });
  if (options.head && model.facts.tied)
    throw ConfigError({.who = "model.quantization.head",
                       .found = "true for a model whose head is the embedding matrix",
                       .expected = "false: the embedding stays dense",
                       .remedy = "model.quantization.head=false"});
  if (unknown.empty()) return found;
  std::vector<std::string> ends;
  for_each_linear(model, [&](const std::string& name, Linear&) {
    const auto end = name.substr(name.rfind('.') + 1);
    if (std::find(ends.begin(), ends.end(), end) == ends.end()) ends.push_back(end);
  });
  throw ConfigError({.who = "model.quantization.skip_modules",
                     .found = join(unknown) + ", which no linear layer is named",
                     .expected = "the ends of names of linear layers: " + join(ends),
                     .remedy = ""});
}

}  // namespace

ReadParameter quantise(CausalLm& model, const QuantOptions& options, const ReadParameter& read) {
  assign_names(model);  // errors call them by name
  std::map<const Parameter*, Source> sources;
  for (const auto& [name, linear] : targets(model, options)) {
    const auto* dense = &linear->weight();
    auto storage = weight_storages().at(options.method).make(out_in(*linear), options);
    const auto* weight = storage.get();
    for_each_parameter(*storage, [&](const std::string&, Parameter& part) { sources[&part] = {weight, dense, linear->layout()}; });
    keep_quantised(*linear, std::move(storage));
  }
  assign_names(model);
  if (!read) return {};
  return [sources = std::move(sources), read](const Parameter& p, std::int64_t begin, const Tensor& out) {
    const auto found = sources.find(&p);
    if (found == sources.end()) return read(p, begin, out);
    const auto& source = found->second;
    source.weight->read(p, begin, out, [&](std::int64_t from, const Tensor& to) {
      if (source.layout == WeightLayout::kInOut) read_turned(*source.dense, from, to, read);
      else read(*source.dense, from, to);
    });
  };
}

Numbers count_numbers(CausalLm& model) {
  Numbers numbers;
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (p.value.scalar_type() != at::kByte) numbers.all += p.value.numel();
    if (p.trainable) numbers.trained += p.value.numel();
  });
  for_each_linear(model, [&](const std::string&, Linear& linear) {
    if (!linear.has_dense_weight()) numbers.all += linear.in_features() * linear.out_features();
  });
  return numbers;
}

}  // namespace herd
