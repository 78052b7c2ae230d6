#include "runtime/report/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>

#include "runtime/base/process.h"

namespace herd {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82F63B78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? kReversedPolynomial : 0);
    table[byte] = value;
  }
  return table;
}

std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

std::string little_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

// Protobuf's wire format, as much of it as an event needs: a field is its number and kind, then its value
// (protobuf.dev/programming-guides/encoding). Messages and strings go in with their length in front.
class Message {
 public:
  void put(int field, std::int64_t value) {
    tag(field, 0);
    varint(static_cast<std::uint64_t>(value));
  }
  void put(int field, double value) {
    tag(field, 1);
    bytes_ += little_endian(std::bit_cast<std::uint64_t>(value), 8);
  }
  void put(int field, std::string_view text) {
    tag(field, 2);
    varint(text.size());
    bytes_ += text;
  }
  void put(int field, const Message& message) { put(field, std::string_view(message.bytes_)); }
  void put(int field, float value) {
    tag(field, 5);
    bytes_ += little_endian(std::bit_cast<std::uint32_t>(value), 4);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void tag(int field, int kind) { varint(static_cast<std::uint64_t>(field << 3 | kind)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
namespace event_field {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
constexpr int kSummaryValue = 1, kValueTag = 1, kValueSimpleValue = 2, kSessionLogStatus = 1;
constexpr std::int64_t kSessionStart = 1;

Message event_now(std::int64_t step) {
  Message event;
  event.put(event_field::kWallTime, unix_time_s());
  event.put(event_field::kStep, step);
  return event;
}

std::string version_record() {
  auto event = event_now(0);
  // From version 2 on, a session start takes back the steps from its own on.
  event.put(event_field::kFileVersion, std::string_view("brain.Event:2"));
  return tfrecord(event.bytes());
}

std::string start_record(std::int64_t first_step) {
  Message start;
  start.put(kSessionLogStatus, kSessionStart);
  auto event = event_now(first_step);
  event.put(event_field::kSessionLog, start);
  return tfrecord(event.bytes());
}

std::string scalars_record(std::int64_t step, const Scalars& values) {
  Message summary;
  for (const auto& [name, number] : values) {
    Message value;
    value.put(kValueTag, std::string_view(name));
    value.put(kValueSimpleValue, static_cast<float>(number));
    summary.put(kSummaryValue, value);
  }
  auto event = event_now(step);
  event.put(event_field::kSummary, summary);
  return tfrecord(event.bytes());
}

std::filesystem::path new_event_file(const std::filesystem::path& folder) {
  make_folder(folder);
  // TensorBoard orders files by name, hence the time in front; the counter parts two openings within a second.
  const auto stem = fmt::format("events.out.tfevents.{:010}.{}.{}", static_cast<std::int64_t>(unix_time_s()), host_name(), getpid());
  for (int count = 0;; ++count)
    if (auto path = folder / fmt::format("{}.{}", stem, count); !std::filesystem::exists(path)) return path;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc_table();
  std::uint32_t crc = ~0u;
  for (const unsigned char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ byte) & 0xff];
  return ~crc;
}

std::string tfrecord(std::string_view bytes) {
  const auto length = little_endian(bytes.size(), 8);
  return fmt::format("{}{}{}{}", length, little_endian(masked_crc(length), 4), bytes, little_endian(masked_crc(bytes), 4));
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, std::optional<std::int64_t> resumed_step)
    : file_(new_event_file(folder), File::Mode::append) {
  file_.write(version_record() + start_record(resumed_step ? *resumed_step + 1 : 0));
}

void TensorBoardWriter::write(std::int64_t step, const Scalars& values) { file_.write(scalars_record(step, values)); }

}  // namespace herd
