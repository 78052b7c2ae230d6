#include "infer/endpoint.h"
#include "infer/evaluate/judge.h"

namespace herd {
namespace {

class EndpointJudge final : public Judge {
 public:
  explicit EndpointJudge(const EndpointOptions& options) : temperature_(options.temperature), endpoint_(options) {}

  JudgeReply ask(const std::string& prompt) override {
    auto reply = endpoint_.ask({.prompt = prompt, .temperature = temperature_});
    return {.text = std::move(reply.text), .why = std::move(reply.why), .down = reply.down};
  }

 private:
  const double temperature_;
  Endpoint endpoint_;
};

}  // namespace

std::unique_ptr<Judge> endpoint_judge(EndpointOptions options) {
  options.validate();
  options.wants_words = true;
  return std::make_unique<EndpointJudge>(options);
}

}  // namespace herd
