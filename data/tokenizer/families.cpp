#include "data/tokenizer/families.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizer/word_scanner.h"

namespace herd {
namespace {

// The hub calls both ChatGLMTokenizer.
constexpr std::string_view kChatGlm2 = "ChatGLM2Tokenizer", kChatGlm3 = "ChatGLM3Tokenizer";
constexpr std::string_view kEndOfText = "<|endoftext|>";

// Sources: the tokenizers of transformers, and those that models bring along (ChatGLM, Baichuan, InternLM, MOSS, Qwen; Meta's).
const std::vector<TokenizerFamily>& families() {
  static const std::vector<TokenizerFamily> table{
      {.name = "", .llama_blanks = true},  // names no class: nothing is filled in
      {.name = "LlamaTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>", .frames = true, .llama_blanks = true},
      {.name = "CodeLlamaTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>", .frames = true, .llama_blanks = true},
      {.name = "GemmaTokenizer", .frames = true, .llama_blanks = true},
      {.name = "BaichuanTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>"},
      {.name = "BaiChuanTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>"},
      {.name = "InternLMTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>", .pad = "</s>", .turn_ends = {"<eoa>"}},
      {.name = "ChatGLMTokenizer", .bos = "<sop>", .eos = "<eop>", .unk = "<unk>", .pad = "<pad>", .add_bos = false,
       .after = {"[gMASK]", "<sop>"}, .blank_tokens = true, .only_pieces = true, .image_tokens = 20000, .padding = PaddingSide::kLeft},
      {.name = kChatGlm2, .eos = "</s>", .unk = "<unk>", .pad = "<unk>", .add_bos = false,
       .appended = {{"[MASK]"}, {"[gMASK]"}, {"[sMASK]"}, {"sop"}, {"eop"}}, .appended_in_text = false, .before = {"[gMASK]", "sop"},
       .only_pieces = true, .padding = PaddingSide::kLeft},
      {.name = kChatGlm3, .eos = "</s>", .unk = "<unk>", .pad = "<unk>", .add_bos = false,
       .appended = {{"[MASK]"}, {"[gMASK]"}, {"[sMASK]"}, {"sop"}, {"eop"},
                    {"<|system|>"}, {"<|user|>"}, {"<|assistant|>"}, {"<|observation|>"}},
       .appended_in_text = false, .before = {"[gMASK]", "sop"}, .only_pieces = true, .padding = PaddingSide::kLeft,
       .turn_ends = {"<|user|>", "<|observation|>"}},
      {.name = "GPT2Tokenizer", .bos = kEndOfText, .eos = kEndOfText, .unk = kEndOfText, .add_bos = false, .split = kGpt2Pattern},
      {.name = "CodeGenTokenizer", .bos = kEndOfText, .eos = kEndOfText, .unk = kEndOfText, .add_bos = false, .split = kGpt2Pattern},
      {.name = "MossTokenizer", .bos = kEndOfText, .eos = kEndOfText, .unk = kEndOfText, .add_bos = false, .split = kGpt2Pattern,
       .turn_ends = {"<eom>"}},
      {.name = "BloomTokenizer", .bos = "<s>", .eos = "</s>", .unk = "<unk>", .pad = "<pad>", .add_bos = false, .split = kBloomPattern,
       .padding = PaddingSide::kLeft},
      {.name = "Qwen2Tokenizer", .eos = kEndOfText, .unk = kEndOfText, .pad = kEndOfText, .add_bos = false, .split = kQwenPattern,
       .nfc = true, .turn_ends = {"<|im_end|>"}},
      {.name = "QWenTokenizer", .eos = kEndOfText, .pad = kEndOfText, .add_bos = false, .split = kQwenPattern, .nfc = true,
       .ranks = 151643,
       .appended = {{"<|endoftext|>"}, {"<|im_start|>"}, {"<|im_end|>"}, {"<|extra_{}|>", 0, 204}},
       .turn_ends = {"<|im_end|>"}},
      {.name = "Llama3Tokenizer", .bos = "<|begin_of_text|>", .eos = "<|end_of_text|>", .split = kLlama3Pattern, .ranks = 128000,
       .appended = {{"<|begin_of_text|>"}, {"<|end_of_text|>"}, {"<|reserved_special_token_{}|>", 0, 1}, {"<|finetune_right_pad_id|>"},
                    {"<|reserved_special_token_2|>"}, {"<|start_header_id|>"}, {"<|end_header_id|>"}, {"<|eom_id|>"}, {"<|eot_id|>"},
                    {"<|python_tag|>"}, {"<|reserved_special_token_{}|>", 3, 247}},
       .turn_ends = {"<|eot_id|>", "<|eom_id|>"}},
  };
  return table;
}

const TokenizerFamily* find(std::string_view name) {
  const auto& all = families();
  const auto found = std::find_if(all.begin(), all.end(), [&](const TokenizerFamily& family) { return family.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const TokenizerFamily& tokenizer_family(std::string_view name, TokenizerForm form, std::string_view model_name, std::size_t ranks) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  const auto* named = find(name);
  switch (form) {
    case TokenizerForm::kTiktoken:
      if (named && named->ranks != 0) return *named;
      for (const auto& family : families())
        if (family.ranks != 0 && family.ranks == ranks) return family;
      static const TokenizerFamily plain{.name = "tiktoken", .add_bos = false, .split = kLlama3Pattern};
      return plain;
    case TokenizerForm::kVocabMerges: return named && !named->split.empty() ? *named : *find("GPT2Tokenizer");
    case TokenizerForm::kIceText: return *find("ChatGLMTokenizer");
    case TokenizerForm::kSentencePiece:
      if (name != "ChatGLMTokenizer") break;
      return *find(model_name.find("chatglm3") != std::string_view::npos ? kChatGlm3 : kChatGlm2);
    case TokenizerForm::kJson: break;
  }
  return named ? *named : *find("");
}

std::vector<std::string> appended_tokens(const TokenizerFamily& family) {
  std::vector<std::string> tokens;
  for (const auto& part : family.appended)
    for (int i = part.first; i <= part.last; ++i) tokens.push_back(fmt::format(fmt::runtime(part.name), i));
  return tokens;
}

}  // namespace herd
