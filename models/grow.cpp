#include "models/grow.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

// Rows of one parameter, read from the base's.
class GrownParameter {
 public:
  GrownParameter(const Parameter& old, const NewRows& rows, const ReadParameter& read)
      : old_(old), rows_(rows), read_(read), width_(old.value.numel() / old.value.size(0)) {}

  void read(std::int64_t begin, const Tensor& out) const {
    read_old(0, rows_.first * width_, begin, out);
    const auto end = begin + out.numel();
    const auto first = std::max(rows_.first, begin / width_), last = std::min(rows_.end(), (end + width_ - 1) / width_);
    for (auto row = first; row < last; ++row) {
      const auto from = std::max(begin, row * width_), to = std::min(end, (row + 1) * width_);
      out.narrow(0, from - begin, to - from)
          .copy_(mean(rows_.means[static_cast<std::size_t>(row - rows_.first)]).narrow(0, from - row * width_, to - from));
    }
    read_old(rows_.end() * width_, old_.value.numel(), begin, out);
  }

 private:
  // What of the base's elements [from, to) lies in out, which begins at `begin`.
  void read_old(std::int64_t from, std::int64_t to, std::int64_t begin, const Tensor& out) const {
    from = std::max(from, begin);
    to = std::min(to, begin + out.numel());
    if (from < to) read_(old_, from, out.narrow(0, from - begin, to - from));
  }

  Tensor mean(const std::vector<std::int32_t>& ids) const {
    const auto fp32 = at::TensorOptions(at::kFloat);
    auto sum = at::zeros({width_}, fp32), row = at::empty({width_}, fp32);
    for (const auto id : ids) {
      read_(old_, id * width_, row);
      sum.add_(row);
    }
    return sum.div_(static_cast<double>(ids.size()));
  }

  const Parameter& old_;
  const NewRows& rows_;
  const ReadParameter& read_;
  std::int64_t width_;
};

void check_rows(const NewRows& rows, const ModelFacts& facts) {
  std::int32_t greatest = 0;
  for (const auto& ids : rows.means) greatest = std::max(greatest, *std::max_element(ids.begin(), ids.end()));
  if (rows.first <= facts.vocab_size && greatest < facts.vocab_size) return;
  throw ConfigError({.who = "the extended vocabulary",
                     .found = "pieces behind id " + std::to_string(rows.first - 1) + ", made of ids up to " + std::to_string(greatest),
                     .expected = "ids of the model, whose embedding has " + std::to_string(facts.vocab_size) + " rows",
                     .remedy = "extend the tokenizer of the model's own folder"});
}

std::string fingerprint_of(const std::string& base, const NewRows& rows) {
  if (base.empty()) return {};
  auto text = base + "\nrows from " + std::to_string(rows.first);
  for (const auto& ids : rows.means) {
    text += '\n';
    for (const auto id : ids) text += std::to_string(id) + ' ';
  }
  return fingerprint(text);
}

bool is_along_vocabulary(const Parameter& p) { return p.axes.front() == "vocab"; }

}  // namespace

std::string with_vocabulary(const std::string& config, std::int64_t tokens) {
  auto json = nlohmann::ordered_json::parse(config);
  const auto& key = families().at(family_of(nlohmann::json::parse(config))).words.at("vocab_size");
  const auto rows = std::max(tokens, json.at(key).get<std::int64_t>());
  json[key] = rows;
  if (json.contains("vocab_size")) json["vocab_size"] = rows;  // ChatGLM3 says it twice
  return json.dump(2);
}

LoadedModel grow_vocabulary(LoadedModel base, const NewRows& rows) {
  check_rows(rows, base.model->facts);
  LoadedModel grown{.config = with_vocabulary(base.config, rows.end()), .fingerprint = fingerprint_of(base.fingerprint, rows)};
  grown.model = make_model_from(grown.config);
  const std::shared_ptr<CausalLm> old = std::move(base.model);
  std::map<std::string, const Parameter*> by_name;
  for_each_parameter(*old, [&](const std::string& name, Parameter& p) { by_name[name] = &p; });
  std::map<const Parameter*, const Parameter*> place;
  for_each_parameter(*grown.model, [&](const std::string& name, Parameter& p) {
    set_dtype(p, by_name.at(name)->value.scalar_type());
    place[&p] = by_name.at(name);
  });
  if (!base.read) return grown;
  grown.read = [old, place, rows, read = base.read](const Parameter& p, std::int64_t begin, const Tensor& out) {
    const auto& source = *place.at(&p);
    if (is_along_vocabulary(source)) GrownParameter(source, rows, read).read(begin, out);
    else read(source, begin, out);
  };
  return grown;
}

}  // namespace herd
