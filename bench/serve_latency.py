#!/usr/bin/env python3
"""Time to the first token that a client of a warm `herd serve` sees, as a ratio to the bare reading of the same prompts by `herd generate`: what HTTP,
queue, threads and streaming add. Wanted: at most 1.2.

    bench/serve_latency.py [--dtype fp32 bf16] [--pairs 5] [--threads 2] [--shape 61m]

Runs in the test environment's Python (./check makes it). One client, one connection, prompts of 512 tokens of which no two begin alike, one after the other.
Each pair asks the server and runs generate, in alternating order, and has the median of the server's times and generate's mean; neither is loading or cold."""

import argparse
import http.client
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from make_work import VOCABULARY, make_work

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROMPTS, LENGTH = 8, 512
TOKEN = 1000  # what every answer is made to begin with: a byte of a character would show no text yet


class Server:
    """`herd serve` under way on a port of its own, once it is warm."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stderr:
            if found := re.search(r"listening on http://[\d.]+:(\d+)", line):
                self.port = int(found[1])
            if "serving" in line:
                break
        if self.process.poll() is not None or self.port is None:
            sys.exit("herd serve did not start")
        while not self.ready():
            time.sleep(0.05)
        self.client = http.client.HTTPConnection("127.0.0.1", self.port)

    def ready(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        client.request("GET", "/health")
        return client.getresponse().status == 200

    def first_token(self, prompt):
        """Seconds from the question to the first text of its stream."""
        body = json.dumps({"prompt": prompt, "max_tokens": 1, "temperature": 0, "stream": True, "logit_bias": {str(TOKEN): 100}})
        began = time.perf_counter()
        self.client.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        reply = self.client.getresponse()
        event = reply.readline()
        seconds = time.perf_counter() - began
        if reply.status != 200 or json.loads(event.removeprefix(b"data: "))["choices"][0]["text"] != f"<{TOKEN}>":
            sys.exit(f"{reply.status}: {event!r}")
        reply.read()
        return seconds

    def close(self):
        self.process.terminate()
        self.process.communicate()


class Bench:
    def __init__(self, options):
        self.o = options
        self.folder = pathlib.Path(tempfile.gettempdir()) / "herd-bench"
        self.model, _ = make_work(self.folder, options.shape, 1, 8)
        self.draw = random.Random(3)

    def prompts(self):
        return ["".join(f"<{self.draw.randrange(300, VOCABULARY)}>" for _ in range(LENGTH)) for _ in range(PROMPTS)]

    def arguments(self, command, dtype):
        return [self.o.herd, command, "--model", self.model, "--dtype", dtype, "--threads", str(self.o.threads)]

    def bare(self, prompts, dtype):
        """Seconds to the first token of a prompt in a process that is warm: what all take beyond the first alone."""
        return (self.generate(prompts, dtype) - self.generate(prompts[:1], dtype)) / (len(prompts) - 1)

    def generate(self, prompts, dtype):
        file = self.folder / "latency.jsonl"
        file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        done = subprocess.run([*self.arguments("generate", dtype), "--file", file, "--output", self.folder / "answers.jsonl", "--max-new-tokens", "1", "--batch-size", "1",
                               "--logit-bias", f"{TOKEN}=100"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return float(re.search(r"tokens in ([\d.]+) s", done.stderr)[1])

    def run(self):
        for dtype in self.o.dtype:
            server = Server([*self.arguments("serve", dtype), "--port", "0", "--idle-timeout", "600"])
            try:
                for prompt in self.prompts():
                    server.first_token(prompt)
                pairs = []
                for pair in range(self.o.pairs):
                    prompts = self.prompts()  # what was asked before may be kept
                    sides = {"served": lambda: statistics.median(map(server.first_token, prompts)), "bare": lambda: self.bare(prompts, dtype)}
                    done = {side: sides[side]() for side in (sides if pair % 2 == 0 else reversed(sides))}
                    pairs.append((done["served"], done["bare"]))
            finally:
                server.close()
            served, bare = (statistics.median(column) for column in zip(*pairs))
            print(f"{dtype}, {LENGTH} tokens: first token served after {served * 1000:.0f} ms, read bare in {bare * 1000:.0f}; ratio {statistics.median(a / b for a, b in pairs):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd")
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", default="61m")
    Bench(parser.parse_args()).run()


if __name__ == "__main__":
    main()
