#include "launch/kept_answers.h"

#include <algorithm>
#include <string>

#include "infer/answer_share.h"
#include "launch/predict_watch.h"
#include "launch/rank_failure.h"
#include "launch/run_end.h"
#include "launch/run_start.h"
#include "parallel/comm/agree.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

namespace herd {

KeptAnswers::KeptAnswers(const std::filesystem::path& output, const AnswerSettings& settings, Communicator& communicator)
    : communicator_(communicator), parts_(output), folder_(parts_.folder()) {
  const auto start = agree(communicator, [&] {
    if (communicator.rank() != 0) return 0;
    lock_.emplace(folder_);
    return parts_.open(settings);
  });
  start_ = std::stoi(broadcast_string(communicator, std::to_string(start)));
  record_flight(folder_, communicator);
  communicator.watch(last_words(folder_, communicator.rank(), signals_));
}

Signal KeptAnswers::answer(Engine& engine, std::int64_t batch_size, std::vector<std::int64_t> tokens, const std::function<Request(std::size_t)>& request,
                           const std::function<bool()>& take_part) {
  const auto there = agree(communicator_, [&] { return read(); });
  for (const auto& [question, any] : there) tokens.at(question) = 0;
  const auto before = std::ssize(there), all = before + std::ranges::count_if(tokens, [](auto count) { return count > 0; });
  if (before > 0) log_info("{} of {} are there from before", before, plural(all, "answer"));
  auto file = agree(communicator_, [&] { return parts_.part(start_, communicator_.rank()); });
  PredictWatch watch(before, all, communicator_.rank() == 0);
  std::int64_t answers = 0;
  const auto signal = answer_share(engine, batch_size, communicator_,
                                   {.share = share_of(tokens, communicator_.rank(), communicator_.size()),
                                    .request = request,
                                    .store = [&](std::size_t question, const Generation& generation) { file.write(AnswerParts::line(question, generation)); },
                                    .signal = [&] { return signals_.pending(); },
                                    .told = [&](std::int64_t done, std::int64_t new_tokens) { answers = done, watch(done, new_tokens); },
                                    .take_part = take_part});
  agree(communicator_, [&] { file.sync(); });
  if (before + answers == all) return Signal::none;
  log_info("{}: {} of {} are stored; the same command goes on", name(signal), before + answers, plural(all, "answer"));
  return signal;
}

void KeptAnswers::end(bool used) {
  communicator_.note(kEnded);
  communicator_.stop_watching();
  if (used && communicator_.rank() == 0) parts_.remove();
}

}  // namespace herd
