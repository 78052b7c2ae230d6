#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "infer/server/call.h"
#include "infer/server/http.h"
#include "infer/server/server_metrics.h"
#include "infer/server/server_options.h"
#include "infer/server/served.h"
#include "infer/server/worker.h"

namespace herd {

/// The routes of `herd serve`: docs/serve.md.
class Api final : public HttpService {
 public:
  /// @param seeds how the seeds' two routes, which say nothing of it, choose tokens. @param options, metrics outlive this.
  Api(const ServerOptions& options, GenerationOptions seeds, ServerMetrics& metrics);

  /// Until then every route but /health and /metrics says that the model is being read. @param served, worker outlive this.
  void open(const Served& served, Worker& worker);
  /// From now on new requests are refused; those under way go on.
  void drain() { draining_ = true; }

  std::optional<HttpReply> refuse(const HttpHead& head) const override;
  HttpReply answer(const ClientRequest& request) override;
  HttpReply broken(int status) override;
  HttpReply failed(const std::exception& error) override;

 private:
  struct Route;
  struct Service {
    const Served& served;
    Worker& worker;
  };
  static const std::vector<Route>& routes();
  const Route& route(const HttpHead& head) const;
  const Service& service() const;

  HttpReply page(const ClientRequest&);
  HttpReply health(const ClientRequest&);
  HttpReply metrics(const ClientRequest&);
  HttpReply models(const ClientRequest&);
  HttpReply model(const ClientRequest& request);
  HttpReply completions(const ClientRequest& request);
  HttpReply chat_completions(const ClientRequest& request);
  HttpReply seeds_query(const ClientRequest& request);
  HttpReply seeds_post(const ClientRequest& request);
  HttpReply answer_call(Call call, const ClientRequest& request);
  std::string seeds_answer(const std::string& question, const ClientRequest& request);
  bool ready() const;

  const ServerOptions& options_;
  GenerationOptions seeds_;
  ServerMetrics& metrics_;
  std::unique_ptr<const Service> opened_;
  std::atomic<const Service*> service_ = nullptr;
  std::atomic<bool> draining_ = false;
};

}  // namespace herd
