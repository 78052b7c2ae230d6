// Hugging Face folders in and out. That transformers reads the same is tests/parity/llama_test.py.
#include "models/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "models/conversion.h"
#include "models/meta_folder.h"
#include "runtime/base/file.h"
#include "runtime/tensor/torch_file.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/small_config.h"

namespace herd::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Tensors = std::map<std::string, Tensor>;

std::unique_ptr<CausalLm> small_model(const nlohmann::json& config, at::ScalarType dtype = at::kFloat) {
  auto model = make_model_from(config.dump());
  materialise(*model, dtype);
  initialise(*model, 5);
  return model;
}

Tensors tensors_of(CausalLm& model) {
  Tensors tensors;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) { tensors[name] = p.value.detach(); });
  return tensors;
}

void expect_same(const Tensors& found, const Tensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(found.contains(name) && at::equal(found.at(name), tensor)) << name;
}

void write_folder(const std::filesystem::path& folder, const nlohmann::json& config, const Tensors& tensors) {
  make_folder(folder);
  write_file_atomically(folder / "config.json", config.dump());
  write_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
}

class Hub : public testing::Test {
 protected:
  LoadedModel load(at::ScalarType dtype = at::kFloat) { return load_hub_folder(folder, dtype); }
  template <class E = IoError>
  std::string refusal() {
    return message_of<E>([&] { load(); });
  }

  Scratch scratch;
  std::filesystem::path folder = scratch / "model";
};

TEST_F(Hub, WhatIsSavedIsLoaded) {
  for (const bool tied : {false, true}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const auto config = small_config({{"tie_word_embeddings", tied}, {"attention_bias", true}, {"mlp_bias", true}});
      const auto model = small_model(config, dtype);
      save_hub_folder(*model, config.dump(), folder, {.replace = true});
      const auto loaded = load(dtype);
      expect_same(tensors_of(*loaded.model), tensors_of(*model));
      EXPECT_EQ(loaded.model->facts.tied, tied);
      EXPECT_EQ(tensors_of(*loaded.model).contains("lm_head.weight"), !tied);
    }
  }
}

TEST_F(Hub, ATiedHeadIsTheEmbeddingItself) {
  const auto config = small_config({{"tie_word_embeddings", true}});
  save_hub_folder(*small_model(config), config.dump(), folder);
  const auto model = load().model;
  EXPECT_EQ(model->head().weight().value.data_ptr(), tensors_of(*model)["model.embed_tokens.weight"].data_ptr());
}

TEST_F(Hub, ATiedMatrixIsReadUnderEitherName) {
  const auto config = small_config({{"tie_word_embeddings", true}});
  const auto model = small_model(config);
  auto tensors = tensors_of(*model);
  write_folder(folder, config, tensors);
  const auto fingerprint = load().fingerprint;
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  write_folder(folder, config, tensors);  // both
  EXPECT_EQ(load().fingerprint, fingerprint);
  tensors.erase("model.embed_tokens.weight");
  write_folder(folder, config, tensors);
  const auto loaded = load();
  EXPECT_EQ(loaded.fingerprint, fingerprint);
  expect_same(tensors_of(*loaded.model), tensors_of(*model));
  tensors["model.embed_tokens.weight"] = tensors["lm_head.weight"] + 1;
  write_folder(folder, config, tensors);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("lm_head.weight that differs"), HasSubstr("\"tie_word_embeddings\": false")));
}

TEST_F(Hub, ShardsAndOtherDtypesAreConvertedInPlace) {
  const auto config = small_config();
  const auto model = small_model(config, at::kBFloat16);
  save_hub_folder(*model, config.dump(), folder, {.max_shard_bytes = 600});
  EXPECT_TRUE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  auto expected = tensors_of(*model);
  for (auto& [name, tensor] : expected) tensor = tensor.to(at::kFloat);
  expect_same(tensors_of(*load().model), expected);
  // The same model in one file, run in another dtype: the same base for an adapter.
  const auto sharded = load().fingerprint;
  save_hub_folder(*model, config.dump(), folder, {.replace = true});
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  EXPECT_EQ(load(at::kHalf).fingerprint, sharded);
}

TEST_F(Hub, AChangedTensorChangesTheFingerprint) {
  const auto config = small_config();
  const auto model = small_model(config);
  save_hub_folder(*model, config.dump(), folder);
  const auto before = load().fingerprint;
  auto changed = tensors_of(*model);
  changed["model.layers.1.mlp.down_proj.weight"].view(-1)[3].add_(1e-3);
  write_folder(folder, config, changed);
  EXPECT_NE(load().fingerprint, before);
}

TEST_F(Hub, WhatDoesNotFitIsListedByName) {
  const auto config = small_config();
  auto tensors = tensors_of(*small_model(config));
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros(2);  // an old buffer: left out in silence
  write_folder(folder, config, tensors);
  load();

  auto wrong = tensors;
  wrong["model.norm.weight"] = at::zeros({9});
  wrong["model.layers.0.self_attn.k_proj.weight"] = at::zeros({8, 4});
  write_folder(folder, config, wrong);
  EXPECT_THAT(refusal<ShapeError>(), AllOf(HasSubstr("2 misshapen: "), HasSubstr("model.norm.weight [9], not [8]"),
                                           HasSubstr("model.layers.0.self_attn.k_proj.weight [8, 4], not [4, 8]"),
                                           HasSubstr(folder.string())));
  wrong.erase("model.layers.1.input_layernorm.weight");
  wrong["model.layers.2.input_layernorm.weight"] = at::zeros({8});
  write_folder(folder, config, wrong);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("1 missing: model.layers.1.input_layernorm.weight"),
                               HasSubstr("1 unexpected: model.layers.2.input_layernorm.weight"), HasSubstr("2 misshapen")));
  wrong = tensors;
  wrong.erase("lm_head.weight");
  write_folder(folder, config, wrong);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("1 missing: lm_head.weight"), HasSubstr("\"tie_word_embeddings\": true")));
}

TEST_F(Hub, ShapesAloneAreAShapeError) {
  const auto config = small_config();
  auto tensors = tensors_of(*small_model(config));
  tensors["model.norm.weight"] = at::zeros({9});
  write_folder(folder, config, tensors);
  EXPECT_THROW(open_hub_folder(folder, at::kFloat), ShapeError);
}

TEST_F(Hub, ALongListIsCutShort) {
  const auto config = small_config({{"num_hidden_layers", 4}});
  write_folder(folder, config, {{"something", at::zeros(1)}});
  EXPECT_THAT(refusal(), AllOf(HasSubstr("39 missing: model.embed_tokens.weight, "), HasSubstr("(19 more)"),
                               HasSubstr("1 unexpected: something")));
}

TEST_F(Hub, WrongFoldersSayWhatTheyLack) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr(folder.string()), HasSubstr("no such folder")));
  make_folder(folder);
  EXPECT_THAT(refusal(), HasSubstr("no config.json"));
  write_file_atomically(folder / "adapter_config.json", "{}");
  EXPECT_THAT(refusal(), HasSubstr("this is an adapter"));
  write_file_atomically(folder / "config.json", "{");
  EXPECT_THAT(refusal(), HasSubstr("config.json: no JSON"));
  write_file_atomically(folder / "config.json", "[1]");
  EXPECT_THAT(refusal(), HasSubstr("config.json: no JSON object"));
  write_file_atomically(folder / "config.json", small_config().dump());
  EXPECT_THAT(refusal(), HasSubstr("neither model.safetensors nor model.safetensors.index.json nor pytorch_model.bin"));
  write_file_atomically(folder / "pytorch_model.bin", "PK");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("a whole zip archive")));
  write_file_atomically(folder / "config.json", small_config({{"quantization_config", {{"bits", 4}}}}).dump());
  EXPECT_THAT(refusal<ConfigError>(), HasSubstr("quantization_config"));
}

TEST_F(Hub, ATruncatedFileIsRefused) {
  const auto config = small_config();
  save_hub_folder(*small_model(config), config.dump(), folder);
  const auto file = folder / "model.safetensors";
  const auto whole = read_file(file);
  for (const auto bytes : {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1}) {
    write_file_atomically(file, whole.substr(0, bytes));
    EXPECT_THAT(refusal(), HasSubstr(file.string()));
  }
}

// The same tensors as torch.save writes them, in one file or two with an index.
void write_torch_folder(const std::filesystem::path& folder, const nlohmann::json& config, const Tensors& tensors, bool sharded) {
  make_folder(folder);
  write_file_atomically(folder / "config.json", config.dump());
  std::vector<NamedTensors> shards(sharded ? 2 : 1);
  nlohmann::json map;
  for (const auto& [name, tensor] : tensors) {
    shards[map.size() % shards.size()].emplace_back(name, tensor);
    map[name] = "part-" + std::to_string(map.size() % shards.size()) + ".bin";
  }
  for (std::size_t i = 0; i < shards.size(); ++i)
    stream_torch_file(folder / (sharded ? "part-" + std::to_string(i) + ".bin" : "pytorch_model.bin"), to_write(shards[i]));
  if (sharded) write_file_atomically(folder / "pytorch_model.bin.index.json", nlohmann::json{{"weight_map", map}}.dump());
}

TEST_F(Hub, TorchFilesLoadAsSafetensors) {
  const auto config = small_config();
  const auto tensors = tensors_of(*small_model(config));
  write_folder(scratch / "safe", config, tensors);
  for (const bool sharded : {false, true}) {
    std::filesystem::remove_all(folder);
    write_torch_folder(folder, config, tensors, sharded);
    const auto loaded = load();
    expect_same(tensors_of(*loaded.model), tensors);
    EXPECT_EQ(loaded.fingerprint, load_hub_folder(scratch / "safe", at::kFloat).fingerprint);
  }
  // Of both the safetensors are read: a broken .bin beside them does not matter.
  write_file_atomically(folder / "part-0.bin", "PK");
  write_folder(folder, config, tensors);
  load();
}

TEST_F(Hub, ShardsOfTorchFilesAreComplete) {
  const auto config = small_config();
  write_torch_folder(folder, config, tensors_of(*small_model(config)), true);
  const auto shard = read_file(folder / "part-1.bin"), index = read_file(folder / "pytorch_model.bin.index.json");
  write_file_atomically(folder / "part-1.bin", std::string_view(shard).substr(0, shard.size() / 2));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("part-1.bin"), HasSubstr("cut off")));
  std::filesystem::remove(folder / "part-1.bin");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("part-1.bin: no such file"), HasSubstr("pytorch_model.bin.index.json")));
  write_file_atomically(folder / "part-1.bin", shard);
  auto json = nlohmann::json::parse(index);
  json["weight_map"]["extra"] = "part-0.bin";
  write_file_atomically(folder / "pytorch_model.bin.index.json", json.dump());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("'extra'"), HasSubstr("not in this shard")));
  json["weight_map"].erase("extra");
  json["weight_map"]["model.norm.weight"] = "../part-0.bin";
  write_file_atomically(folder / "pytorch_model.bin.index.json", json.dump());
  EXPECT_THAT(refusal(), HasSubstr("the name of a file beside it"));
  write_file_atomically(folder / "pytorch_model.bin.index.json", index);
  std::filesystem::copy_file(folder / "part-0.bin", folder / "part-1.bin", std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("it is in part-0.bin too"), HasSubstr("each tensor once")));
}

Tensors tensors_of(const Weights& weights) {
  Tensors tensors;
  for (const auto& name : weights.names()) tensors[name] = weights.view(name).clone();
  return tensors;
}

TEST_F(Hub, ConversionsThereAndBackAreTheSameTensors) {
  const auto config = small_config({{"num_key_value_heads", 2}, {"hidden_size", 16}});
  const auto tensors = tensors_of(*small_model(config));
  write_folder(folder, config, tensors);
  const StoredModel stored{config, std::make_shared<const Weights>(open_hub_weights(folder))};
  const auto packed = as_family(stored, "baichuan");
  const auto name = std::string("model.layers.1.self_attn.W_pack.weight");
  EXPECT_EQ(packed.weights->info(name).shape, (std::vector<std::int64_t>{48, 16}));
  EXPECT_TRUE(at::equal(packed.weights->view(name).narrow(0, 16, 16), tensors.at("model.layers.1.self_attn.k_proj.weight")));
  EXPECT_EQ(packed.config["model_type"], "baichuan");
  expect_same(tensors_of(*as_family(packed, "llama").weights), tensors);
  // To Meta's names and order of rows; and any stretch of it alone.
  const auto meta = as_meta_weights(stored.weights, config);
  const auto q = meta.view("layers.0.attention.wq.weight"), hub_q = tensors.at("model.layers.0.self_attn.q_proj.weight");
  EXPECT_TRUE(at::equal(q, hub_q.view({2, 2, 4, 16}).transpose(1, 2).reshape({16, 16})));
  for (const auto begin : {0, 5, 100}) {
    const auto out = at::zeros({77});
    meta.read("layers.0.attention.wq.weight", begin, out);
    EXPECT_TRUE(at::equal(out, q.view(-1).narrow(0, begin, 77)));
  }
  EXPECT_EQ(meta.names().size(), tensors.size());
}

// The factors of their config.json at Hugging Face; their params.json, which says use_scaled_rope alone, tells the models by their sizes.
TEST_F(Hub, MetaStretchesRopeAsTheModelWas) {
  struct Known {
    std::int64_t dim, layers;
    double factor;
  };
  for (const auto& known : {Known{2048, 16, 32}, {3072, 28, 32}, {4096, 32, 8}, {8192, 80, 8}, {16384, 126, 8}, {2048, 17, 0}}) {
    make_folder(folder);
    stream_torch_file(folder / "consolidated.00.pth", to_write({{"tok_embeddings.weight", at::zeros({1, 1})}, {"layers.0.feed_forward.w1.weight", at::zeros({1, 1})}}));
    const nlohmann::json params{{"dim", known.dim}, {"n_layers", known.layers}, {"n_heads", 32}, {"rope_theta", 500000.0}, {"use_scaled_rope", true}};
    write_file_atomically(folder / "params.json", params.dump());
    if (known.factor > 0) EXPECT_EQ(meta_config(folder)["rope_scaling"]["factor"], known.factor);
    else EXPECT_THAT(message_of<ConfigError>([&] { meta_config(folder); }), HasSubstr("width 2048 and 17 layers"));
  }
}

// Of a tensor that is made of others, no more is made than the stretches that the fingerprint looks at.
TEST_F(Hub, TheFingerprintMakesNoWholeTensors) {
  const auto config = small_config({{"hidden_size", 256}, {"intermediate_size", 1024}, {"vocab_size", 4096}, {"num_hidden_layers", 1}});
  const auto model = small_model(config);
  write_folder(folder, config, tensors_of(*model));
  const auto stored = std::make_shared<const Weights>(open_hub_weights(folder));
  std::int64_t read = 0, all = 0;
  std::map<std::string, DerivedTensor> derived;
  for (const auto& name : stored->names()) {
    const auto& info = stored->info(name);
    all += static_cast<std::int64_t>(info.bytes);
    derived.emplace(name, DerivedTensor{info, [&, name](std::int64_t begin, std::int64_t end) {
                                          const auto rows = stored->rows(name, begin, end);
                                          read += static_cast<std::int64_t>(rows.nbytes());
                                          return rows;
                                        }});
  }
  EXPECT_EQ(hub_fingerprint(*model, Weights(std::move(derived), "derived")), hub_fingerprint(*model, *stored));
  EXPECT_GT(all, std::int64_t{10} << 20);
  EXPECT_LT(read, all / 10);
}

TEST_F(Hub, TheFamilyCanBeNamedForAConfigWithout) {
  auto config = small_config();
  save_hub_folder(*small_model(config), config.dump(), folder);
  config.erase("model_type");
  write_file_atomically(folder / "config.json", config.dump());
  EXPECT_THROW(load(), ConfigError);
  EXPECT_EQ(load_hub_folder(folder, at::kFloat, "llama").model->facts.family, "llama");
}

TEST_F(Hub, SavingNeverDestroysByAccident) {
  const auto config = small_config();
  const auto model = small_model(config);
  make_folder(folder);  // empty: fine
  save_hub_folder(*model, config.dump(), folder);
  EXPECT_THAT(message_of<IoError>([&] { save_hub_folder(*model, config.dump(), folder); }), HasSubstr("something there already"));
  // A copy that is missing: the old folder stands, and nothing is left beside it.
  EXPECT_THROW(save_hub_folder(*model, config.dump(), folder, {.copies = {scratch / "none"}, .replace = true}), IoError);
  load();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST_F(Hub, SavedBesideTheWeights) {
  const auto config = small_config({{"bos_token_id", 1}, {"dtype", "float32"}, {"custom", "kept"}});
  write_file_atomically(scratch / "tokenizer.json", "{}");
  const Provenance provenance{.template_name = "alpaca", .tokenizer_fingerprint = "ab", .base_fingerprint = "cd"};
  save_hub_folder(*small_model(config, at::kBFloat16), config.dump(), folder,
                  {.copies = {scratch / "tokenizer.json"}, .provenance = provenance, .bos = 7, .eos = 2});
  EXPECT_EQ(read_file(folder / "tokenizer.json"), "{}");
  EXPECT_EQ(read_provenance(folder), provenance);
  const auto written = nlohmann::json::parse(read_file(folder / "config.json"));
  EXPECT_EQ(written["architectures"], nlohmann::json({"LlamaForCausalLM"}));
  EXPECT_EQ(written["torch_dtype"], "bfloat16");
  EXPECT_FALSE(written.contains("dtype"));
  EXPECT_EQ(written["bos_token_id"], 1);  // what the config says goes first
  EXPECT_EQ(written["eos_token_id"], 2);
  EXPECT_EQ(written["custom"], "kept");
}

TEST_F(Hub, ProvenanceOfNobodyAndOfABrokenFile) {
  make_folder(folder);
  EXPECT_EQ(read_provenance(folder), std::nullopt);
  write_file_atomically(folder / "herd.json", "[]");
  EXPECT_THAT(message_of<IoError>([&] { read_provenance(folder); }), HasSubstr("herd.json"));
  write_file_atomically(folder / "herd.json", R"({"template": 3})");
  EXPECT_THAT(message_of<IoError>([&] { read_provenance(folder); }), HasSubstr("'template'"));
}

TEST(Vocabulary, TheTokenizerFitsTheModel) {
  const auto facts = [](std::int64_t rows) { return ModelFacts{.vocab_size = rows}; };
  EXPECT_EQ(check_vocabulary(facts(32000), 32000, "t"), 0);
  EXPECT_EQ(check_vocabulary(facts(151936), 151646, "t"), 290);  // Qwen2 as published
  EXPECT_EQ(check_vocabulary(facts(102400), 100015, "t"), 2385);
  EXPECT_EQ(check_vocabulary(facts(384), 260, "t"), 124);  // 260 rounded up to a multiple of 128
  const std::vector<std::pair<std::int64_t, std::int64_t>> wrong{{32000, 32001}, {32000, 2048}, {512, 384}, {151936, 100277}};
  for (const auto& [rows, tokens] : wrong) {
    const auto message = message_of<ConfigError>([&] { check_vocabulary(facts(rows), tokens, "/m/tokenizer.json"); });
    EXPECT_THAT(message, AllOf(HasSubstr("/m/tokenizer.json: " + std::to_string(tokens) + " tokens"),
                               HasSubstr(std::to_string(rows) + " rows")));
  }
}

// A strategy asks for what its rank keeps, after a method has renamed what it trains.
void expect_stretches(const LoadedModel& opened, const LoadedModel& whole) {
  EXPECT_EQ(opened.fingerprint, whole.fingerprint);
  const auto expected = tensors_of(*whole.model);
  for_each_parameter(*opened.model, [&](const std::string& name, Parameter& p) {
    ASSERT_TRUE(p.value.is_meta());
    ASSERT_EQ(p.value.scalar_type(), expected.at(name).scalar_type());
    p.name = "renamed";
    for (const auto begin : {std::int64_t{0}, p.value.numel() / 3}) {
      const auto out = at::full({p.value.numel() - begin - (begin > 0)}, 7, expected.at(name).options().requires_grad(false));
      opened.read(p, begin, out);
      EXPECT_TRUE(at::equal(out, expected.at(name).detach().view(-1).narrow(0, begin, out.numel()))) << name;
    }
  });
}

TEST_F(Hub, AnOpenedModelReadsStretchesOfItsValues) {
  const auto config = small_config();
  write_folder(folder, config, tensors_of(*small_model(config)));
  for (const auto dtype : {at::kFloat, at::kBFloat16}) expect_stretches(open_hub_folder(folder, dtype), load_hub_folder(folder, dtype));
}

LoadedModel load_random(const ModelOptions& options, std::int64_t tokens) {
  auto opened = open_model(options, tokens);
  fill(*opened.model, opened.read);
  return opened;
}

TEST(RandomModel, ReadsStretchesOfItsValues) {
  ModelOptions options{.family = "llama", .seed = 3};
  options.config = ModelShape{.hidden_size = 8, .intermediate_size = 12, .num_hidden_layers = 1, .num_attention_heads = 2};
  expect_stretches(open_model(options, 16), load_random(options, 16));
}

TEST(RandomModel, ComesFromTheOptions) {
  ModelOptions options{.family = "llama", .seed = 3};
  EXPECT_THROW(open_model(options, 16), ConfigError);  // neither folder nor config
  options.config = ModelShape{.hidden_size = 8, .intermediate_size = 12, .num_hidden_layers = 1, .num_attention_heads = 2};
  const auto one = load_random(options, 16), again = load_random(options, 16), other_vocabulary = load_random(options, 17);
  expect_same(tensors_of(*one.model), tensors_of(*again.model));
  EXPECT_EQ(one.fingerprint, again.fingerprint);
  EXPECT_NE(one.fingerprint, other_vocabulary.fingerprint);
  EXPECT_EQ(one.model->facts.vocab_size, 16);
  options.seed = 4;
  const auto seeded = load_random(options, 16);
  EXPECT_NE(one.fingerprint, seeded.fingerprint);
  EXPECT_FALSE(at::equal(tensors_of(*one.model)["lm_head.weight"], tensors_of(*seeded.model)["lm_head.weight"]));
}

TEST(RealFolders, OpenOrSayWhyNot) {
  HERD_NEED_ASSET("models");
  const auto models = assets() / "models";
  std::set<std::string> fingerprints;
  for (const auto* name : {"tinystories-656k-f32", "tinystories-656k-bf16", "stories260k", "babyllama-105"}) {
    const auto loaded = load_hub_folder(models / name, at::kFloat);
    fingerprints.insert(loaded.fingerprint);
  }
  EXPECT_EQ(fingerprints.size(), 4u);
  // One stores the tied matrix as the head alone, the other as the embedding alone, in bf16: bit-equal weights.
  expect_same(tensors_of(*load_hub_folder(models / "tinystories-656k-f32", at::kBFloat16).model),
              tensors_of(*load_hub_folder(models / "tinystories-656k-bf16", at::kBFloat16).model));
  // Saved without its head, and so without the prefix of all names.
  const auto headless = message_of<IoError>([&] { load_hub_folder(models / "tiny-random-llama-bin", at::kFloat); });
  EXPECT_THAT(headless, AllOf(HasSubstr("1 missing: lm_head.weight"), testing::Not(HasSubstr("unexpected"))));
}

}  // namespace
}  // namespace herd::test
