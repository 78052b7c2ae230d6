"""An OpenAI-compatible service for tests: says what a function of the prompt says, or answers with a status."""

import http.server
import json
import sys
import threading


class StubJudge:
    """@param reply of (prompt, how many times it came before): a text, a status, a whole completion as a dict, or bytes, a whole body; SILENCE hangs up without a word."""

    SILENCE = object()

    def __init__(self, reply):
        self.reply, self.prompts, self.headers, self.bodies = reply, [], [], []
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][-1]["content"]
                said = stub.reply(prompt, stub.prompts.count(prompt)) if self.path == "/v1/chat/completions" else 404
                stub.prompts.append(prompt)
                stub.headers.append(dict(self.headers))
                stub.bodies.append(body)
                if said is StubJudge.SILENCE:
                    self.close_connection = True
                    return
                if isinstance(said, str):
                    said = {"choices": [{"message": {"role": "assistant", "content": said}}]}
                content = said if isinstance(said, bytes) else json.dumps(said if isinstance(said, dict) else {}).encode()
                self.send_response(said if isinstance(said, int) else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *which):
                if not isinstance(sys.exc_info()[1], ConnectionError):  # who asked was killed meanwhile
                    super().handle_error(*which)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
