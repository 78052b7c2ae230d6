"""Asks herd's metrics by the program metrics_probe (metrics_probe.cpp)."""

import json
import subprocess

from herd_paths import BINARIES


def ask(requests):
    done = subprocess.run([BINARIES / "metrics_probe"], input="".join(json.dumps(request) + "\n" for request in requests), capture_output=True,
                          text=True, encoding="utf-8", check=True)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == len(requests), (len(replies), len(requests))
    for request, reply in zip(requests, replies):
        assert not (isinstance(reply, dict) and "error" in reply), (request, reply)
    return replies
