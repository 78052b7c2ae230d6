#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/record.h"

namespace herd {

/// Fields beside a record's own, written as they stand here.
using ExtraFields = std::vector<std::pair<std::string, std::string>>;

/// `{"instruction": …, "input": …, "output": …}` on one line, then `category` and `extra` where there are any. The record is one question
/// and one answer.
std::string alpaca_line(const Record& record, const ExtraFields& extra = {});

/// `{"id": …, "conversations": [{"from": "human", "value": …}, {"from": "assistant", "value": …}, …]}` on one line, with `system` and
/// `category` after the id where there are any. The turns are the user's and the assistant's.
std::string conversation_line(const Record& record, std::string_view id);

}  // namespace herd
