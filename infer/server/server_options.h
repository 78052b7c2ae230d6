#pragma once
#include <cstdint>
#include <string>

namespace herd {

/// Whom a server listens to, and how much of it.
struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;                     ///< 0: any that is free
  std::string api_key;                 ///< empty: none is asked for
  std::int64_t queue = 32;             ///< requests that may wait for their turn
  std::int64_t connections = 0;        ///< at once; 0: four times the queue and 128 more
  std::int64_t max_body_bytes = 4 << 20;
  std::int64_t max_texts = 128;        ///< prompts times answers of one request
  double read_timeout_s = 15;          ///< for a whole request to come
  double idle_timeout_s = 5;           ///< between two requests of a connection
  double write_timeout_s = 15;         ///< for a client to take what is sent, a MiB at most
  double request_timeout_s = 600;      ///< for a whole answer
  double stall_s = 60;                 ///< a step of the engine that takes longer is a stall

  std::int64_t most_connections() const { return connections ? connections : 4 * queue + 128; }
  /// @throws ConfigError; also for a host beyond this machine without a key.
  void validate() const;
};

}  // namespace herd
