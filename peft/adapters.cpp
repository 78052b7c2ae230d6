#include "peft/adapters.h"

#include "peft/select.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

Complaint begun_with(const std::string& name, Complaint complaint) {
  if (!name.empty()) complaint.who = "adapter '" + name + "': " + complaint.who;
  return complaint;
}

}  // namespace

// What an adapter puts into a model; while it is in place, what the model had there.
struct Adapters::Parts {
  std::vector<std::unique_ptr<LinearSlot>> slots;     // one a layer, in the model's order; null where it has none
  std::unique_ptr<SideInput> side;
  std::int64_t max_positions = 0;
  std::vector<std::pair<Parameter*, Tensor>> values;  // of the base's own parameters: biases and whole modules that it trained
};

Adapters::Adapters(CausalLm& base) : model_(base) {}
Adapters::~Adapters() = default;

void Adapters::exchange(Parts& parts) {
  std::size_t layer = 0;
  for_each_linear(model_, [&](const std::string&, Linear& linear) {
    parts.slots[layer] = linear.fill_slot(std::move(parts.slots[layer]));
    ++layer;
  });
  std::swap(parts.side, model_.side);
  std::swap(parts.max_positions, model_.facts.max_positions);
  for (auto& [parameter, value] : parts.values) std::swap(parameter->value, value);
}

std::size_t Adapters::add(const std::string& name, const std::filesystem::path& folder, const AdapterBase& base) {
  use(std::nullopt);
  auto parts = std::make_unique<Parts>();
  for_each_linear(model_, [&](const std::string&, Linear&) { parts->slots.emplace_back(); });
  parts->max_positions = model_.facts.max_positions;
  for_each_parameter(model_, [&](const std::string&, Parameter& p) { parts->values.emplace_back(&p, p.value); });
  const auto take_off = [&] {
    exchange(*parts);
    freeze(model_);
    assign_names(model_);
  };
  try {
    attach_adapter(model_, folder, base);
  } catch (const ConfigError& error) {
    take_off();
    throw ConfigError(begun_with(name, error.complaint()));
  } catch (const Error& error) {
    take_off();
    throw IoError(begun_with(name, error.complaint()));
  }
  take_off();
  std::erase_if(parts->values, [](const auto& value) { return value.first->value.is_same(value.second); });
  adapters_.push_back(std::move(parts));
  return adapters_.size() - 1;
}

void Adapters::use(std::optional<std::size_t> adapter) {
  if (adapter == in_place_) return;
  if (in_place_) exchange(*adapters_[*in_place_]);
  if (adapter) exchange(*adapters_[*adapter]);
  in_place_ = adapter;
}

}  // namespace herd
