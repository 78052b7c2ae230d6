// Records to packed batches, timed inside one process: bench_data TOKENIZER MAX_TOKENS CACHE|off FILE…
// Prints one line of JSON: seconds until the dataset stands, until the first step's batches do, and what came of it.
#include <fmt/format.h>

#include <chrono>

#include "data/batches.h"
#include "data/dataset.h"

int main(int argc, char** argv) {
  using namespace herd;
  if (argc < 5) return fmt::print(stderr, "bench_data TOKENIZER MAX_TOKENS CACHE|off FILE…\n"), 2;
  const auto tokenizer = load_tokenizer(argv[1]);
  if (!tokenizer->eos) tokenizer->eos = tokenizer->token_to_id("<|endoftext|>");
  DataOptions options;
  options.max_tokens = std::stol(argv[2]);
  options.cache = argv[3];
  options.packing = true;
  options.unsupervised = Unsupervised::kSkip;
  for (int i = 4; i < argc; ++i) options.sets.push_back(std::string(argv[i]));

  const auto start = std::chrono::steady_clock::now();
  const auto since = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const auto dataset = load_dataset(options, *tokenizer);
  const auto stands = since();
  const Batches batches(dataset.train, {.global_batch_size = 64, .max_tokens = options.max_tokens, .packing = true}, dataset.pad_token);
  const auto first = batches.micro_batches(0, 0, 1, 4);
  const auto first_batch = since();
  const auto rows = batches.rows(0).epoch_rows->size();
  fmt::print("{{\"dataset_s\": {:.4f}, \"first_batch_s\": {:.4f}, \"records\": {}, \"tokens\": {}, \"supervised\": {}, \"rows\": {}, \"full\": {:.5f}, \"cached\": {}}}\n", stands,
             first_batch, dataset.train_report.records, dataset.train_report.tokens, dataset.train_report.supervised_tokens, rows,
             static_cast<double>(dataset.train_report.tokens) / static_cast<double>(rows * options.max_tokens), !dataset.cached.empty());
  return first.empty();
}
