// Real vocabularies against stored ids: llama.cpp's vectors and those that transformers made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/tokenizer/tokenizer.h"
#include "runtime/base/error.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using Ids = std::vector<TokenId>;

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

// A folder that holds one file of the assets under the name that load_tokenizer looks for, and the configuration beside it.
std::unique_ptr<Tokenizer> load_alone(const std::string& file, const std::string& name) {
  test::Scratch folder;
  const auto source = test::assets() / "tokenizers" / file;
  std::filesystem::copy(source, folder / name);
  if (const auto config = source.parent_path() / "tokenizer_config.json"; std::filesystem::exists(config))
    std::filesystem::copy(config, folder / "tokenizer_config.json");
  return load_tokenizer(folder.path());
}

void expect_llama_cpp_vectors(const Tokenizer& tokenizer, const std::string& vocabulary) {
  const auto base = test::assets() / "goldens/tokenizer-vectors/llama.cpp";
  const auto input = read(base / ("ggml-vocab-" + vocabulary + ".gguf.inp"));
  std::ifstream output(base / ("ggml-vocab-" + vocabulary + ".gguf.out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (std::size_t at = 0, end; (end = input.find(separator, at)) != std::string::npos; at = end + separator.size(), ++cases) {
    const auto text = input.substr(at, end - at);
    std::string line;
    std::getline(output, line);
    std::istringstream numbers(line);
    const Ids expected{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text, false), expected) << '"' << text << '"';
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const auto id : expected) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), tokenizer.decode(expected));
  }
  EXPECT_GE(cases, 46);
}

void expect_multilingual(const Tokenizer& tokenizer, const std::string& model) {
  const auto golden = nlohmann::json::parse(read(test::assets() / "goldens/tokenizer-vectors/multilingual" / (model + ".json")));
  for (const auto& [name, entry] : golden["entries"].items()) {
    const auto ids = entry["input_ids"].get<Ids>();
    const auto text = entry["decoded_skip_special"].get<std::string>();
    EXPECT_EQ(tokenizer.decode(ids, false), entry["decoded_with_special"]) << name;
    EXPECT_EQ(tokenizer.decode(ids, true), text) << name;
    EXPECT_EQ(tokenizer.encode(text), ids) << name;
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(tokenizer.id_to_token(ids[i]), entry["tokens"][i]) << name;
  }
  EXPECT_GE(golden["entries"].size(), 30U);
}

TEST(RealVocabulary, LlamaAsJson) {
  HERD_NEED_ASSET("tokenizers/llama");
  const auto tokenizer = load_alone("llama/tokenizer.json", "tokenizer.json");
  expect_llama_cpp_vectors(*tokenizer, "llama-spm");
  expect_multilingual(*tokenizer, "TinyLlama__TinyLlama-1.1B-Chat-v1.0");
}

TEST(RealVocabulary, LlamaAsSentencePiece) {
  HERD_NEED_ASSET("tokenizers/llama");
  const auto tokenizer = load_alone("llama/tokenizer.model", "tokenizer.model");
  expect_llama_cpp_vectors(*tokenizer, "llama-spm");
  EXPECT_EQ(tokenizer->vocab_size(), 32000);
  EXPECT_EQ(tokenizer->bos, 1);
  EXPECT_EQ(tokenizer->eos, 2);
}

TEST(RealVocabulary, Gpt2) {
  HERD_NEED_ASSET("tokenizers/gpt2");
  const auto tokenizer = load_alone("gpt2/tokenizer.json", "tokenizer.json");
  expect_llama_cpp_vectors(*tokenizer, "gpt-2");
  expect_multilingual(*tokenizer, "openai-community__gpt2");
}

TEST(RealVocabulary, Qwen2) {
  HERD_NEED_ASSET("tokenizers/qwen2");
  const auto tokenizer = load_alone("qwen2/tokenizer.json", "tokenizer.json");
  expect_llama_cpp_vectors(*tokenizer, "qwen2");
  expect_multilingual(*tokenizer, "Qwen__Qwen2.5-0.5B");
  EXPECT_EQ(tokenizer->token_to_id("<|im_end|>"), 151645);
}

TEST(RealVocabulary, MergesWithPlainSpacesAreRefused) {
  HERD_NEED_ASSET("tokenizers/malformed");
  EXPECT_THAT(test::message_of<DataError>([] { load_alone("malformed/llama-merges-with-spaces.tokenizer.json", "tokenizer.json"); }),
              testing::AllOf(testing::HasSubstr("tokenizer.json: model.merges["), testing::HasSubstr("expected two tokens")));
}

TEST(RealVocabulary, TinyStories) {
  HERD_NEED_ASSET("models/tinystories-656k-f32");
  const auto tokenizer = load_tokenizer(test::assets() / "models/tinystories-656k-f32");
  const auto golden = nlohmann::json::parse(read(test::assets() / "models/tinystories-656k-f32/golden.json"));
  for (const auto& entry : golden["cases"]) EXPECT_EQ(tokenizer->encode(entry["prompt"].get<std::string>()), entry["prompt_ids"].get<Ids>());
  EXPECT_GE(golden["cases"].size(), 1U);
  EXPECT_EQ(tokenizer->vocab_size(), 2048);
  EXPECT_EQ(tokenizer->bos, 1);
  EXPECT_EQ(tokenizer->eos, 2);
  EXPECT_EQ(tokenizer->pad, 0);
}

}  // namespace
}  // namespace herd
