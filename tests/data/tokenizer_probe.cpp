// A tokenizer on stdin and stdout, for comparison with other libraries. One JSON line a request:
//   {"folder": …}                    → {"vocab_size": …, "bos": …, "eos": …, "pad": …}; loads, for the lines that follow
//   {"texts": […]}                   → {"results": [{"ids": […], "plain": […], "decoded": …, "skipped": …, "streamed": …}, …]}
//   {"ids_of": […]}                  → {"ids": [ids, …]}, without special tokens
//   {"extend": folder, "by": model, "into": folder} → {"old_pieces": …, "pieces": […], "old_ids": [ids, …], "old_tokens": …, "unreached":
//   …}
//   {"batches": [ids, …]}            → {"results": [{"decoded": …, "skipped": …, "streamed": …}, …]}
//   {"time": [texts], "threads": n}  → {"seconds": …, "bytes": …, "tokens": …}
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/tokenizer/extend.h"
#include "data/tokenizer/tokenizer.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"

namespace {

using Json = nlohmann::json;

Json decodes(const herd::Tokenizer& tokenizer, const std::vector<herd::TokenId>& ids) {
  herd::StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const auto id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  return {{"decoded", tokenizer.decode(ids, false)}, {"skipped", tokenizer.decode(ids, true)}, {"streamed", streamed}};
}

std::vector<std::vector<herd::TokenId>> encode_all(const herd::Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads, bool special) {
  std::vector<std::vector<herd::TokenId>> all(texts.size());
  herd::parallel_for(static_cast<std::int64_t>(texts.size()), threads,
                     [&](std::int64_t i) { all[static_cast<std::size_t>(i)] = tokenizer.encode(texts[static_cast<std::size_t>(i)], special); });
  return all;
}

Json time(const herd::Tokenizer& tokenizer, const Json& request) {
  const auto texts = request["time"].get<std::vector<std::string>>();
  const auto start = std::chrono::steady_clock::now();
  const auto all = encode_all(tokenizer, texts, request.value("threads", 1), false);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::size_t bytes = 0, tokens = 0;
  for (const auto& text : texts) bytes += text.size();
  for (const auto& ids : all) tokens += ids.size();
  return {{"seconds", seconds.count()}, {"bytes", bytes}, {"tokens", tokens}};
}

Json extend(const Json& request) {
  const auto folder = request["extend"].get<std::string>();
  const auto extended = herd::extend_vocabulary(folder, request["by"].get<std::string>());
  const std::filesystem::path into = request["into"].get<std::string>();
  std::filesystem::create_directories(into);
  herd::save_extended(extended, folder, into);
  return {{"old_pieces", extended.old_pieces},
          {"pieces", extended.pieces},
          {"old_ids", extended.old_ids},
          {"old_tokens", extended.old_tokens},
          {"unreached", extended.unreached}};
}

Json answer(std::unique_ptr<herd::Tokenizer>& tokenizer, const Json& request) {
  if (request.contains("folder")) {
    tokenizer = herd::load_tokenizer(request["folder"].get<std::string>());
    return {{"vocab_size", tokenizer->vocab_size()}, {"bos", tokenizer->bos.value_or(-1)}, {"eos", tokenizer->eos.value_or(-1)}, {"pad", tokenizer->pad.value_or(-1)}};
  }
  if (request.contains("extend")) return extend(request);
  if (request.contains("time")) return time(*tokenizer, request);
  if (request.contains("ids_of")) return {{"ids", encode_all(*tokenizer, request["ids_of"].get<std::vector<std::string>>(), 2, false)}};
  auto results = Json::array();
  if (request.contains("batches")) {
    for (const auto& ids : request["batches"]) results.push_back(decodes(*tokenizer, ids.get<std::vector<herd::TokenId>>()));
    return {{"results", std::move(results)}};
  }
  const auto texts = request["texts"].get<std::vector<std::string>>();
  const auto with_special = encode_all(*tokenizer, texts, 2, true);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto result = decodes(*tokenizer, with_special[i]);
    result["ids"] = with_special[i];
    result["plain"] = tokenizer->encode(texts[i], false);
    results.push_back(std::move(result));
  }
  return {{"results", std::move(results)}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::unique_ptr<herd::Tokenizer> tokenizer;
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      reply = answer(tokenizer, Json::parse(line));
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << '\n' << std::flush;
  }
}
