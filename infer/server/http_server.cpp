// Over cpp-httplib, whose header stays in this file, connection.h and connection_threads.h: it accepts, parses and writes; who may stay and for how long is decided here.
#include "infer/server/http_server.h"

#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "infer/server/connection.h"
#include "infer/server/connection_threads.h"
#include "runtime/base/error.h"
#include "runtime/base/thread.h"

namespace herd {
namespace {

constexpr int kBacklog = 512;                    // httplib's 5 makes a crowd wait for a second and more
constexpr std::size_t kHeadBytes = 32768;        // of a request before its body
constexpr std::size_t kChunkedBytes = 4096;      // what a body in chunks may have besides its content
constexpr std::size_t kKeepAlive = 1000;         // requests a connection that clients are told they may send; nobody counts
constexpr std::size_t kSpareThreads = 8;         // that tell those who are too many

HttpHead head_of(const httplib::Request& request) {
  return {.method = request.method,
          .path = request.path,
          .authorization = request.get_header_value("Authorization"),
          .content_type = request.get_header_value("Content-Type"),
          .content_encoding = request.get_header_value("Content-Encoding"),
          .body_bytes = request.get_header_value("Content-Length")};
}

ClientRequest request_of(const httplib::Request& request) {
  return {.head = head_of(request), .body = "", .there = [&request] { return request.progress(0, 0); }};
}

// What a body's end cannot be told from: read on, its rest would be taken for the next request (RFC 9112, 6.3). @return the status that refuses it; none: all is well.
std::optional<int> framing_fault(const httplib::Request& request) {
  const auto lengths = request.get_header_value_count("Content-Length"), codings = request.get_header_value_count("Transfer-Encoding");
  const auto length = request.get_header_value("Content-Length");
  const auto spaced = [](const auto& header) { return header.first.find_first_of(" \t") != std::string::npos; };
  if (std::ranges::any_of(request.headers, spaced) || lengths + codings > 1) return 400;
  if (lengths == 1 && (length.empty() || length.find_first_not_of("0123456789") != std::string::npos)) return 400;
  if (codings == 1 && strcasecmp(request.get_header_value("Transfer-Encoding").c_str(), "chunked") != 0) return 501;
  if (request.method == "POST" && lengths + codings == 0) return 411;
  return std::nullopt;
}

// A body that nobody reads; and of one in chunks something may stay.
bool leaves_a_rest(const httplib::Request& request) {
  const bool body = request.get_header_value("Content-Length").find_first_not_of('0') != std::string::npos;
  return request.has_header("Transfer-Encoding") || (body && request.method != "POST");
}

void put(HttpReply reply, httplib::Response& response) {
  response.status = reply.status;
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  if (!reply.stream) return response.set_content(reply.body, reply.content_type);
  response.set_chunked_content_provider(reply.content_type, [stream = std::move(reply.stream)](std::size_t, httplib::DataSink& sink) mutable {
    if (!sink.is_writable()) return false;  // this httplib leaves that to us
    const auto text = stream->next();
    if (!text) sink.done();
    return !text || text->empty() || sink.write(text->data(), text->size());
  });
}

}  // namespace

class HttpServer::Impl final : public httplib::Server {
 public:
  Impl(const ServerOptions& options, HttpService& service);
  ~Impl() override;

  void start() {
    accepting_ = background_thread("accept", [this] {
      listen_after_bind();
      ended_ = true;
    });
  }
  bool listening() const { return !ended_; }
  std::size_t answering() const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(connections_, [](const auto* connection) { return !connection->reading; }));
  }

  int port = 0;

 private:
  bool process_and_close_socket(socket_t socket) override;
  void serve(Connection& connection);
  bool admit(Connection& connection);
  void prepare(httplib::Request& request, Connection& connection, bool& last) const;
  void read_and_answer(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read);
  void answer(const httplib::Request& request, const ClientRequest& whole, httplib::Response& response);

  const ServerOptions& options_;
  HttpService& service_;
  mutable std::mutex mutex_;
  std::set<Connection*> connections_;
  bool closing_ = false;
  std::atomic<bool> ended_ = false;
  std::thread accepting_;
};

HttpServer::Impl::Impl(const ServerOptions& options, HttpService& service) : options_(options), service_(service) {
  new_task_queue = [this] { return new ConnectionThreads(static_cast<std::size_t>(options_.most_connections()) + kSpareThreads); };
  set_keep_alive_timeout(static_cast<time_t>(std::ceil(options.idle_timeout_s)));  // what clients are told
  set_keep_alive_max_count(kKeepAlive);
  // Not httplib's SO_REUSEPORT, under which two servers share a port and nobody is told.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (const auto fault = framing_fault(request)) {
      put(service_.broken(*fault), response);
      return HandlerResponse::Handled;
    }
    if (request.method == "POST" && !service_.refuse(head_of(request))) return HandlerResponse::Unhandled;  // its body is wanted
    answer(request, request_of(request), response);
    return HandlerResponse::Handled;
  });
  Post(R"([\s\S]*)", [this](const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) { read_and_answer(request, response, read); });
  set_error_handler(HandlerWithResponse([this](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty()) put(service_.broken(response.status), response);  // httplib's own
    return HandlerResponse::Handled;
  }));
  set_exception_handler([this](const httplib::Request&, httplib::Response& response, const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      put(service_.failed(e), response);  // httplib's own would tell the client what it was
    }
  });
  errno = 0;
  port = options.port == 0 ? bind_to_any_port(options.host) : bind_to_port(options.host, options.port) ? options.port : -1;
  if (port < 0)
    throw IoError({.who = options.host + ":" + std::to_string(options.port), .found = errno ? std::strerror(errno) : "an address that cannot be listened to", .expected = "a free port of this machine", .remedy = "--host and --port say another; --port 0 takes any"});
  ::listen(svr_sock_, kBacklog);
}

HttpServer::Impl::~Impl() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
    for (const auto* connection : connections_) connection->break_off();
  }
  if (!accepting_.joinable()) return;
  while (!is_running() && !ended_) std::this_thread::yield();  // stop() would find nothing to stop
  stop();
  accepting_.join();
}

bool HttpServer::Impl::process_and_close_socket(socket_t socket) {
  Connection connection(socket, options_.read_timeout_s, options_.write_timeout_s);
  if (admit(connection)) {
    serve(connection);
    const std::scoped_lock lock(mutex_);
    connections_.erase(&connection);
  } else {
    const auto reply = service_.broken(503);
    connection.write_format("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", reply.body.size());
    connection.write(reply.body.data(), reply.body.size());
  }
  return true;
}

bool HttpServer::Impl::admit(Connection& connection) {
  const std::scoped_lock lock(mutex_);
  if (closing_) return false;
  if (std::ssize(connections_) >= options_.most_connections()) {
    const Connection* oldest = nullptr;
    for (const auto* other : connections_)
      if (other->reading && (!oldest || other->reading_since < oldest->reading_since)) oldest = other;
    if (!oldest) return false;
    oldest->break_off();  // its thread takes it out in a moment; until then there is one too many
  }
  connections_.insert(&connection);
  return true;
}

void HttpServer::Impl::serve(Connection& connection) {
  for (bool last = false; !last && connection.wait(options_.idle_timeout_s);) {
    connection.begin_request(kHeadBytes);
    last = true;  // unless a whole head is read: behind a broken one nobody knows where the next begins
    bool closed = false;
    const bool well = process_request(connection, false, closed, [&](httplib::Request& request) { prepare(request, connection, last); });
    connection.reading_since = Connection::Clock::now().time_since_epoch().count();
    connection.reading = true;
    last = last || closed || !well;
  }
}

// Once the head is read.
void HttpServer::Impl::prepare(httplib::Request& request, Connection& connection, bool& last) const {
  request.headers.erase("Accept-Encoding");  // tokens come in pieces too small to compress
  request.ranges.clear();
  // A field of httplib's clients; here it says whether ours is there.
  request.progress = [&connection](std::uint64_t, std::uint64_t) {
    connection.reading = false;
    return connection.there();
  };
  // What stays unread would be taken for the next request.
  last = framing_fault(request) || leaves_a_rest(request) || service_.refuse(head_of(request));
  if (last) {
    request.headers.erase("Connection");
    request.headers.emplace("Connection", "close");
  }
  connection.allow(static_cast<std::size_t>(options_.max_body_bytes) + kChunkedBytes);
}

void HttpServer::Impl::read_and_answer(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) {
  auto whole = request_of(request);
  const auto most = static_cast<std::size_t>(options_.max_body_bytes);
  bool fits = true;
  const bool well = read([&](const char* data, std::size_t size) {
    fits = whole.body.size() + size <= most;
    if (fits) whole.body.append(data, size);
    return fits;
  });
  if (well) answer(request, whole, response);
  else put(service_.broken(fits ? 400 : 413), response);
}

void HttpServer::Impl::answer(const httplib::Request& request, const ClientRequest& whole, httplib::Response& response) {
  request.progress(0, 0);  // from now on it is the client that waits
  put(service_.answer(whole), response);
}

HttpServer::HttpServer(const ServerOptions& options, HttpService& service) : impl_(std::make_unique<Impl>(options, service)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port; }
void HttpServer::start() { impl_->start(); }
bool HttpServer::listening() const { return impl_->listening(); }
std::size_t HttpServer::answering() const { return impl_->answering(); }

}  // namespace herd
