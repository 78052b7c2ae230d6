// Chat templates on stdin and stdout, for comparison with jinja2 as transformers uses it. One JSON line a request:
//   {"template": …, "variables": {…}}  → {"text": …} or {"error": …}
#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/template/jinja/program.h"

int main() {
  using Json = nlohmann::ordered_json;
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      const auto request = Json::parse(line);
      const auto now = std::time(nullptr);
      std::tm here{};
      localtime_r(&now, &here);
      reply["text"] = herd::jinja::Program(request["template"].get<std::string>()).render(request["variables"], here);
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << '\n' << std::flush;
  }
}
