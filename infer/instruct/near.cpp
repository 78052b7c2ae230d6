#include "infer/instruct/near.h"

#include <fmt/format.h>

#include "runtime/base/error.h"

namespace herd {
namespace {

RecordKey key(std::string_view instruction) {
  Record record;
  record.turns = {{.role = Role::kUser, .text = std::string(instruction), .input = ""}};
  return key_of(record, true);
}

}  // namespace

std::string NearBound::text() const {
  switch (by) {
    case By::kRouge: return fmt::format("ROUGE-L above {:g}", bound);
    case By::kBm25: return fmt::format("BM25 above {:g}", bound);
    case By::kSketch: return fmt::format("likeness from {:g} on", bound);
    case By::kOff: break;
  }
  return "none";
}

std::variant<RougeIndex, Bm25Index, SeenRecords, NearInstructions::Off> NearInstructions::index_for(NearBound bound) {
  switch (bound.by) {
    case NearBound::By::kRouge: return RougeIndex(bound.bound);
    case NearBound::By::kBm25:
      if (!(bound.bound >= 0))
        throw ConfigError({.who = "--bm25", .found = fmt::format("{:g}", bound.bound), .expected = "0 or more", .remedy = ""});
      return Bm25Index(bound.bound);
    case NearBound::By::kSketch:
      if (!(bound.bound > 0.3 && bound.bound <= 1))
        throw ConfigError({.who = "--near", .found = fmt::format("{:g}", bound.bound), .expected = "above 0.3, at most 1", .remedy = ""});
      return SeenRecords(Deduplicate::kNear, bound.bound);
    case NearBound::By::kOff: break;
  }
  return Off{};
}

NearInstructions::NearInstructions(NearBound bound) : index_(index_for(bound)) {}

void NearInstructions::add(std::string_view instruction) {
  if (auto* rouge = std::get_if<RougeIndex>(&index_)) rouge->add(instruction);
  else if (auto* bm25 = std::get_if<Bm25Index>(&index_)) bm25->add(instruction);
  else if (auto* seen = std::get_if<SeenRecords>(&index_)) seen->earlier(key(instruction));
}

std::optional<LikeText> NearInstructions::earlier(std::string_view instruction) {
  if (auto* rouge = std::get_if<RougeIndex>(&index_)) return rouge->earlier(instruction);
  if (auto* bm25 = std::get_if<Bm25Index>(&index_)) return bm25->earlier(instruction);
  if (auto* seen = std::get_if<SeenRecords>(&index_))
    if (const auto like = seen->earlier(key(instruction))) return LikeText{like->number, like->exact ? 1.0 : 0.0};
  return std::nullopt;
}

}  // namespace herd
