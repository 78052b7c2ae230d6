#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "infer/answer_parts.h"
#include "infer/engine.h"
#include "parallel/comm/communicator.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// Answers of all ranks that outlive them: stored one by one beside the output (AnswerParts), so that the same command goes on after a signal or a kill, on any
/// number of ranks. Every rank has one, and calls all of it but read().
class KeptAnswers {
 public:
  /// Signals end the work from now on. Rank 0 takes the folder's lock. @throws on all ranks: ConfigError where answers under other settings are there; IoError.
  KeptAnswers(const std::filesystem::path& output, const AnswerSettings& settings, Communicator& communicator);

  /// Answers what is not answered yet. @param tokens of each question's prompt; 0: not to be asked. @param take_part see ShareWork; may be none.
  /// @return the signal that stopped it, none where all is there.
  Signal answer(Engine& engine, std::int64_t batch_size, std::vector<std::int64_t> tokens, const std::function<Request(std::size_t)>& request,
                const std::function<bool()>& take_part);
  /// By question. @throws IoError
  std::map<std::size_t, StoredAnswer> read() const { return parts_.read(); }
  /// @param used whether all of them went where they were to go: the folder goes too.
  void end(bool used);

  const RunFolder& folder() const { return folder_; }  ///< with causes of failures and flight logs

 private:
  Communicator& communicator_;
  Signals signals_;
  AnswerParts parts_;
  RunFolder folder_;
  std::optional<RunLock> lock_;
  int start_ = 0;
};

}  // namespace herd
