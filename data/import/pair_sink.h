#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/format/text_output.h"
#include "data/import/corpora.h"
#include "data/import/simplified.h"

namespace herd {

/// Where the layouts' readers put what they find. It converts, keeps what is a pair, writes it and counts what it leaves out.
class PairSink {
 public:
  PairSink(const Corpus& corpus, const ImportRequest& request, TextOutput& out);

  void pair(std::string_view query, std::string_view answer);
  /// Fields of a line, which is a pair where there are two.
  void fields(const std::vector<std::string>& fields);
  /// Utterances that follow each other; empties `utterances`.
  void session(std::vector<std::string>& utterances);
  void leave_out(std::string_view why);

  const ImportCount& count() const { return count_; }

 private:
  void row(std::string line);
  void conversation(const std::vector<std::string>& utterances);
  std::string converted(std::string text) const;

  const Corpus& corpus_;
  const ImportRequest& request_;
  TextOutput& out_;
  std::unique_ptr<Simplified> simplified_;
  ImportCount count_;
};

}  // namespace herd
