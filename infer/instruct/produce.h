#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "infer/answer_parts.h"
#include "infer/endpoint.h"
#include "infer/instruct/production.h"
#include "runtime/base/signals.h"

namespace herd {

/// What a service takes, in any currency.
struct Prices {
  double in = 0, out = 0;  ///< a million tokens of prompts, of answers
  double most = 0;         ///< no request is begun once that much was paid; 0: no bound

  double cost(std::int64_t prompt_tokens, std::int64_t answer_tokens) const {
    return (in * static_cast<double>(prompt_tokens) + out * static_cast<double>(answer_tokens)) / 1e6;
  }
};

struct ProduceRequest {
  EndpointOptions endpoint;
  ProductionOptions production;
  Prices prices;
  std::filesystem::path output;
  AnswerSettings settings;  ///< what the prompts come of: replies under others are not used
  std::function<Signal()> signal = [] { return Signal::none; };
  std::function<void(std::int64_t records, double cost)> told = [](std::int64_t, double) {
  };  ///< how far it is, from any thread, one at a time
};

/// Why a generation ended.
enum class ProduceEnd { kReached, kGaveUp, kDown, kCost, kSignal };

struct ProduceReport {
  ProduceEnd end = ProduceEnd::kReached;
  Signal signal = Signal::none;
  std::string why;  ///< of a service that is down, or of the last reply without a text
  std::int64_t records = 0, requests = 0;
  RejectionCounts rejected;
  std::int64_t replies = 0, replies_before = 0, uncounted = 0, prompt_tokens = 0,
               answer_tokens = 0;  ///< all there are, also what was found
  double cost = 0;
};

/// Where the replies are kept: OUTPUT.replies, a folder.
std::filesystem::path replies_folder(const std::filesystem::path& output);

/// Asks until there are as many records as wanted, and writes them to `output` in one step, whatever ended it, together with OUTPUT.report.
/// Killed at any moment, it is gone on with by the same call: every reply is in the replies' folder, and the records are made of them anew,
/// the same ones in the same order. That folder stays, so that a greater count or another bound asks only for what is missing.
/// `production.window` requests are under way at once, each on a thread of its own.
/// @throws ConfigError, IoError (a disk that is full: what was paid for until then is kept)
ProduceReport produce(const Asking& asking, const ProduceRequest& request);

}  // namespace herd
