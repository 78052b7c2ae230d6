#!/usr/bin/env python3
"""Each PEFT method from its recipe in configs/peft: what it trains, needs and learns, as lines of a table.

    bench/methods.py                      speed and memory: the 61M LLaMA of bench/train.py, batch 4 x 256, in rounds; ratios to LoRA's
    bench/methods.py --learn [--steps N]  a real checkpoint on a Chain-of-Thought set: held-out loss before and after, and its fall below the
                                          checkpoint's by LoRA's
    bench/methods.py --learn --only prefix prompt

Runs in the test environment's Python, like bench/train.py; --learn reads the assets beside the checkout.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from make_work import make_work
from train import ROOT, WARM_UP, wait_for

ASSETS = pathlib.Path(os.environ.get("HERD_ASSETS", ROOT.parent / "shared/assets"))
# Recipes of configs/peft, and what has none of its own. A model of under a million parameters takes more than the recipes' learning rates.
METHODS = {
    "lora": (["peft/lora"], []),
    "lora, DoRA": (["peft/dora"], []),
    "lora on nf4": (["peft/lora", "quantization/nf4"], []),
    "lora on int8": (["peft/lora", "quantization/int8"], []),
    "adalora": (["peft/adalora"], []),
    "prompt": (["peft/prompt"], []),
    "p_tuning": (["peft/p_tuning"], []),
    "prefix": (["peft/prefix"], []),
    "ia3": (["peft/ia3"], []),
    "adapter_h": (["peft/adapter_h"], []),
    "adapter_p": (["peft/adapter_p"], []),
    "adapter_parallel": (["peft/adapter_parallel"], []),
    "freeze": ([], ["peft.method=freeze", "peft.trainable_blocks=1"]),
    "none": ([], ["peft.method=none"]),
}
MERGES = {"lora": "a matrix", "lora, DoRA": "a matrix", "lora on nf4": "a matrix", "lora on int8": "a matrix", "adalora": "a matrix", "ia3": "factors of matrices",
          "freeze": "the model itself", "none": "the model itself"}


class Bench:
    def __init__(self, options, folder):
        self.o, self.folder = options, folder

    def run(self, name, work):
        """(lines of metrics.jsonl, peak bytes of the process, trainable parameters) of one method on one work."""
        includes, overrides = METHODS[name]
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(f"include: [{', '.join(includes)}]\n" if includes else "train: {}\n")
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        log = self.folder / "run.log"
        process = subprocess.Popen([str(self.o.herd), "train", str(recipe), f"run.folder={self.folder}", "run.name=run", f"model.threads={self.o.threads}",
                                    "checkpoint.every=never", "checkpoint.save_best=false", "run.tensorboard=false", "run.plot=false", *work, *overrides],
                                   stdout=subprocess.DEVNULL, stderr=log.open("w"), env={**os.environ, "OMP_NUM_THREADS": str(self.o.threads)})
        code, peak = wait_for(process)
        if code != 0:
            sys.exit(f"error: {name} ended with {code}\n{log.read_text()}")
        lines = [json.loads(line) for line in (self.folder / "run/metrics.jsonl").read_text().splitlines()]
        trained = re.search(r"([\d,]+) parameters, ([\d,]+|all)", (self.folder / "run/log.txt").read_text())
        return lines, peak, int(trained[1 if trained[2] == "all" else 2].replace(",", ""))

    def speed(self, names):
        model, records = make_work(self.folder, "61m", 4 * 10, 256)
        work = [f"model.path={model}", f"data.sets=[{records}]", "data.max_tokens=256", "data.train_on=all", "train.max_steps=10", "train.epochs=100",
                "train.global_batch_size=4", "train.micro_batch_size=4", "train.warmup=0", "peft.tinit=2", "peft.tfinal=2", "peft.delta_t=1"]
        rounds = []
        for i in range(self.o.rounds):
            rounds.append({})
            for name in names if i % 2 == 0 else names[::-1]:
                lines, peak, trainable = self.run(name, self.fitting(name, work))
                rounds[-1][name] = statistics.median(line["tokens_per_s"] for line in lines[WARM_UP:] if "tokens_per_s" in line), peak, trainable
                print(f"  round {i + 1}, {name}: {rounds[-1][name][0]:.0f} tok/s", file=sys.stderr, flush=True)
        print("| method | trainable parameters | peak memory, MiB | by LoRA's | speed by LoRA's | merges into |\n|---|---|---|---|---|---|")
        for name in names:
            memory = statistics.median(r[name][1] for r in rounds)
            by = [statistics.median(r[name][i] / r["lora"][i] for r in rounds) for i in (0, 1)]
            print(f"| {name} | {rounds[0][name][2]:,} | {memory / 2**20:.0f} | {by[1]:.2f} | {by[0]:.2f} | {MERGES.get(name, 'nothing')} |")

    def learn(self, names):
        model = ASSETS / "models" / self.o.model
        work = [f"model.path={model}", f"data.sets=[{ASSETS / 'data/cot-formatted' / self.o.records}]", "data.max_tokens=192", "data.held_out=200",
                f"train.max_steps={self.o.steps}", "train.epochs=100", "train.evaluate_first=true", f"train.evaluate_every={self.o.steps} steps",
                "train.global_batch_size=16", "train.micro_batch_size=16", "train.warmup=0.03", f"peft.tinit={self.o.steps // 10}",
                f"peft.tfinal={self.o.steps // 3}", "peft.delta_t=5"]
        start, falls = None, {}
        print("| method | trainable parameters | learning rate | held-out loss before | after | fall by LoRA's |\n|---|---|---|---|---|---|")
        for name in names:
            own_rate = any("learning_rate" in (ROOT / "configs" / f"{include}.yaml").read_text() for include in METHODS[name][0])
            rate = [] if own_rate else [f"train.learning_rate={self.o.learning_rate}"]
            lines, _, trainable = self.run(name, self.fitting(name, work) + rate)
            told = max(line["learning_rate"] for line in lines if "learning_rate" in line)
            held_out = [line["held_out_loss"] for line in lines if "held_out_loss" in line]
            start = start or held_out[0]  # LoRA begins as no change: the checkpoint's own
            falls[name] = start - held_out[-1]
            print(f"| {name} | {trainable:,} | {told:g} | {held_out[0]:.4f} | {held_out[-1]:.4f} | {falls[name] / falls['lora']:.2f} |", flush=True)

    @staticmethod
    def fitting(name, work):
        """Without the keys that the method does not read."""
        schedule = ("peft.tinit", "peft.tfinal", "peft.delta_t")
        return [option for option in work if name == "adalora" or not option.startswith(schedule)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--only", nargs="+", choices=METHODS, help="these, beside lora")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="with --learn, where a recipe names none")
    parser.add_argument("--model", default="tinystories-656k-f32")
    parser.add_argument("--records", default="strategyqa_train.json")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd", type=pathlib.Path)
    o = parser.parse_args()
    names = [name for name in METHODS if not o.only or name == "lora" or name in o.only]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(o, pathlib.Path(folder))
        bench.learn(names) if o.learn else bench.speed(names)


if __name__ == "__main__":
    main()
