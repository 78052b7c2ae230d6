#!/usr/bin/env python3
"""Tokenising real text: herd against Hugging Face tokenizers, and for SentencePiece models against the library, in one run, on one core.

    bench/tokenizer_speed.py BUILD [--pairs 7]     # BUILD: the folder of a build, with bin/tokenizer_probe

The text is the assets' records, English and Chinese; pairs alternate, medians are printed. Both sides encode one text after the other."""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/support"))

from tokenizer_oracles import ASSETS, Library, Probe, Tokenizer, all_records

VOCABULARIES = {  # name: files, wanted ratio
    "gpt2": (["gpt2/tokenizer.json"], 2.0),
    "qwen2": (["qwen2/tokenizer.json"], 2.0),
    "llama, tokenizer.json": (["llama/tokenizer.json"], 1.3),
    "llama, tokenizer.model": (["llama/tokenizer.model"], 1.3),
    "internlm, tokenizer.model": (["internlm/tokenizer.model"], None),
    "baichuan2, tokenizer.model": (["baichuan2/tokenizer.model"], None),
}


def peers_of(folder, name):
    """What is timed beside herd: LLaMA's tokenizer.model against both, as its tokenizer.json is the same vocabulary."""
    peers = {}
    hugging_face = ASSETS / "tokenizers/llama/tokenizer.json" if name.startswith("llama") else folder / "tokenizer.json"
    if hugging_face.exists():
        tokenizer = Tokenizer.from_file(str(hugging_face))
        peers["tokenizers"] = lambda texts: [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    if (folder / "tokenizer.model").exists():
        library = Library(folder / "tokenizer.model")
        peers["sentencepiece"] = library.encode
    return peers


def measure(probe, name, files, wanted, texts, pairs):
    size = sum(len(text.encode()) for text in texts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for file in files:
            (folder / pathlib.Path(file).name).symlink_to(ASSETS / "tokenizers" / file)
        probe.ask(folder=str(folder))
        for peer, encode in peers_of(folder, name).items():
            rounds = []
            for pair in range(pairs + 1):  # the first warms up
                ours = probe.ask(time=texts)["seconds"] if pair % 2 else None
                start = time.perf_counter()
                encode(texts)
                theirs = time.perf_counter() - start
                rounds.append((size / (ours or probe.ask(time=texts)["seconds"]) / 1e6, size / theirs / 1e6))
            ours, theirs = (statistics.median(side) for side in zip(*rounds[1:]))
            ratios = sorted(a / b for a, b in rounds[1:])
            goal = f", wanted {wanted}" if wanted and peer == "tokenizers" else ""
            print(f"{name}: herd {ours:.1f} MB/s, {peer} {theirs:.2f} MB/s, ratio {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}){goal}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the probe inherits it
    probe = Probe(options.build / "bin")
    texts = all_records()
    print(f"{len(texts)} texts, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB", flush=True)
    for name, (files, wanted) in VOCABULARIES.items():
        measure(probe, name, files, wanted, texts, options.pairs)


if __name__ == "__main__":
    main()
