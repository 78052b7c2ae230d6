#!/usr/bin/env python3
"""Tokens a second of herd and of transformers' generate on the same small LLaMA, in turn, on this machine's CPU: decoding one text, decoding sixteen
side by side, and reading a prompt.

    bench/generate.py [--dtype fp32 bf16] [--pairs 5] [--threads 2] [--shape 61m]

Runs in the test environment's Python (./check makes it). Each pair runs both sides once, in alternating order; medians are printed, and what memory
alone would allow: a token needs all weights once, whatever else is done. Both greedy, both in-process times without loading."""

import argparse
import json
import math
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
# Name: texts, tokens of a prompt, new tokens.
WORK = {"decode 1": (1, 8, 128), "decode 16": (16, 8, 128), "prefill": (1, 1024, 1)}


class Bench:
    def __init__(self, options):
        self.o = options
        self.folder = pathlib.Path(tempfile.gettempdir()) / "herd-bench"
        self.model, _ = make_work(self.folder, options.shape, 1, 8)
        self.peers = {}
        draw = random.Random(2)
        self.prompts = {name: [[draw.randrange(300, VOCABULARY) for _ in range(length)] for _ in range(texts)] for name, (texts, length, _) in WORK.items()}

    def herd(self, name, dtype):
        texts, length, new = WORK[name]
        file = self.folder / "prompts.jsonl"
        file.write_text("".join(json.dumps({"prompt": "".join(f"<{i}>" for i in ids)}) + "\n" for ids in self.prompts[name]))
        done = subprocess.run([self.o.herd, "generate", "--model", self.model, "--file", file, "--output", self.folder / "answers.jsonl", "--max-new-tokens", str(new),
                               "--min-new-tokens", str(new), "--batch-size", str(texts), "--dtype", dtype, "--threads", str(self.o.threads)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return self.rate(name, float(re.search(r"tokens in ([\d.]+) s", done.stderr)[1]))

    def peer(self, name, dtype):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(self.o.threads)
        if dtype not in self.peers:
            self.peers[dtype] = AutoModelForCausalLM.from_pretrained(self.model, dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
        _, _, new = WORK[name]
        ids = torch.tensor(self.prompts[name])
        run = lambda tokens: self.peers[dtype].generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0)
        run(1)
        began = time.perf_counter()
        run(new)
        return self.rate(name, time.perf_counter() - began)

    def rate(self, name, seconds):
        texts, length, new = WORK[name]
        return texts * (length if name == "prefill" else new) / seconds

    def bandwidth(self):
        """Bytes a second that this machine's cores read from memory, in gigabytes."""
        import torch

        torch.set_num_threads(self.o.threads)
        numbers = torch.ones(1 << 28)
        best = 0
        for _ in range(5):
            began = time.perf_counter()
            numbers.sum()
            best = max(best, numbers.numel() * 4 / (time.perf_counter() - began))
        return best / 1e9

    def run(self):
        weights = {dtype: bytes_of(self.model, dtype) for dtype in self.o.dtype}
        for dtype in self.o.dtype:
            for name, (texts, _, _) in WORK.items():
                pairs = []
                for pair in range(self.o.pairs):
                    sides = ["herd", "peer"] if pair % 2 == 0 else ["peer", "herd"]
                    done = {side: getattr(self, side)(name, dtype) for side in sides}
                    pairs.append((done["herd"], done["peer"]))
                ours, theirs = (statistics.median(column) for column in zip(*pairs))
                line = f"{dtype} {name}: herd {ours:.0f} tok/s, transformers {theirs:.0f}; ratio {statistics.median(a / b for a, b in pairs):.2f}"
                if name != "prefill":
                    bound = self.bandwidth() * 1e9 / weights[dtype] * texts
                    line += f"; {ours / bound:.2f} of what reading the weights once a step allows ({bound:.0f})"
                print(line, flush=True)


def bytes_of(model, dtype):
    from safetensors import safe_open

    with safe_open(pathlib.Path(model) / "model.safetensors", "pt") as file:
        numbers = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
    return numbers * {"fp32": 4, "bf16": 2}[dtype]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd")
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", default="61m")
    Bench(parser.parse_args()).run()


if __name__ == "__main__":
    main()
