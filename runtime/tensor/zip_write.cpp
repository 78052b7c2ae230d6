#include <unistd.h>

#include <cerrno>

#include "runtime/tensor/crc32.h"
#include "runtime/tensor/zip.h"

namespace herd {
namespace {

constexpr std::uint64_t kLarge = 0xffffffff, kAlign = 64;
constexpr std::size_t kLocalBytes = 30, kCrcAt = 14;

/// Little-endian fields, one behind the other.
class Fields {
 public:
  template <class T>
  Fields& add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Fields& u16(std::uint64_t value) { return add(static_cast<std::uint16_t>(value)); }
  /// Saturated, where zip64 has it.
  Fields& u32(std::uint64_t value) { return add(static_cast<std::uint32_t>(std::min(value, kLarge))); }
  Fields& u64(std::uint64_t value) { return add(value); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Version, flags, no compression, no time, crc, both sizes, name's length: what both headers of a member share.
std::string shared_fields(std::uint64_t version, std::uint32_t crc, std::uint64_t bytes, std::size_t name_bytes) {
  return Fields().u16(version).u16(0).u16(0).u16(0).u16(0x21).add(crc).u32(bytes).u32(bytes).u16(name_bytes).text();
}

constexpr std::uint64_t kVersion64 = 45;

}  // namespace

void ZipWriter::write(std::string_view text) {
  file_.write(text);
  at_ += text.size();
}

void ZipWriter::add(const std::string& name, std::uint64_t bytes, const std::function<void(const Write&)>& fill) {
  Entry entry{name, at_, bytes, 0};
  auto extra = bytes >= kLarge ? Fields().u16(1).u16(16).u64(bytes).u64(bytes).text() : std::string();
  const auto padding = (kAlign - (at_ + kLocalBytes + name.size() + extra.size() + 4) % kAlign) % kAlign;
  extra += Fields().u16(0x4246).u16(padding).text() + std::string(padding, 'Z');  // "FB", as torch pads
  write(Fields().add(std::uint32_t{0x04034b50}).text() + shared_fields(kVersion64, 0, bytes, name.size()) + Fields().u16(extra.size()).text() +
        name + extra);
  const auto begin = at_;
  fill([&](std::string_view piece) {
    entry.crc = crc32_of(piece, entry.crc);
    write(piece);
  });
  if (at_ - begin != bytes)
    throw IoError({.who = file_.path().string() + ": '" + name + "'",
                   .found = std::to_string(at_ - begin) + " bytes",
                   .expected = std::to_string(bytes),
                   .remedy = ""});
  const auto place = static_cast<off_t>(entry.header + kCrcAt);
  if (pwrite(file_.descriptor(), &entry.crc, sizeof entry.crc, place) != sizeof entry.crc) throw io_error(file_.path(), "cannot write", errno);
  entries_.push_back(entry);
}

void ZipWriter::add(const std::string& name, std::string_view text) {
  add(name, text.size(), [&](const Write& write) { write(text); });
}

void ZipWriter::finish() {
  const auto begin = at_;
  for (const auto& [name, header, bytes, crc] : entries_) {
    Fields large;
    if (bytes >= kLarge) large.u64(bytes).u64(bytes);
    if (header >= kLarge) large.u64(header);
    const auto extra = large.text().empty() ? "" : Fields().u16(1).u16(large.text().size()).text() + large.text();
    write(Fields().add(std::uint32_t{0x02014b50}).u16(kVersion64).text() + shared_fields(kVersion64, crc, bytes, name.size()) +
          Fields().u16(extra.size()).u16(0).u16(0).u16(0).u32(0).u32(header).text() + name + extra);
  }
  const auto end = at_, count = entries_.size();
  const bool is_large = begin >= kLarge || end - begin >= kLarge || count >= 0xffff;
  if (is_large) {
    write(Fields().add(std::uint32_t{0x06064b50}).u64(44).u16(kVersion64).u16(kVersion64).u32(0).u32(0).u64(count).u64(count).u64(end - begin).u64(begin).text());
    write(Fields().add(std::uint32_t{0x07064b50}).u32(0).u64(end).u32(1).text());
  }
  const auto short_count = std::min<std::uint64_t>(count, 0xffff);
  write(Fields().add(std::uint32_t{0x06054b50}).u16(0).u16(0).u16(short_count).u16(short_count).u32(end - begin).u32(begin).u16(0).text());
}

}  // namespace herd
