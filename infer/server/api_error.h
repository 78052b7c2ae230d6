#pragma once
#include <exception>
#include <string>

namespace herd {

/// What a client is told in place of an answer. Its body is OpenAI's: {"error": {message, type, param, code}}.
class ApiError : public std::exception {
 public:
  /// @param param the field that is wrong; empty: none. @param code a word for programs; empty: none.
  ApiError(int status, std::string message, std::string param = "", std::string code = "");
  /// `found` where `expected` belongs, in a field of the request: status 400.
  static ApiError field(const std::string& param, const std::string& found, const std::string& expected);

  const char* what() const noexcept override { return message_.c_str(); }
  int status() const { return status_; }
  std::string json() const;

 private:
  int status_;
  std::string message_, param_, code_;
};

/// An error from below as a client's: of its prompt or options (DataError, ConfigError) status 400, else internal_error().
ApiError api_error(const std::exception& error);
/// Status 500, and nothing but a number under which the log has the rest: paths and traces are not a client's.
ApiError internal_error(const std::exception& error);

}  // namespace herd
