#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "data/tokenizer/tokenizer.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr std::size_t kTextsAtATime = 64;

// The failure with the lowest index: chunks are dealt in order and finished once begun, so that it does not depend on timing.
class FirstFailure {
 public:
  void note(std::size_t index, Complaint complaint) {
    const std::lock_guard guard(lock_);
    failed_ = true;
    if (index >= index_) return;
    index_ = index;
    complaint_ = std::move(complaint);
  }
  bool failed() const { return failed_; }
  void rethrow() const {
    if (!failed_) return;
    auto complaint = complaint_;
    complaint.who = "record " + std::to_string(index_) + ", " + complaint.who;
    throw DataError(std::move(complaint));
  }

 private:
  std::mutex lock_;
  std::atomic<bool> failed_ = false;
  std::size_t index_ = ~std::size_t{0};
  Complaint complaint_;
};

}  // namespace

std::vector<std::vector<TokenId>> encode_all(const Tokenizer& tokenizer, std::span<const std::string> texts, int threads,
                                             bool add_special) {
  std::vector<std::vector<TokenId>> out(texts.size());
  std::atomic<std::size_t> next = 0;
  FirstFailure failure;
  const auto work = [&] {
    while (!failure.failed()) {
      const auto start = next.fetch_add(kTextsAtATime);
      if (start >= texts.size()) return;
      for (auto i = start; i < std::min(start + kTextsAtATime, texts.size()); ++i) {
        try {
          out[i] = tokenizer.encode(texts[i], add_special);
        } catch (const Error& error) {
          return failure.note(i, error.complaint());
        } catch (const std::exception& error) {
          return failure.note(i, {.who = "encode", .found = error.what(), .expected = {}, .remedy = {}});
        }
      }
    }
  };
  const auto useful = (texts.size() + kTextsAtATime - 1) / kTextsAtATime;
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), useful); ++i) others.emplace_back(work);
  work();
  for (auto& thread : others) thread.join();
  failure.rethrow();
  return out;
}

}  // namespace herd
