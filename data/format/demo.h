#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/format/demo_words.h"
#include "data/record.h"
#include "runtime/base/registry.h"

namespace herd {

class Random;

/// One kind of question in one of two languages. It draws from `random` alone and gives the answer with the question, so that it is right
/// by construction. Questions repeat in a large set: the worlds are small, for small models to learn.
using DemoTask = Record (*)(Random& random, std::string_view demo::Word::*language);

/// The ten categories of BELLE's evaluation set, by their names there.
const Table<DemoTask>& demo_tasks();

/// Record number `index` of the seed, a function of the two: the categories take turns, English before Chinese.
Record demo_record(std::uint64_t seed, std::uint64_t index);

/// Writes FOLDER/demo-en.jsonl and FOLDER/demo-cn.jsonl with `records` records in all, as alpaca lines with their category.
/// @return the two files
/// @throws DataError for fewer than 20 records, which would leave a category out; IoError
std::vector<std::filesystem::path> write_demo(const std::filesystem::path& folder, std::int64_t records, std::uint64_t seed);

}  // namespace herd
