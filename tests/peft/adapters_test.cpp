// Several adapters on one base: each answers as it does alone, whatever was in place before it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peft/adapters.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Biases, an untied head, and everything an adapter may want of a model.
const nlohmann::json kShape{{"attention_bias", true}, {"tie_word_embeddings", false}};

struct Saved {
  std::string name;
  PeftOptions options;
};

std::vector<Saved> all_methods() {
  std::vector<Saved> all;
  for (const auto& [name, method] : peft_methods()) {
    if (method.peft_type.empty()) continue;
    PeftOptions o{.method = name, .init = AdapterInit::kRandom};
    if (method.reads("num_virtual_tokens")) o.num_virtual_tokens = 5, o.init = AdapterInit::kNoChange;
    if (method.reads("bottleneck_size")) o.bottleneck_size = 6;
    all.push_back({name, o});
  }
  PeftOptions whole{.method = "lora", .r = 3, .bias = TrainedBiases::kAll, .modules_to_save = {"lm_head", "embed_tokens"}, .init = AdapterInit::kRandom};
  all.push_back({"lora with biases and whole modules", whole});
  whole.modules_to_save = {"norm"};
  whole.use_dora = true;
  all.push_back({"dora with other modules", whole});
  return all;
}

void shake(CausalLm& model) {
  const at::NoGradGuard no_grad;
  double i = 0;
  for (auto* p : trained_parameters(model)) p->value.add_(0.1 * at::sin(at::arange(p->value.numel(), p->value.options()) * 0.7 + ++i).view_as(p->value));
}

class SeveralAdapters : public testing::Test {
 protected:
  SeveralAdapters() : model_(toy_model(1, kShape)), batch_(probe_batch(*toy_model(1, {{"max_position_embeddings", 40}}))), base_(answer(*model_)) {
    for (const auto& [name, options] : all_methods()) {
      const auto own = toy_model(1, kShape);
      const auto whole = attach(*own, options, 5);
      shake(*own);
      save_adapter(*own, whole, "base", {.base_fingerprint = "f00d"}, folder(name));
      const auto again = toy_model(1, kShape);
      attach_adapter(*again, folder(name), {"base", "f00d"});
      alone_[name] = answer(*again);
      EXPECT_FALSE(at::equal(alone_[name], base_)) << name;
    }
  }
  Tensor answer(CausalLm& model) const { return probe_logits(model, batch_); }
  std::filesystem::path folder(const std::string& name) const { return scratch_ / name; }

  Scratch scratch_;
  std::unique_ptr<CausalLm> model_;
  Batch batch_;
  Tensor base_;
  std::map<std::string, Tensor> alone_;
};

TEST_F(SeveralAdapters, AnswerAsEachAloneInAnyOrder) {
  std::map<std::string, const void*> memory;
  for_each_parameter(*model_, [&](const std::string& name, Parameter& p) { memory[name] = p.value.const_data_ptr(); });
  const auto positions = model_->facts.max_positions;
  Adapters adapters(*model_);
  std::map<std::string, std::size_t> numbers;
  for (const auto& [name, expected] : alone_) {
    numbers[name] = adapters.add(name, folder(name), {"base", "f00d"});
    EXPECT_TRUE(at::equal(answer(*model_), base_)) << "none is in place after " << name;
  }
  for (const auto& [first, of_first] : alone_)
    for (const auto& [second, of_second] : alone_) {
      adapters.use(numbers[first]);
      ASSERT_TRUE(at::equal(answer(*model_), of_first)) << first << " before " << second;
      adapters.use(numbers[second]);
      ASSERT_TRUE(at::equal(answer(*model_), of_second)) << second << " after " << first;
    }
  adapters.use(std::nullopt);
  EXPECT_TRUE(at::equal(answer(*model_), base_));
  EXPECT_EQ(model_->facts.max_positions, positions);
  for_each_parameter(*model_, [&](const std::string& name, Parameter& p) {
    EXPECT_EQ(p.value.const_data_ptr(), memory.at(name)) << name << " is the base's own memory, read once";
    EXPECT_EQ(p.name, name);
    EXPECT_FALSE(p.trainable) << name;
  });
}

TEST_F(SeveralAdapters, OneThatDoesNotFitLeavesTheBaseAndTheOthersAsTheyWere) {
  Adapters adapters(*model_);
  const auto lora = adapters.add("lora", folder("lora"), {"base", "f00d"});
  EXPECT_THAT(message_of<ConfigError>([&] { adapters.add("pirate", folder("ia3"), {"other", "beef"}); }),
              AllOf(HasSubstr("adapter 'pirate': "), HasSubstr((folder("ia3")).string()), HasSubstr("f00d"), HasSubstr("beef")));
  // Its slots are in place when its tensors turn out to be missing.
  std::filesystem::remove(folder("prefix") / "adapter_model.safetensors");
  std::filesystem::copy(folder("lora") / "adapter_model.safetensors", folder("prefix") / "adapter_model.safetensors");
  EXPECT_THAT(message_of<IoError>([&] { adapters.add("poet", folder("prefix"), {"base", "f00d"}); }), AllOf(HasSubstr("adapter 'poet': "), HasSubstr("missing")));
  const auto biases = folder("lora with biases and whole modules");
  std::filesystem::remove(biases / "adapter_model.safetensors");
  std::filesystem::copy(folder("lora") / "adapter_model.safetensors", biases / "adapter_model.safetensors");
  EXPECT_THAT(message_of<IoError>([&] { adapters.add("", biases, {"base", "f00d"}); }), testing::StartsWith(biases.string()));
  EXPECT_TRUE(at::equal(answer(*model_), base_));
  adapters.use(lora);
  EXPECT_TRUE(at::equal(answer(*model_), alone_["lora"]));
}

}  // namespace
}  // namespace herd::test
