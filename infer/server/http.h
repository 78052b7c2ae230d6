#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace herd {

/// What a request says before its body.
struct HttpHead {
  std::string method, path;  ///< the path decoded, without what follows `?`
  std::string authorization, content_type, content_encoding;
  std::string body_bytes;    ///< as its Content-Length says; empty: it does not
};

struct ClientRequest {
  HttpHead head;
  std::string body;
  std::function<bool()> there;  ///< whether the client is; one that has closed its side of the connection has left
};

/// A body that grows. Destroyed when it is whole, or when the client has left.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  /// What can be sent now, waiting for it a little; empty: nothing yet. Nothing at all: that was the end.
  virtual std::optional<std::string> next() = 0;
};

struct HttpReply {
  int status = 200;
  std::string body{};
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};
  std::shared_ptr<HttpStream> stream{};  ///< in place of the body
};

/// What answers; called from many threads at once, and throws nothing.
class HttpService {
 public:
  virtual ~HttpService() = default;
  /// What can be refused by its head alone, so that its body is not read.
  virtual std::optional<HttpReply> refuse(const HttpHead& head) const = 0;
  virtual HttpReply answer(const ClientRequest& request) = 0;
  /// To a request that is none, or that no thread is left for.
  virtual HttpReply broken(int status) = 0;
  /// To one that an error came in between.
  virtual HttpReply failed(const std::exception& error) = 0;
};

}  // namespace herd
