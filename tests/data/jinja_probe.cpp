// Chat templates on stdin and stdout, for comparison with jinja2 as transformers uses it. One JSON line a request:
//   {"template": …, "variables": {…}}               → {"text": …} or {"error": …}
//   {"template": …, "tokens": {"bos", "eos", "specials"}, "system": …, "turns": [[role, text], …]}
//                                                   → {"pieces": [[text, own_words, written, turn], …], "prompt": text, "special": …} or {"error": …}
#include <ctime>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/template/chat_template.h"

namespace {

using Json = nlohmann::ordered_json;

herd::Record record_of(const Json& request) {
  static const std::map<std::string, herd::Role> roles{{"user", herd::Role::kUser}, {"assistant", herd::Role::kAssistant}, {"thought", herd::Role::kThought},
                                                       {"call", herd::Role::kCall}, {"tool", herd::Role::kTool}};
  herd::Record out{.system = request["system"].get<std::string>()};
  for (const auto& turn : request["turns"]) out.turns.push_back({.role = roles.at(turn[0].get<std::string>()), .text = turn[1].get<std::string>()});
  return out;
}

Json imported(const Json& request) {
  const auto& tokens = request["tokens"];
  herd::ChatTokens texts{.bos = tokens["bos"].get<std::string>(), .eos = tokens["eos"].get<std::string>()};
  texts.specials = tokens["specials"].get<std::vector<std::string>>();
  const auto t = herd::chat_template_of(request["template"].get<std::string>(), std::move(texts));
  const auto record = record_of(request);
  auto pieces = Json::array();
  for (const auto& piece : herd::render(*t, record)) pieces.push_back({piece.is_eos ? "[eos]" : piece.text, piece.own_words, piece.written, piece.turn});
  Json out{{"pieces", std::move(pieces)}, {"special", t->special}};
  try {
    out["prompt"] = herd::text_of(herd::render_prompt(*t, record), "[eos]");
  } catch (const std::exception& error) {
    out["prompt_error"] = error.what();
  }
  return out;
}

Json rendered(const Json& request) {
  const auto now = std::time(nullptr);
  std::tm here{};
  localtime_r(&now, &here);
  return {{"text", herd::jinja::Program(request["template"].get<std::string>()).render(request["variables"], here)}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      const auto request = Json::parse(line);
      reply = request.contains("turns") ? imported(request) : rendered(request);
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << '\n' << std::flush;
  }
}
