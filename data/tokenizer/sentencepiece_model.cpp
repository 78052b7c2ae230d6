#include "data/tokenizer/sentencepiece_model.h"

#include <cstdint>
#include <cstring>

namespace herd {
namespace {

// A field of a protocol buffer: a number, or bytes.
struct Field {
  int number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

// Reads fields one by one; `broken` once something does not fit.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}
  bool broken() const { return broken_; }

  bool next(Field& field) {
    if (rest_.empty() || broken_) return false;
    const auto tag = varint();
    field = {.number = static_cast<int>(tag >> 3), .value = 0, .bytes = {}};
    switch (tag & 7) {
      case 0: field.value = varint(); break;
      case 1: field.bytes = take(8); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.bytes = take(4); break;
      default: broken_ = true;
    }
    return !broken_;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      broken_ = true;
      return {};
    }
    const auto bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
  bool broken_ = false;
};

template <class Take>
bool each_field(std::string_view bytes, Take take) {
  Message message(bytes);
  for (Field field; message.next(field);) take(field);
  return !message.broken();
}

bool read_piece(std::string_view bytes, SentencePieceModel::Piece& piece) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2 && field.bytes.size() == sizeof piece.score) std::memcpy(&piece.score, field.bytes.data(), sizeof piece.score);
    if (field.number == 3) piece.type = static_cast<SentencePieceModel::PieceType>(field.value);
  });
}

bool read_trainer(std::string_view bytes, SentencePieceModel& model) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 3) model.algorithm = static_cast<SentencePieceModel::Algorithm>(field.value);
    if (field.number == 24) model.blank_behind = field.value != 0;
    if (field.number == 35) model.byte_fallback = field.value != 0;
  });
}

bool read_normalizer(std::string_view bytes, SentencePieceModel& model) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 2) model.rewrites = !field.bytes.empty();
    if (field.number == 3) model.add_dummy_prefix = field.value != 0;
    if (field.number == 4) model.remove_extra_blanks = field.value != 0;
    if (field.number == 5) model.escape_blanks = field.value != 0;
  });
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

}  // namespace

std::optional<SentencePieceModel> parse_sentencepiece(std::string_view bytes) {
  SentencePieceModel model;
  bool good = true;
  const bool whole = each_field(bytes, [&](const Field& field) {
    if (field.number == 1) good = read_piece(field.bytes, model.pieces.emplace_back()) && good;
    if (field.number == 2) good = read_trainer(field.bytes, model) && good;
    if (field.number == 3) good = read_normalizer(field.bytes, model) && good;
  });
  if (!whole || !good || model.pieces.empty()) return std::nullopt;
  return model;
}

std::string piece_message(const SentencePieceModel::Piece& piece) {
  std::string body = "\x0A";  // field 1, bytes
  append_varint(body, piece.text.size());
  body += piece.text;
  body += '\x15';  // field 2, 32 bits
  body.append(reinterpret_cast<const char*>(&piece.score), sizeof piece.score);
  body += '\x18';  // field 3, a number
  append_varint(body, static_cast<std::uint64_t>(piece.type));
  std::string message = "\x0A";
  append_varint(message, body.size());
  return message + body;
}

}  // namespace herd
