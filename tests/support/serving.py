"""Starts `herd serve` on a small model, and talks to it: as a well-behaved client, and as others."""

import http.client
import json
import os
import pathlib
import re
import socket
import threading
import time

from herd_run import PATIENCE, SMALL, Job, start

# Random weights wide enough that other prompts get other answers, and a context that takes a while to fill.
WIDE = {**SMALL, "initializer_range": 0.4, "max_position_embeddings": 4096}
EOS = "<|eos|>"


class ServedJob(Job):
    """A model `base` and adapters `pirate` and `poet` on it, each of which answers in its own way."""

    def __init__(self):
        super().__init__()
        shape = ", ".join(f"{key}: {value}" for key, value in WIDE.items())
        self.take_model(f"family: llama, tokenizer: {self.folder}/tokenizer, config: {{{shape}}}")
        self._train("base", "train.learning_rate=1e-9")
        self.model = self.run_folder("base") / "model"
        self.take_model(f"path: {self.model}")
        for rate, name in enumerate(("pirate", "poet"), 1):
            self._train(name, "peft.method=lora", f"train.learning_rate={0.03 * rate}")
        self.adapters = [f"{name}={self.run_folder(name)}/adapter" for name in ("pirate", "poet")]
        tokens = {token["content"]: token["id"] for token in json.loads((self.folder / "tokenizer/tokenizer.json").read_text())["added_tokens"]}
        self.eos = tokens[EOS]
        self.endless = {"max_tokens": 4000, "temperature": 0, "logit_bias": {str(id): -100 for id in tokens.values()}}

    def _train(self, name, *overrides):
        done = self.train(name, "train.max_steps=4", "train.warmup=0", *overrides, ranks=0)
        assert done.code == 0, done

    def served_arguments(self):
        return ["--model", self.model, "--threads", "1", *(word for adapter in self.adapters for word in ("--adapter", adapter))]


class Serving:
    """A server under way, until close()."""

    def __init__(self, job, *arguments, ready=True, **environment):
        self.started = start("serve", *job.served_arguments(), "--port", "0", *arguments, **environment)
        self.pid = self.started.process.pid
        self.port = int(self.wait_for(lambda: re.search(r"listening on http://[^:]+:(\d+)", self.log())).group(1))
        if ready:
            self.wait_for(lambda: self.get("/health")[0] == 200)

    def wait_for(self, what, timeout=30):
        end = time.monotonic() + timeout * PATIENCE
        while True:
            if found := what():
                return found
            if time.monotonic() > end or self.started.process.poll() is not None:
                raise TimeoutError(self.log())
            time.sleep(0.02)

    def log(self):
        return os.pread(self.started.log.fileno(), 1 << 20, 0).decode()

    def signal(self, number):
        os.kill(self.pid, number)

    def close(self):
        if self.started.process.poll() is None:
            self.started.process.kill()
        self.started.process.wait()
        self.started.log.close()

    def request(self, method, path, body=None, timeout=60, **headers):
        """@return status, headers, body as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            if body is not None and "Content_Type" not in headers:
                headers["Content_Type"] = "application/json"
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def get(self, path, **headers):
        status, _, body = self.request("GET", path, **headers)
        return status, json.loads(body) if body.startswith(b"{") else body.decode()

    def post(self, path, body, **headers):
        status, _, reply = self.request("POST", path, body, **headers)
        return status, json.loads(reply) if reply.startswith(b"{") else reply.decode()

    def metric(self, name):
        text = self.get("/metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        family, brace, _ = name.partition("{")
        known = brace and re.search(rf"^# TYPE {re.escape(family)} ", text, re.MULTILINE)  # a series of it may not have begun
        assert found or known, f"no metric {name}"
        return float(found.group(1)) if found else 0

    def wait_for_metric(self, name, value, timeout=10):
        self.wait_for(lambda: self.metric(name) == value, timeout)

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30 * PATIENCE)

    def send(self, body, path="/v1/completions"):
        """A request on a socket of one's own, whose answer nobody has read."""
        connection = self.socket()
        content = json.dumps(body).encode()
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        return connection

    def resident(self):
        """Bytes."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.pid}/status").read_text()).group(1)) * 1024


def events(body):
    """The data of server-sent events, which must be nothing else."""
    *parts, rest = body.decode().split("\n\n")
    assert rest == "", rest
    assert all(part.startswith("data: ") for part in parts), parts
    return [part.removeprefix("data: ") for part in parts]


def at_once(count, what):
    """what(0), what(1), … each in a thread, all at the same time. @return their results, in order."""
    results = [None] * count
    gate = threading.Barrier(count)

    def run(i):
        gate.wait()
        try:
            results[i] = what(i)
        except Exception as error:  # told by whoever looks at the results
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
