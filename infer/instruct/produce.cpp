#include "infer/instruct/produce.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "data/readers/write.h"
#include "infer/instruct/reply_ledger.h"
#include "runtime/base/file.h"
#include "runtime/base/thread.h"
#include "runtime/report/run_folder.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Threads that ask, and what they share.
class Work {
 public:
  Work(const Asking& asking, const ProduceRequest& request, ReplyLedger& ledger)
      : request_(request), ledger_(ledger), production_(asking, request.production) {}

  void run() {
    std::vector<std::thread> threads;
    for (std::int64_t i = 0; i < request_.production.window; ++i) threads.push_back(background_thread("ask", [this] { ask_on(); }));
    for (auto& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  const Production& production() const { return production_; }
  ProduceEnd end() const {
    return production_.reached() ? ProduceEnd::kReached : production_.gave_up() ? ProduceEnd::kGaveUp : end_.value_or(ProduceEnd::kGaveUp);
  }
  Signal signal() const { return signal_; }
  const std::string& why() const { return why_; }

 private:
  double cost() const { return request_.prices.cost(ledger_.prompt_tokens(), ledger_.answer_tokens()); }

  bool over() const { return production_.ended() || end_ || failure_; }

  void ask_on() {
    std::unique_lock lock(mutex_);
    try {
      Endpoint endpoint(request_.endpoint);
      while (const auto job = next(lock)) {
        lock.unlock();
        const auto reply = endpoint.ask(job->question, [this] { return stopping(); });
        lock.lock();
        keep(*job, reply);
      }
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!failure_) failure_ = std::current_exception();
    }
    changed_.notify_all();
  }

  /// What is to be asked; what the ledger knows is answered here.
  std::optional<ProductionJob> next(std::unique_lock<std::mutex>& lock) {
    for (;;) {
      look();
      if (over()) return std::nullopt;
      auto job = production_.next();
      if (!job) {
        changed_.wait_for(lock, std::chrono::milliseconds(100));
        continue;
      }
      const auto known = ledger_.find(*job);
      if (!known && request_.prices.most > 0 && cost() >= request_.prices.most) {
        end_ = ProduceEnd::kCost;
        return std::nullopt;
      }
      if (!known) return job;
      take(*job, *known);
    }
  }

  void look() {
    if (signal_ == Signal::none) signal_ = request_.signal();
    if (signal_ != Signal::none && !end_) end_ = ProduceEnd::kSignal;
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    look();
    return end_ || failure_;
  }

  void keep(const ProductionJob& job, const ChatReply& reply) {
    if (!reply.text) why_ = reply.why;
    if (reply.down && !end_) end_ = ProduceEnd::kDown;
    // A question that was given up because of the stop, or of a service that is down, is asked again by the next run.
    if (!reply.text && end_) return;
    ledger_.add(job, reply);
    take(job, reply);
  }

  void take(const ProductionJob& job, const ChatReply& reply) {
    production_.take(job, reply);
    request_.told(std::ssize(production_.records()), cost());
    changed_.notify_all();
  }

  const ProduceRequest& request_;
  ReplyLedger& ledger_;
  Production production_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<ProduceEnd> end_;
  std::exception_ptr failure_;
  Signal signal_ = Signal::none;
  std::string why_;
};

Json provenance(const ProducedRecord& made, const Asking& asking, const std::string& model) {
  Json json{{"kind", asking.instructor().name}, {"model", model}, {"request", made.request + 1}, {"part", made.part}};
  if (!made.of.seeds.empty()) json["seeds"] = made.of.seeds;
  if (!made.of.generated.empty()) json["generated"] = made.of.generated;
  if (!made.of.topics.empty()) json["topics"] = made.of.topics;
  return json;
}

void write_produced(const fs::path& output, const std::vector<ProducedRecord>& records, const Asking& asking, const std::string& model) {
  auto as = WrittenAs::kInstructions;
  for (const auto& made : records)
    if (written_as(std::span(&made.record, 1)) == WrittenAs::kMessages) as = WrittenAs::kMessages;
  std::string text;
  for (const auto& made : records) {
    auto json = Json::parse(record_line(made.record, as));
    json["provenance"] = provenance(made, asking, model);
    text += json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  write_file_atomically(output, text);
}

const char* name(ProduceEnd end) {
  switch (end) {
    case ProduceEnd::kReached: return "as many records as wanted";
    case ProduceEnd::kGaveUp: return "no record in many requests";
    case ProduceEnd::kDown: return "the service is down";
    case ProduceEnd::kCost: return "the greatest cost";
    case ProduceEnd::kSignal: return "a signal";
  }
  return "";
}

void write_report(const ProduceRequest& request, const ProduceReport& report) {
  Json rejected = Json::object();
  for (const auto& [rejection, word] : kRejections)
    rejected[word] = report.rejected.contains(rejection) ? report.rejected.at(rejection) : 0;
  const Json json{{"ended_by", name(report.end)},
                  {"records", report.records},
                  {"wanted", request.production.count},
                  {"requests", report.requests},
                  {"rejected", rejected},
                  {"near_duplicates", request.production.near.text()},
                  {"replies", report.replies},
                  {"prompt_tokens", report.prompt_tokens},
                  {"answer_tokens", report.answer_tokens},
                  {"replies_without_a_token_count", report.uncounted},
                  {"cost", report.cost},
                  {"endpoint", request.endpoint.url},
                  {"settings", request.settings}};
  write_file_atomically(request.output.string() + ".report", json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace

fs::path replies_folder(const fs::path& output) { return output.string() + ".replies"; }

ProduceReport produce(const Asking& asking, const ProduceRequest& request) {
  const RunLock lock{RunFolder(replies_folder(request.output))};
  ReplyLedger ledger(replies_folder(request.output) / "replies.log", request.settings);
  ProduceReport report{.replies_before = ledger.texts()};
  Work work(asking, request, ledger);
  work.run();
  const auto& production = work.production();
  report.end = work.end();
  report.signal = work.signal();
  report.why = work.why();
  report.records = std::ssize(production.records());
  report.requests = production.requests();
  report.rejected = production.rejected();
  report.replies = ledger.texts();
  report.uncounted = ledger.uncounted();
  report.prompt_tokens = ledger.prompt_tokens();
  report.answer_tokens = ledger.answer_tokens();
  report.cost = request.prices.cost(report.prompt_tokens, report.answer_tokens);
  if (report.records > 0) write_produced(request.output, production.records(), asking, request.endpoint.model);
  write_report(request, report);
  return report;
}

}  // namespace herd
