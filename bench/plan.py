#!/usr/bin/env python3
"""How long `herd plan` takes for LLaMA 65B, and how much memory: at most 2 s is wanted.

    bench/plan.py [--herd build/release/bin/herd] [--times 5]

Three questions: a job that fits, one that fits after one change, and one for which strategies and ranks have to be tried.
"""
import argparse
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECIPE = """
model: {family: llama, dtype: bf16, config: {hidden_size: 8192, intermediate_size: 22016, num_hidden_layers: 80, num_attention_heads: 64,
                                             vocab_size: 32000, max_position_embeddings: 2048}}
data: {max_tokens: 2048}
train: {global_batch_size: 512, micro_batch_size: 2, activation_checkpointing: full}
"""
QUESTIONS = {
    "zero3 on 64": ["--ranks", "64", "--nodes", "8", "parallel.strategy=zero3"],
    "zero3 on 16": ["--ranks", "16", "--nodes", "2", "parallel.strategy=zero3"],
    "ddp on 8": ["--ranks", "8", "parallel.strategy=ddp", "train.activation_checkpointing=none"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = pathlib.Path(folder) / "recipe.yaml"
        recipe.write_text(RECIPE)
        for name, question in QUESTIONS.items():
            seconds = []
            for _ in range(arguments.times):
                began = time.perf_counter()
                subprocess.run([arguments.herd, "plan", recipe, "--memory", "80GiB", *question], check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - began)
            print(f"{name:12} median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"at most {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB resident")


if __name__ == "__main__":
    main()
