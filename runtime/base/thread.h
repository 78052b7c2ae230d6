#pragma once
#include <functional>
#include <string>
#include <thread>

namespace herd {

/// A thread beside the main one: it and what it starts take no signals. @param name as debuggers and `top -H` show it, at most 15 bytes.
std::thread background_thread(const std::string& name, std::function<void()> body);

}  // namespace herd
