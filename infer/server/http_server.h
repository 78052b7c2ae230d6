#pragma once
#include <memory>

#include "infer/server/http.h"
#include "infer/server/server_options.h"

namespace herd {

/// HTTP/1.1 over TCP for a service, a thread a connection. Where all are taken, one whose client owes a request for longest gives its place to a newcomer;
/// where each waits for an answer, the newcomer is refused with 503.
class HttpServer {
 public:
  /// Takes the address; nobody is answered yet. @param options, service outlive this. @throws IoError where the address is taken or not this machine's.
  HttpServer(const ServerOptions& options, HttpService& service);
  /// Breaks off what is under way.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  void start();
  /// False where the machine has taken the address away: nobody is let in any more.
  bool listening() const;
  /// Connections on which an answer is under way.
  std::size_t answering() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace herd
