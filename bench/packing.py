#!/usr/bin/env python3
"""What packing costs: training steps whose rows hold several records against steps of as many plain rows, each one record as long as a row.

    bench/packing.py [--lengths 64 128 mixed] [--rows 8] [--tokens 512] [--pairs 5] [--threads 2]

Both sides count the same tokens and learn all of them; they differ in where attention ends. Each pair runs both once, in alternating
order; the ratio of the times a step is the median over pairs. At most 1.1 is wanted. Mixed: records of 16 to 512 tokens, cut where a row ends.
"""
import argparse
import json
import os
import pathlib
import platform
import random
import statistics
import tempfile

from make_work import SHAPES, VOCABULARY
from train import ROOT, WARM_UP, Bench

# The template's two halves as one token each, so that a record can be short; the last two of make_work's words give their ids.
PROMPT = ["Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n", "\n\n### Response:"]
AROUND = len(PROMPT) + 3  # tokens of a record besides its words: the template, the instruction's one byte, the answer's space, the end


def shorten_template(model):
    path = model / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for entry, text in zip(tokenizer["added_tokens"][-len(PROMPT):], PROMPT):
        entry["content"] = text
    path.write_text(json.dumps(tokenizer))


def record(tokens, draw):
    words = (f"<{draw.randrange(300, VOCABULARY - len(PROMPT))}>" for _ in range(tokens - AROUND))
    return {"instruction": "?", "input": "", "output": "".join(words)}


def fill(rows, tokens, lengths, draw):
    """Records that fill so many rows exactly, row by row."""
    out = []
    for _ in range(rows):
        left = tokens
        while left:
            wanted = int(16 * 32 ** draw.random()) if lengths == "mixed" else int(lengths)
            length = left if left - wanted < 16 else wanted
            out.append(record(length, draw))
            left -= length
    return out


class Packing(Bench):
    def __init__(self, options):
        options.folder = pathlib.Path(options.folder or tempfile.gettempdir()) / "packing"  # its tokenizer is not that of train.py's work
        super().__init__(options)
        shorten_template(self.model)

    def overrides(self, run, packing=False, **work):
        return [*super().overrides(run, **work), f"data.packing={str(packing).lower()}"]

    def write(self, name, records):
        self.records = self.folder / f"{name}.json"
        self.records.write_text(json.dumps(records))

    def seconds_a_step(self, name, records, packing):
        """Also the rows' fill, so that both sides can be seen to have done the same work."""
        o = self.o
        self.write(name, records)
        process = self.start_herd(name, dtype=o.dtype, method=o.method, threads=o.threads, rows=o.rows, micro_rows=o.micro_rows or o.rows, packing=packing)
        lines, _ = self.finish_herd(process, name)
        fills = [b["tokens"] - a["tokens"] for a, b in zip(lines, lines[1:])]
        return statistics.median(f / line["tokens_per_s"] for f, line in zip(fills[WARM_UP - 1:], lines[WARM_UP:])), sum(fills) / len(fills) / o.rows / o.tokens

    def compare(self, lengths):
        o, draw, ratios = self.o, random.Random(1), []
        rows = o.rows * o.steps
        sides = {"plain": (fill(rows, o.tokens, o.tokens, draw), False), "packed": (fill(rows, o.tokens, lengths, draw), True)}
        for pair in range(o.pairs):
            done = {name: self.seconds_a_step(name, *sides[name]) for name in (sides if pair % 2 == 0 else reversed(sides))}
            ratios.append(done["packed"][0] / done["plain"][0])
            print(f"  pair {pair + 1}: plain {done['plain'][0]:.3f} s a step ({done['plain'][1]:.1%} full), "
                  f"packed {done['packed'][0]:.3f} s ({done['packed'][1]:.1%} full); {ratios[-1]:.3f} x", flush=True)
        print(f"{o.shape} {o.dtype} {o.method}, {o.rows} x {o.tokens}, records of {lengths}: {len(sides['packed'][0]) / rows:.1f} a row; "
              f"packed costs {statistics.median(ratios):.3f} times plain")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="+", default=["64", "128", "mixed"], help="tokens of a record, or mixed")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--method", choices=["lora", "none"], default="lora")
    parser.add_argument("--shape", choices=SHAPES, default="61m")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--micro-rows", type=int, help="rows at once; default: all")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd", type=pathlib.Path)
    parser.add_argument("--folder", help="where the work and the runs lie")
    o = parser.parse_args()
    bench = Packing(o)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for lengths in o.lengths:
        bench.compare(lengths)


if __name__ == "__main__":
    main()
