#include "data/readers/source.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr std::string_view kGzip = "\x1f\x8b", kZstd = "\x28\xb5\x2f\xfd";

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::string& path) : file_(path, File::Mode::read) {}

  std::size_t read(char* into, std::size_t size) override {
    if (const auto held = std::min(size, head_.size()); held > 0) {
      std::memcpy(into, head_.data(), held);
      head_.erase(0, held);
      return held;
    }
    for (;;) {
      const auto got = ::read(file_.descriptor(), into, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw io_error(file_.path(), "cannot read", errno);
    }
  }

  /// The first bytes, which stay to be read.
  const std::string& head(std::size_t size) {
    while (head_.size() < size) {
      std::string more(size - head_.size(), '\0');
      auto held = std::exchange(head_, "");
      more.resize(read(more.data(), more.size()));
      head_ = held + more;
      if (more.empty()) break;
    }
    return head_;
  }

 private:
  File file_;
  std::string head_;
};

/// What gzip and zstd share: packed bytes come in pieces, and the file may end only where a member or frame does.
class PackedSource : public ByteSource {
 public:
  PackedSource(std::unique_ptr<PlainSource> packed, std::string path, const char* kind)
      : packed_(std::move(packed)), path_(std::move(path)), kind_(kind) {}

 protected:
  bool refill() {
    piece_size_ = packed_->read(piece_.data(), piece_.size());
    return piece_size_ > 0;
  }
  void made(std::size_t bytes) { unpacked_ += bytes; }

  [[noreturn]] void broken(std::string_view why) const {
    throw DataError({.who = path_,
                     .found = fmt::format("broken {} data after {} of text ({})", kind_, human_bytes(unpacked_), why),
                     .expected = "",
                     .remedy = "fetch or pack the file again"});
  }
  [[noreturn]] void cut_short() const {
    throw DataError({.who = path_,
                     .found = fmt::format("a {} file that is cut short, after {} of text", kind_, human_bytes(unpacked_)),
                     .expected = "",
                     .remedy = "fetch or pack the file again; nothing of it was used"});
  }

  std::vector<char> piece_ = std::vector<char>(std::size_t{1} << 18);
  std::size_t piece_size_ = 0;

 private:
  std::unique_ptr<PlainSource> packed_;
  std::string path_;
  const char* kind_;
  std::uint64_t unpacked_ = 0;
};

class GzipSource final : public PackedSource {
 public:
  GzipSource(std::unique_ptr<PlainSource> packed, std::string path) : PackedSource(std::move(packed), std::move(path), "gzip") {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  std::size_t read(char* into, std::size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(into);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
    const auto room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0) {
        if (!refill()) return within_member_ ? (cut_short(), 0) : 0;
        stream_.next_in = reinterpret_cast<Bytef*>(piece_.data());
        stream_.avail_in = static_cast<uInt>(piece_size_);
      }
      if (!within_member_) begin_member();
      if (!within_member_) continue;
      const int state = inflate(&stream_, Z_NO_FLUSH);
      if (state == Z_STREAM_END) within_member_ = false;
      else if (state != Z_OK && state != Z_BUF_ERROR) broken(stream_.msg ? stream_.msg : "not gzip");
    }
    made(room - stream_.avail_out);
    return room - stream_.avail_out;
  }

 private:
  /// Zeros may fill a file up behind its last member, as gzip itself allows.
  void begin_member() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in == 0) return;
    inflateReset(&stream_);
    within_member_ = true;
  }

  z_stream stream_{};
  bool within_member_ = false;
};

class ZstdSource final : public PackedSource {
 public:
  ZstdSource(std::unique_ptr<PlainSource> packed, std::string path)
      : PackedSource(std::move(packed), std::move(path), "zstd"), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
  }

  std::size_t read(char* into, std::size_t size) override {
    ZSTD_outBuffer out{into, size, 0};
    while (out.pos == 0) {
      // A full buffer may have left text inside the decoder, so it is asked once more before the file is.
      const auto was = in_.pos;
      const auto left = ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (ZSTD_isError(left)) broken(ZSTD_getErrorName(left));
      if (in_.pos != was || out.pos > 0) within_frame_ = left != 0;
      if (out.pos > 0 || in_.pos < in_.size) continue;
      if (!refill()) return within_frame_ ? (cut_short(), 0) : 0;
      in_ = {piece_.data(), piece_size_, 0};
    }
    made(out.pos);
    return out.pos;
  }

 private:
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool within_frame_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_source(const std::string& path) {
  if (std::filesystem::is_directory(path))
    throw IoError(
        {.who = path, .found = "a folder", .expected = "a readable file of records", .remedy = "name the files inside: '" + path + "/*'"});
  auto plain = std::make_unique<PlainSource>(path);
  const auto& head = plain->head(kZstd.size());
  if (head.starts_with(kGzip)) return std::make_unique<GzipSource>(std::move(plain), path);
  if (head.starts_with(kZstd)) return std::make_unique<ZstdSource>(std::move(plain), path);
  return plain;
}

}  // namespace herd
