#include "runtime/tensor/zip.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/tensor/mapped_file.h"

namespace herd {
namespace {

constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kEntry = 0x02014b50, kLocal = 0x04034b50,
                        kDescriptor = 0x08074b50;
constexpr std::size_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the zip64 extra field has the value
constexpr std::uint16_t kEncrypted = 1, kHasDescriptor = 8;

class ZipReader {
 public:
  explicit ZipReader(const File& file) : file_(file), size_(file_bytes(file)) {}

  std::map<std::string, ZipMember> read() {
    const auto [offset, bytes, count] = directory();
    const auto text = bytes_at(offset, bytes);
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < count; ++i) at += entry(std::string_view(text).substr(at));
    check_side_by_side(offset);
    return std::move(members_);
  }

 private:
  struct Directory {
    std::uint64_t offset, bytes, count;
  };
  struct Place {
    std::uint64_t header;
    const ZipMember* member;
    const std::string* name;
    bool has_descriptor;
  };

  [[noreturn]] void fail(const std::string& found) const {
    throw IoError({.who = file_.path().string(),
                   .found = found,
                   .expected = "a whole zip archive, as torch.save writes it",
                   .remedy = "the file is cut off or broken: download or write it again"});
  }

  std::string bytes_at(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset > size_ || bytes > size_ - offset) fail("a part that lies behind the file's end");
    std::string text(bytes, '\0');
    for (std::size_t done = 0; done < bytes;) {
      const auto got = pread(file_.descriptor(), text.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw io_error(file_.path(), "cannot read", errno);
      if (got == 0) fail("a part that lies behind the file's end");
      done += static_cast<std::size_t>(got);
    }
    return text;
  }

  template <class T>
  T number(std::string_view text, std::size_t at) const {
    T value{};
    if (text.size() < sizeof value || at > text.size() - sizeof value) fail("a header that is cut off");
    std::memcpy(&value, text.data() + at, sizeof value);
    return value;
  }

  Directory directory() const {
    const auto tail_bytes = std::min<std::uint64_t>(size_, kEndBytes + 0xffff);
    const auto tail = bytes_at(size_ - tail_bytes, tail_bytes);
    for (auto at = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; at-- > 0;) {
      if (number<std::uint32_t>(tail, at) != kEnd || at + kEndBytes + number<std::uint16_t>(tail, at + 20) != tail.size()) continue;
      const Directory small{number<std::uint32_t>(tail, at + 16), number<std::uint32_t>(tail, at + 12), number<std::uint16_t>(tail, at + 10)};
      if (small.offset != kIn64 && small.bytes != kIn64 && small.count != 0xffff) return small;
      return directory64(size_ - tail.size() + at);
    }
    fail("no directory at its end");
  }

  Directory directory64(std::uint64_t end) const {
    if (end < kLocator64Bytes) fail("no zip64 directory");
    const auto locator = bytes_at(end - kLocator64Bytes, kLocator64Bytes);
    if (number<std::uint32_t>(locator, 0) != kLocator64) fail("no zip64 directory");
    const auto text = bytes_at(number<std::uint64_t>(locator, 8), kEnd64Bytes);
    if (number<std::uint32_t>(text, 0) != kEnd64) fail("no zip64 directory");
    return {number<std::uint64_t>(text, 48), number<std::uint64_t>(text, 40), number<std::uint64_t>(text, 32)};
  }

  /// One entry of the directory. @return its bytes
  std::size_t entry(std::string_view text) {
    if (number<std::uint32_t>(text, 0) != kEntry) fail("a broken directory");
    const auto name_bytes = number<std::uint16_t>(text, 28), extra_bytes = number<std::uint16_t>(text, 30);
    const auto bytes = std::size_t{kEntryBytes} + name_bytes + extra_bytes + number<std::uint16_t>(text, 32);
    if (bytes > text.size()) fail("a broken directory");
    const std::string name(text.substr(kEntryBytes, name_bytes));
    if ((number<std::uint16_t>(text, 8) & kEncrypted) != 0) fail("'" + name + "' is encrypted");
    if (number<std::uint16_t>(text, 10) != 0) fail("'" + name + "' is compressed");
    std::uint64_t size = number<std::uint32_t>(text, 24), stored = number<std::uint32_t>(text, 20), header = number<std::uint32_t>(text, 42);
    for (const auto value : large_values(text.substr(kEntryBytes + name_bytes, extra_bytes))) {
      if (size == kIn64) size = value;
      else if (stored == kIn64) stored = value;
      else if (header == kIn64) header = value;
    }
    if (size != stored) fail("'" + name + "' with two sizes");
    const auto [place, fresh] = members_.emplace(name, ZipMember{.offset = 0, .bytes = size, .crc = number<std::uint32_t>(text, 16)});
    if (!fresh) fail("'" + name + "' twice");
    local(header, place->first, place->second);
    return bytes;
  }

  /// The numbers of the zip64 extra field: those that are saturated in the entry, in its order.
  std::vector<std::uint64_t> large_values(std::string_view extra) const {
    std::vector<std::uint64_t> values;
    while (extra.size() >= 4) {
      const auto id = number<std::uint16_t>(extra, 0), bytes = number<std::uint16_t>(extra, 2);
      if (bytes > extra.size() - 4) break;
      if (id == 1)
        for (std::size_t at = 0; at + 8 <= bytes; at += 8) values.push_back(number<std::uint64_t>(extra.substr(4, bytes), at));
      extra.remove_prefix(std::size_t{4} + bytes);
    }
    return values;
  }

  void local(std::uint64_t header, const std::string& name, ZipMember& member) {
    const auto text = bytes_at(header, kLocalBytes);
    if (number<std::uint32_t>(text, 0) != kLocal) fail("no member '" + name + "' where the directory says");
    const auto name_bytes = number<std::uint16_t>(text, 26), extra_bytes = number<std::uint16_t>(text, 28);
    if (bytes_at(header + kLocalBytes, name_bytes) != name) fail("another member where '" + name + "' should be");
    member.offset = header + kLocalBytes + name_bytes + extra_bytes;
    if (member.offset > size_ || member.bytes > size_ - member.offset) fail("'" + name + "' ends behind the file");
    places_.push_back({header, &member, &name, (number<std::uint16_t>(text, 6) & kHasDescriptor) != 0});
  }

  // So no byte belongs to two members, and a header whose length is wrong does not move one's data unseen.
  void check_side_by_side(std::uint64_t directory) {
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.header < b.header; });
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const auto& place = places_[i];
      const auto end = place.member->offset + place.member->bytes, next = i + 1 < places_.size() ? places_[i + 1].header : directory;
      const auto behind = next >= end ? std::optional(next - end) : std::nullopt;
      bool fits = !place.has_descriptor && behind == std::uint64_t{0};
      if (place.has_descriptor && (behind == std::uint64_t{16} || behind == std::uint64_t{24})) {
        const auto descriptor = bytes_at(end, 8);
        fits = number<std::uint32_t>(descriptor, 0) == kDescriptor && number<std::uint32_t>(descriptor, 4) == place.member->crc;
      }
      if (!fits) fail("'" + *place.name + "' is not where its headers say");
    }
  }

  const File& file_;
  std::uint64_t size_;
  std::map<std::string, ZipMember> members_;
  std::vector<Place> places_;
};

}  // namespace

std::map<std::string, ZipMember> read_zip(const File& file) { return ZipReader(file).read(); }

}  // namespace herd
