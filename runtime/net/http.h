#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// HTTP by libcurl, whose header stays in http.cpp.
namespace herd {

/// What became of a request that no server answered in full.
enum class HttpFailure {
  kNone,
  kNoConnection,  ///< no such host, nobody listens there, no connection within the time-out
  kBroken,        ///< silence for longer than the time-out, or a connection that ended in the middle: worth another try
  kRefused,       ///< a certificate that does not fit, a malformed address, too many redirects: another try changes nothing
};

struct HttpRequest {
  std::string url;
  bool head = false;                 ///< HEAD in place of GET
  std::optional<std::string> body{};  ///< POST of these bytes in place of GET; `headers` say what they are. With leave_host = false, not sent elsewhere
  std::vector<std::string> headers;  ///< `Name: value`
  std::string token;  ///< a bearer token: goes to the URL's own scheme, host and port, and never again once a redirect has led elsewhere
  bool leave_host = true;  ///< follow redirects to other hosts too; without it, such a redirect is the answer
  double timeout_s = 10;   ///< longest silence, also while connecting
};

struct HttpResponse {
  long status = 0;                             ///< of the last answer; 0 where there was none
  std::map<std::string, std::string> headers;  ///< its headers, names in lower case
  HttpFailure failure = HttpFailure::kNone;
  std::string why;  ///< of a failure, for people

  std::string header(const std::string& name) const;
  /// A header that is a number of bytes; nothing where it is missing or no number.
  std::optional<std::uint64_t> number(const std::string& name) const;
  bool good() const { return failure == HttpFailure::kNone && status >= 200 && status < 300; }
};

/// Keeps connections open from request to request. One thread at a time.
class Http {
 public:
  Http();
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  /// Follows up to ten redirects, from https never to http. `take` gets the body of a last answer of 2xx as it comes, with that answer's
  /// headers; what it throws ends the transfer and is thrown here. Bodies of other answers are dropped.
  /// @throws Error where libcurl cannot be set up.
  HttpResponse send(const HttpRequest& request, const std::function<void(const HttpResponse& head, std::string_view bytes)>& take = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// For a place in a URL: all but letters, digits and `-._~`, and what is in `keep`, as %XX.
std::string percent_encoded(std::string_view text, std::string_view keep = {});

}  // namespace herd
