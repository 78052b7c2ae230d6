#include "data/examples.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "runtime/base/error.h"

namespace herd {
namespace {

// The file: this header, the words of all examples, filled up to 8 bytes, and their entries. The header is written last.
struct Header {
  char magic[8] = {'h', 'e', 'r', 'd', 'e', 'x', '0', '1'};
  std::uint64_t entries = 0, words = 0;
};
static_assert(sizeof(ExampleEntry) == 32 && sizeof(Header) == 24);

constexpr std::size_t kFlush = std::size_t{1} << 20;  // words

std::size_t entries_at(std::uint64_t words) { return (sizeof(Header) + words * sizeof(ExampleView::Word) + 7) / 8 * 8; }

struct Mapping {
  const std::byte* data = nullptr;
  std::size_t size = 0;
  ~Mapping() {
    if (data) munmap(const_cast<std::byte*>(data), size);
  }
};

std::string_view bytes_of(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

struct InMemory {
  std::vector<ExampleView::Word> words;
  std::vector<ExampleEntry> entries;
};

}  // namespace

std::vector<TokenId> ExampleView::tokens() const {
  std::vector<TokenId> out;
  for (const auto word : words_) out.push_back(static_cast<TokenId>(word & ~kLearnt));
  return out;
}

Examples Examples::map(const std::filesystem::path& path) {
  const File file(path, File::Mode::read);
  struct stat info {};
  if (fstat(file.descriptor(), &info) != 0) throw io_error(path, "cannot look at", errno);
  const auto size = static_cast<std::size_t>(info.st_size);
  const auto refuse = [&](const char* found) {
    throw IoError({.who = path.string(), .found = found, .expected = "examples as herd keeps them", .remedy = "remove it: it is made again"});
  };
  if (size < sizeof(Header)) refuse("a file too short");
  auto mapping = std::make_shared<Mapping>();
  auto* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (data == MAP_FAILED) throw io_error(path, "cannot map", errno);
  mapping->data = static_cast<const std::byte*>(data);
  mapping->size = size;
  Header header;
  std::memcpy(&header, data, sizeof header);
  if (std::memcmp(header.magic, Header{}.magic, sizeof header.magic) != 0) refuse("another kind of file");
  const auto at = entries_at(header.words);
  if (header.entries == 0 || header.words > size || size != at + header.entries * sizeof(ExampleEntry)) refuse("a file that is not whole");

  Examples out;
  out.words_ = {reinterpret_cast<const ExampleView::Word*>(mapping->data + sizeof(Header)), header.words};
  out.entries_ = {reinterpret_cast<const ExampleEntry*>(mapping->data + at), header.entries};
  out.keeper_ = mapping;
  return out;
}

Examples::Examples(const std::vector<Example>& examples) {
  ExampleWriter writer;
  for (const auto& example : examples) writer.add(example);
  *this = writer.finish();
}

ExampleWriter::ExampleWriter(const std::filesystem::path& file) : file_(File(file, File::Mode::replace)) {
  const Header none{.magic = {}, .entries = 0, .words = 0};
  file_->write(bytes_of(&none, sizeof none));
}

void ExampleWriter::add(const Example& example, double weight) {
  entries_.push_back({.begin = total_, .supervised_tokens = static_cast<std::uint32_t>(example.supervised_tokens),
                      .weight = static_cast<float>(weight), .source = example.source});
  for (std::size_t i = 0; i < example.tokens.size(); ++i)
    words_.push_back(static_cast<ExampleView::Word>(example.tokens[i]) | (example.supervised[i] ? ExampleView::kLearnt : 0));
  total_ += example.tokens.size();
  if (file_ && words_.size() >= kFlush) flush();
}

void ExampleWriter::flush() {
  file_->write(bytes_of(words_.data(), words_.size() * sizeof(ExampleView::Word)));
  words_.clear();
}

Examples ExampleWriter::finish() {
  entries_.push_back({.begin = total_});
  if (!file_) {
    auto kept = std::make_shared<InMemory>(std::move(words_), std::move(entries_));
    Examples out;
    out.words_ = kept->words;
    out.entries_ = kept->entries;
    out.keeper_ = kept;
    return out;
  }
  flush();
  file_->write(std::string(entries_at(total_) - sizeof(Header) - total_ * sizeof(ExampleView::Word), '\0'));
  file_->write(bytes_of(entries_.data(), entries_.size() * sizeof(ExampleEntry)));
  const Header header{.entries = entries_.size(), .words = total_};
  if (pwrite(file_->descriptor(), &header, sizeof header, 0) != sizeof header) throw io_error(file_->path(), "cannot write", errno);
  file_->sync();
  const auto path = file_->path();
  file_->close();
  return Examples::map(path);
}

}  // namespace herd
