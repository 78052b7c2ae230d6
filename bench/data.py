#!/usr/bin/env python3
"""Records to tokenised, masked and packed rows: herd against datasets.map(batched=True, num_proc=2) with transformers' fast tokenizer, on the same files.

    bench/data.py BUILD [--pairs 5] [--times 20] [--tokenizer llama|qwen2|gpt2] [--warm RECORDS]

BUILD is the folder of a build with bin/bench_data. The records are the assets' Alpaca sets (English and Chinese) and Chain-of-Thought sets, --times over with a number
put behind each, so that no two are alike. Pairs alternate; medians are printed. Both read the same JSON file, write the same template, mark the
answer with its end, and pack rows of 512: herd by best fit, the peer by what its users do, first fit in order. --warm times herd's own cache instead."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
ASSETS = pathlib.Path(__file__).resolve().parents[2] / "shared/assets"
FILES = ["instructions/alpaca_en_demo.json", "instructions/alpaca_zh_demo.json", "cot-formatted/aqua_train.json", "cot-formatted/creak_train.json",
         "cot-formatted/strategyqa_train.json"]
LONGEST = 512
WITH_INPUT = ("Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request."
              "\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:")
WITHOUT = ("Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}"
           "\n\n### Response:")


def write_records(path, times):
    records = [record for file in FILES for record in json.load(open(ASSETS / "data" / file))]
    with open(path, "w") as out:
        for copy in range(times):
            for record in records:
                record = {key: record[key] for key in ("instruction", "input", "output")}
                record["instruction"] += f" ({copy})"
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return times * len(records)


def peer(path, tokenizer_folder):
    """What a training script does before its first step."""
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_caching()
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, use_fast=True)
    eos = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.convert_tokens_to_ids("<|endoftext|>")

    def prepare(batch):
        prompts = [(WITH_INPUT if i else WITHOUT).format(instruction=q, input=i) for q, i in zip(batch["instruction"], batch["input"])]
        wholes = tokenizer([p + " " + a for p, a in zip(prompts, batch["output"])])["input_ids"]
        lengths = [len(ids) for ids in tokenizer(prompts)["input_ids"]]
        ids = [(whole + [eos])[:LONGEST] for whole in wholes]
        return {"input_ids": ids, "labels": [([-100] * n + row[n:])[:LONGEST] for n, row in zip(lengths, ids)]}

    def pack(batch):
        rows, labels = [], []
        for ids, marks in zip(batch["input_ids"], batch["labels"]):
            if not rows or len(rows[-1]) + len(ids) > LONGEST:
                rows.append([])
                labels.append([])
            rows[-1] += ids
            labels[-1] += marks
        return {"input_ids": rows, "labels": labels}

    start = time.perf_counter()
    data = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=tempfile.mkdtemp(dir=path.parent))
    data = data.map(prepare, batched=True, num_proc=2, remove_columns=data.column_names)
    packed = data.map(pack, batched=True, num_proc=2)
    _ = packed[:4]
    seconds = time.perf_counter() - start
    tokens = sum(len(ids) for ids in packed["input_ids"])
    return {"seconds": seconds, "rows": len(packed), "full": tokens / (len(packed) * LONGEST), "tokens": tokens}


def herd(build, tokenizer, path, cache="off"):
    done = subprocess.run([build / "bin/bench_data", tokenizer, str(LONGEST), cache, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--tokenizer", default="llama")
    parser.add_argument("--warm", type=int, metavar="RECORDS", help="only: how long after its start herd has a first batch of so many records, from its cache")
    parser.add_argument("--peer", type=pathlib.Path, help=argparse.SUPPRESS)
    o = parser.parse_args()
    tokenizer = ASSETS / "tokenizers" / o.tokenizer
    if o.peer:
        return print(json.dumps(peer(o.peer, tokenizer)))
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "records.jsonl"
        if o.warm:
            count = write_records(path, -(-o.warm // 13703))
            cold = herd(o.build, tokenizer, path, scratch + "/cache")
            warm = [herd(o.build, tokenizer, path, scratch + "/cache") for _ in range(o.pairs)]
            assert all(run["cached"] for run in warm)
            times = sorted(run["first_batch_s"] for run in warm)
            return print(f"{count:,} records, {path.stat().st_size / 1e6:.0f} MB, {cold['tokens']:,} tokens: made in {cold['dataset_s']:.1f} s; warm, the first batch after "
                         f"{statistics.median(times):.2f} s ({times[0]:.2f} to {times[-1]:.2f})")
        count = write_records(path, o.times)
        ours, theirs = [], []
        for pair in range(o.pairs):
            ours.append(herd(o.build, tokenizer, path))
            done = subprocess.run([sys.executable, __file__, str(o.build), "--peer", str(path), "--tokenizer", o.tokenizer], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            theirs.append(json.loads(done.stdout.splitlines()[-1]))
        ratios = sorted(t["seconds"] / a["first_batch_s"] for a, t in zip(ours, theirs))
        a, t = statistics.median(r["first_batch_s"] for r in ours), statistics.median(r["seconds"] for r in theirs)
        print(f"{count:,} records, tokenizer {o.tokenizer}, {o.pairs} pairs")
        print(f"herd   {count / a:10,.0f} records/s, {ours[0]['tokens'] / a / 1e6:.2f} M tokens/s, rows {100 * ours[0]['full']:.1f} % full")
        print(f"peer   {count / t:10,.0f} records/s, {theirs[0]['tokens'] / t / 1e6:.2f} M tokens/s, rows {100 * theirs[0]['full']:.1f} % full")
        print(f"ratio  {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


main()
