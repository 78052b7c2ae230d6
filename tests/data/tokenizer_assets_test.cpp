// Real vocabularies against stored ids: llama.cpp's vectors and those that transformers made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
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

// A folder that holds files of the assets under the names that load_tokenizer looks for, and the configuration beside the first of them.
std::unique_ptr<Tokenizer> load_files(const std::map<std::string, std::string>& files) {
  test::Scratch folder;
  for (const auto& [name, file] : files) std::filesystem::copy(test::assets() / "tokenizers" / file, folder / name);
  const auto config = (test::assets() / "tokenizers" / files.begin()->second).parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config)) std::filesystem::copy(config, folder / "tokenizer_config.json");
  return load_tokenizer(folder.path());
}
std::unique_ptr<Tokenizer> load_alone(const std::string& file, const std::string& name) { return load_files({{name, file}}); }

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

TEST(RealVocabulary, VocabularyAndMergesAsFiles) {
  HERD_NEED_ASSET("tokenizers/gpt2");
  const auto gpt2 = load_files({{"vocab.json", "gpt2/vocab.json"}, {"merges.txt", "gpt2/merges.txt"}});
  expect_llama_cpp_vectors(*gpt2, "gpt-2");
  expect_multilingual(*gpt2, "openai-community__gpt2");
  EXPECT_EQ(gpt2->eos, 50256);
  const auto qwen = load_files({{"vocab.json", "qwen2/vocab.json"}, {"merges.txt", "qwen2/merges.txt"}});
  expect_llama_cpp_vectors(*qwen, "qwen2");
  expect_multilingual(*qwen, "Qwen__Qwen2.5-0.5B");
  EXPECT_THAT(qwen->turn_ends, testing::ElementsAre(151645));
  EXPECT_EQ(qwen->bos, std::nullopt);
}

TEST(RealVocabulary, Tiktoken) {
  HERD_NEED_ASSET("tokenizers/llama3-tiktoken");
  const auto llama = load_alone("llama3-tiktoken/tokenizer.model", "tokenizer.model");
  expect_llama_cpp_vectors(*llama, "llama-bpe");
  EXPECT_EQ(llama->vocab_size(), 128256);
  EXPECT_EQ(llama->bos, 128000);
  EXPECT_EQ(llama->eos, 128001);
  EXPECT_EQ(llama->id_to_token(128255), "<|reserved_special_token_247|>");
  EXPECT_THAT(llama->turn_ends, testing::ElementsAre(128009, 128008));
  EXPECT_THAT(llama->encode("<|eot_id|>"), testing::ElementsAre(128000, 128009));
  const auto qwen = load_alone("qwen-tiktoken/qwen.tiktoken", "qwen.tiktoken");
  expect_llama_cpp_vectors(*qwen, "qwen2");
  EXPECT_EQ(qwen->vocab_size(), 151851);
  EXPECT_EQ(qwen->eos, 151643);
  EXPECT_THAT(qwen->turn_ends, testing::ElementsAre(151645));
}

// Ids as the models' papers and cards give them.
TEST(RealVocabulary, ChatGlm) {
  HERD_NEED_ASSET("tokenizers/chatglm");
  const auto one = load_tokenizer(test::assets() / "tokenizers/chatglm");
  EXPECT_EQ(one->token_to_id("[MASK]"), 130000);
  EXPECT_EQ(one->bos, 130004);
  EXPECT_EQ(one->eos, 130005);
  EXPECT_EQ(one->pad, 3);
  EXPECT_EQ(one->padding_side, PaddingSide::kLeft);
  EXPECT_THAT(one->encode("\n"), testing::ElementsAre(5, 4, 130001, 130004));  // a blank in front, <n>, then [gMASK] <sop>
  EXPECT_EQ(one->decode(one->encode("a\t\tb\n      c")), "a\t\tb\n      c");
  const auto two = load_tokenizer(test::assets() / "tokenizers/chatglm2");
  EXPECT_EQ(two->vocab_size(), 64794);
  EXPECT_THAT(two->encode(""), testing::ElementsAre(64790, 64792));
  EXPECT_EQ(two->eos, 2);
  EXPECT_EQ(two->pad, 0);
  EXPECT_EQ(two->padding_side, PaddingSide::kLeft);
}

TEST(RealVocabulary, MalformedTiktokenFilesAreRefused) {
  HERD_NEED_ASSET("tokenizers/malformed");
  const auto complaint = [](const std::string& fault) {
    return test::message_of<DataError>([&] { load_alone("malformed/test_tiktoken_" + fault + ".model", "tokenizer.model"); });
  };
  EXPECT_THAT(complaint("invalid_base64"), testing::HasSubstr("tokenizer.model:1: the token 'tet'; expected a token in base64"));
  EXPECT_THAT(complaint("invalid_rank"), testing::HasSubstr("tokenizer.model:1: the rank '18446744073709551616'; expected a rank from 0"));
  EXPECT_THAT(complaint("no_space"), testing::HasSubstr("tokenizer.model:1: 'ICAgICAgIA==10', without a blank"));
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
