#include "launch/serve_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace herd {

void ServeOptions::validate() {
  if (const auto* key = std::getenv("HERD_API_KEY"); key && server.api_key.empty()) server.api_key = key;
  speaker.validate();
  sampling.validate();
  engine.validate();
  server.validate();
}

void declare(CLI::App& app, ServeOptions& o) {
  declare(app, o.speaker);
  app.add_option("--name", o.name, "what clients call the base; default: its folder's name, or its hub id");
  app.add_option("--host", o.server.host, "address to listen on; another than this machine's own needs a key")->capture_default_str();
  app.add_option("--port", o.server.port, "0: any that is free")->capture_default_str();
  app.add_option("--api-key", o.server.api_key, "what clients must send as Authorization: Bearer KEY; better by the environment, as HERD_API_KEY");
  app.add_option("--batch-size", o.engine.batch_size, "texts that grow side by side")->capture_default_str();
  app.add_option("--prefill-chunk", o.engine.prefill_chunk, "tokens of prompts that are read between two new tokens of the texts that grow already")->capture_default_str();
  app.add_option("--kept-texts", o.engine.kept_texts, "ended texts whose keys and values are kept for prompts that begin like them, as a chat's next turn does")->capture_default_str();
  app.add_option("--queue", o.server.queue, "requests that may wait; one more is refused with 429")->capture_default_str();
  app.add_option("--connections", o.server.connections, "at once; 0: four times the queue and 128 more")->capture_default_str();
  app.add_option("--max-body-bytes", o.server.max_body_bytes, "largest body of a request")->capture_default_str();
  app.add_option("--max-texts", o.server.max_texts, "most answers to one request: its prompts times n")->capture_default_str();
  app.add_option("--read-timeout", o.server.read_timeout_s, "seconds for a whole request to come")->capture_default_str();
  app.add_option("--idle-timeout", o.server.idle_timeout_s, "seconds between two requests of a connection")->capture_default_str();
  app.add_option("--write-timeout", o.server.write_timeout_s, "seconds for a client to take what is sent of its answer, a MiB at most")->capture_default_str();
  app.add_option("--request-timeout", o.server.request_timeout_s, "seconds for a whole answer")->capture_default_str();
  app.add_option("--stall", o.server.stall_s, "seconds of one step of the engine after which /health says that it stalls")->capture_default_str();
  declare(app, o.sampling);
}

}  // namespace herd
