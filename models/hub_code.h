#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

// Model folders with Python code of their own (ChatGLM, Baichuan, InternLM, MOSS): `auto_map` in config.json and tokenizer_config.json names
// classes of files beside them (`modeling_x.Class`) or of another repository (`org/name--modeling_x.Class`). herd runs none of it, but takes
// it along.
namespace herd {

/// The code of a folder: its *.py, which import one another; none where neither `config`, its config.json parsed, nor its tokenizer's names any.
std::vector<std::filesystem::path> code_files(const std::filesystem::path& folder, const nlohmann::json& config);

/// Takes entries of `auto_map` out of a config whose file is not among `files`: nothing would load such a folder, though transformers may know its
/// family without.
void drop_code_not_among(const std::vector<std::filesystem::path>& files, nlohmann::ordered_json& config);

}  // namespace herd
