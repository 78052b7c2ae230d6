#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "infer/endpoint.h"
#include "infer/instruct/instructor.h"

namespace herd {

/// What a reply to an instructor's prompt has for one record, as far as it goes: with two steps, the answer is not there yet.
struct Draft {
  Record record;                       ///< in its final form but for the answer; nothing where it is rejected
  std::string question;                ///< the instruction that others are held against
  std::optional<Rejection> rejection;  ///< it is none
};

/// Parts a reply at its labels. A label stands at the beginning of a line, in any case, perhaps behind a list's number or signs such as
/// `###` or `**`, and before a colon of either width; a number may follow it (`Instruction 3:`). The first label of the kind begins a
/// record; the others are labels in their order, once each, else text. What comes before the first record is left out. A reply that ended
/// at its longest loses its last record. A reply without any record is one draft that is rejected.
std::vector<Draft> drafts_of(const Instructor& instructor, const ChatReply& reply);

/// Adds the answer to a draft of two steps. @return what is wrong with it.
std::optional<Rejection> add_answer(const Instructor& instructor, const ChatReply& reply, Record& record);

}  // namespace herd
