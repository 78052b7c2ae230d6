#pragma once
#include <functional>
#include <string>
#include <vector>

#include "launch/chat.h"

namespace herd {

/// The words of a line: parted by white space, which stands inside of double quotes; `key="two words"` is one.
std::vector<std::string> words_of(const std::string& line);

/// Does what a line says that begins with a slash. @param say prints a line. @return whether the chat goes on.
/// @throws ConfigError for an unknown command, with the nearest; what the Chat throws.
bool run_chat_command(Chat& chat, const std::string& line, const std::function<void(const std::string&)>& say);

}  // namespace herd
