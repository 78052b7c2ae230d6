#pragma once
#include "peft/select.h"

// What LoRA's options say of some layers alone, as PEFT reads it.
namespace herd {

/// What the first entry that names a module gives it, else `otherwise`: a key is a regular expression for the whole name or its end after a
/// dot.
double by_pattern(const NumbersByName& patterns, const std::string& name, double otherwise);

/// @throws ConfigError where an entry names none of the targets. @param key of the `peft` section.
void check_patterns(const std::string& key, const NumbersByName& patterns, const std::vector<NamedLinear>& targets);

/// Those of the targets that are in one of `layers`: the number after the second of three parts of a name ("….layers.3."), or after one of
/// `patterns`. Without `layers` all. @throws ConfigError where a layer holds no target.
std::vector<NamedLinear> in_layers(const std::vector<NamedLinear>& targets, const std::vector<std::int64_t>& layers,
                                   const std::vector<std::string>& patterns);

}  // namespace herd
