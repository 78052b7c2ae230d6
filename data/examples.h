#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/formatter.h"
#include "runtime/base/file.h"

namespace herd {

/// What is kept of an example beside its tokens.
struct ExampleEntry {
  std::uint64_t begin = 0;              ///< of its tokens among all
  std::uint32_t supervised_tokens = 0;
  float weight = 1;                     ///< how often an epoch shows it
  Source source;
  std::uint32_t spare = 0;
};

/// One example of Examples, which it must not outlive.
class ExampleView {
 public:
  /// A token, with the top bit set where it is to be learnt.
  using Word = std::uint32_t;
  static constexpr Word kLearnt = Word{1} << 31;

  ExampleView(std::span<const Word> words, const ExampleEntry& entry) : words_(words), entry_(&entry) {}
  std::int64_t length() const { return static_cast<std::int64_t>(words_.size()); }
  TokenId token(std::int64_t i) const { return static_cast<TokenId>(words_[static_cast<std::size_t>(i)] & ~kLearnt); }
  bool supervised(std::int64_t i) const { return words_[static_cast<std::size_t>(i)] & kLearnt; }
  std::int64_t supervised_tokens() const { return entry_->supervised_tokens; }
  float weight() const { return entry_->weight; }
  const Source& source() const { return entry_->source; }
  std::vector<TokenId> tokens() const;

 private:
  std::span<const Word> words_;
  const ExampleEntry* entry_;
};

/// Examples in order, in memory or in a file that is mapped: two million cost no more to open than two. Cheap to copy: copies share.
class Examples {
 public:
  Examples() = default;
  Examples(const std::vector<Example>& examples);
  std::int64_t size() const { return entries_.empty() ? 0 : static_cast<std::int64_t>(entries_.size()) - 1; }
  bool empty() const { return size() == 0; }
  ExampleView operator[](std::int64_t i) const {
    const auto& entry = entries_[static_cast<std::size_t>(i)];
    const auto end = entries_[static_cast<std::size_t>(i) + 1].begin;
    return {words_.subspan(entry.begin, end - entry.begin), entry};
  }
  std::int64_t length(std::int64_t i) const { return (*this)[i].length(); }

  /// A file that ExampleWriter wrote. @throws IoError where it is none, or not whole.
  static Examples map(const std::filesystem::path& file);

 private:
  friend class ExampleWriter;
  std::span<const ExampleEntry> entries_;  // one more than examples: where the next would begin
  std::span<const ExampleView::Word> words_;
  std::shared_ptr<const void> keeper_;
};

/// Takes examples one after another: into memory, or into a file that holds their tokens at once, so that memory keeps 32 bytes an example.
class ExampleWriter {
 public:
  ExampleWriter() = default;
  /// @throws IoError.
  explicit ExampleWriter(const std::filesystem::path& file);

  void add(const Example& example, double weight = 1);
  std::int64_t size() const { return static_cast<std::int64_t>(entries_.size()); }
  /// What was added. A file is synced, and mapped.
  Examples finish();

 private:
  void flush();

  std::optional<File> file_;
  std::vector<ExampleView::Word> words_;  // all of them, or those that the file has yet to get
  std::vector<ExampleEntry> entries_;
  std::uint64_t total_ = 0;
};

}  // namespace herd
