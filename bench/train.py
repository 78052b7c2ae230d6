#!/usr/bin/env python3
"""herd and transformers + PEFT on the same training steps, in turn, on this machine: speed and peak memory as ratios.

    bench/train.py [--dtype fp32 bf16] [--method lora none] [--pairs 5] [--threads 2]   herd against the peer
    bench/train.py --method nf4 int8          LoRA on a base in few bits, besides against herd on the dense one; needs bench/requirements.txt
    bench/train.py --strategy ddp             two ranks of one thread against two independent runs of one thread at the same time
    bench/train.py --strategy zero3 --fsdp    besides against FSDP2 over gloo on two ranks
    bench/train.py --strategy zero3 --memory  peak memory of the largest rank on 1, 2 and 4 ranks
    bench/train.py --start                    from mpirun to the end of the first step
    bench/train.py --device cuda --shape 1.1b --rows 8 --tokens 1024   on a GPU; memory is then the most bytes of tensors on it

Runs in the test environment's Python (./check makes it). Each pair runs both sides once, in alternating order; the ratio is the median
over pairs. Bounds by physics: see docs/benchmarks.md.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from make_work import SHAPES, make_work

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE = pathlib.Path(__file__).resolve().parent
STORAGES = ["nf4", "fp4", "int8"]  # LoRA on a base that is kept so
WARM_UP = 2  # steps left out: first touches of memory, primitives being made


def wait_for(process):
    """Exit code and peak resident bytes of a child; of a launcher's: its largest child's."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


class Bench:
    def __init__(self, options):
        self.o = options
        self.folder = pathlib.Path(options.folder or tempfile.gettempdir()) / "herd-bench"
        self.model, self.records = make_work(self.folder, options.shape, options.rows * options.steps, options.tokens)

    def overrides(self, run, dtype, method, threads, rows, micro_rows):
        peft = ["peft.method=none"] if method == "none" else [
            "peft.method=lora", "peft.r=8", "peft.alpha=16", "peft.dropout=0", "peft.target_modules=[q_proj,k_proj,v_proj,o_proj]"]
        if method in STORAGES:
            peft.append(f"model.quantization.method={method}")
        return [f"model.path={self.model}", f"model.dtype={dtype}", f"model.threads={threads}", f"model.device={self.o.device}", f"data.sets=[{self.records}]",
                f"data.max_tokens={self.o.tokens}", "data.train_on=all", f"train.max_steps={self.o.steps}", "train.epochs=100",
                f"train.global_batch_size={rows}", f"train.micro_batch_size={micro_rows}", "train.schedule=constant", "train.warmup=0",
                "checkpoint.every=never", "checkpoint.save_best=false", "run.tensorboard=false", "run.plot=false",
                f"run.folder={self.folder}", f"run.name={run}", *peft]

    def start_herd(self, run, launcher=(), strategy="ddp", **work):
        shutil.rmtree(self.folder / run, ignore_errors=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(work["threads"])}
        return subprocess.Popen([*launcher, str(self.o.herd), "train", f"parallel.strategy={strategy}", *self.overrides(run, **work)], env=environment,
                                stdout=subprocess.DEVNULL, stderr=open(self.folder / f"{run}.log", "w"))

    def finish_herd(self, process, run):
        code, peak = wait_for(process)
        if code != 0:
            sys.exit(f"error: herd ended with {code}\n{(self.folder / f'{run}.log').read_text()}")
        lines = [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]
        return [line for line in lines if "tokens_per_s" in line], peak

    def herd(self, dtype, method):
        o = self.o
        process = self.start_herd("run", dtype=dtype, method=method, threads=o.threads, rows=o.rows, micro_rows=o.rows)
        lines, peak = self.finish_herd(process, "run")
        return statistics.median(line["tokens_per_s"] for line in lines[WARM_UP:]), lines[-1].get("device_peak_bytes", peak)

    def peer(self, dtype, method, ranks=1):
        o = self.o
        arguments = {"model": self.model, "steps": o.steps, "rows": o.rows, "tokens": o.tokens, "dtype": dtype, "method": method,
                     "threads": o.threads if ranks == 1 else 1, "device": o.device}
        launcher = [] if ranks == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        with open(self.folder / "peer.log", "w+") as log:
            process = subprocess.Popen([sys.executable, *launcher, str(HERE / "peer.py"), *[f"--{k}={v}" for k, v in arguments.items()]],
                                       stdout=subprocess.PIPE, stderr=log, text=True)
            out = process.stdout.read()
            code, peak = wait_for(process)
            if code != 0:
                log.seek(0)
                sys.exit(f"error: the peer ended with {code}\n{log.read()}")
        told = json.loads(out.splitlines()[-1])
        return ranks * o.rows * o.tokens / statistics.median(told["step_s"][WARM_UP:]), told["device_bytes"] or peak

    def dense(self, dtype, method):
        return self.herd(dtype, "lora")

    def compare(self, dtype, method):
        names = ["herd", "peer"] + (["dense"] if method in STORAGES else [])
        speeds, memories, sides = [], [], {name: [] for name in names}
        for pair in range(self.o.pairs):
            order = names if pair % 2 == 0 else names[::-1]
            done = {side: getattr(self, side)(dtype, method) for side in order}
            for side, (speed, peak) in done.items():
                sides[side].append((speed, peak))
            speeds.append(done["herd"][0] / done["peer"][0])
            memories.append(done["herd"][1] / done["peer"][1])
            print(f"  pair {pair + 1}: herd {done['herd'][0]:.0f} tok/s, {done['herd'][1] / 2**20:.0f} MiB; "
                  f"peer {done['peer'][0]:.0f} tok/s, {done['peer'][1] / 2**20:.0f} MiB; {speeds[-1]:.2f} x", flush=True)
        median = {side: [statistics.median(column) for column in zip(*runs)] for side, runs in sides.items()}
        print(f"{self.o.shape} {dtype} {method}, {self.o.rows} x {self.o.tokens}, {self.o.threads} threads: "
              f"herd {median['herd'][0]:.0f} tok/s, peer {median['peer'][0]:.0f} tok/s, ratio {statistics.median(speeds):.2f}; "
              f"peak memory {median['herd'][1] / 2**20:.0f} against {median['peer'][1] / 2**20:.0f} MiB, ratio {statistics.median(memories):.2f}")
        if "dense" in sides:
            speed, memory = ([own[i] / other[i] for own, other in zip(sides["herd"], sides["dense"])] for i in (0, 1))
            print(f"  against herd on the dense base, {median['dense'][0]:.0f} tok/s and {median['dense'][1] / 2**20:.0f} MiB: "
                  f"speed {statistics.median(speed):.2f}, peak memory {statistics.median(memory):.2f}")

    def together(self, dtype, method, ranks=2):
        """Tokens a second of the ranks of one run, and the peak memory of the largest."""
        rows = self.o.rows
        process = self.start_herd("together", self.mpirun(ranks), self.o.strategy, dtype=dtype, method=method, threads=1, rows=ranks * rows,
                                  micro_rows=rows)
        lines, peak = self.finish_herd(process, "together")
        return statistics.median(line["tokens_per_s"] for line in lines[WARM_UP:]), peak

    def alone(self, dtype, method):
        """The sum over two independent runs at the same time, and the larger one's peak memory."""
        runs = ["alone-0", "alone-1"]
        work = {"dtype": dtype, "method": method, "threads": 1, "rows": self.o.rows, "micro_rows": self.o.rows}
        processes = [self.start_herd(run, **work) for run in runs]
        both = [self.finish_herd(process, run) for process, run in zip(processes, runs)]
        return sum(statistics.median(line["tokens_per_s"] for line in lines[WARM_UP:]) for lines, _ in both), max(peak for _, peak in both)

    def fsdp(self, dtype, method):
        return self.peer(dtype, method, ranks=2)

    def ranks(self, dtype, method):
        sides = [self.together, self.alone] + ([self.fsdp] if self.o.fsdp else [])
        runs = []
        for pair in range(self.o.pairs):
            runs.append({side.__name__: side(dtype, method) for side in (sides if pair % 2 == 0 else sides[::-1])})
            print(f"  round {pair + 1}: " + "; ".join(f"{name} {speed:.0f} tok/s, {peak / 2**20:.0f} MiB" for name, (speed, peak) in runs[-1].items()),
                  flush=True)
        for other in sides[1:]:
            ratio = statistics.median(run["together"][0] / run[other.__name__][0] for run in runs)
            print(f"{self.o.shape} {dtype} {method}: two ranks under {self.o.strategy} have {ratio:.2f} of the speed of {other.__name__}")

    def memory(self, dtype, method):
        for ranks in (1, 2, 4):
            _, peak = self.together(dtype, method, ranks)
            print(f"{self.o.shape} {dtype} {method}, {self.o.strategy}: {ranks} ranks, the largest peaks at {peak / 2**20:.0f} MiB", flush=True)

    def first_step(self, dtype, method):
        times = []
        for _ in range(self.o.pairs):
            began = time.time()
            process = self.start_herd("start", self.mpirun(2), dtype=dtype, method=method, threads=1, rows=self.o.rows, micro_rows=2)
            lines, _ = self.finish_herd(process, "start")
            times.append(lines[0]["time"] - began)
        print(f"{self.o.shape} {dtype} {method}: from mpirun to the end of the first step {statistics.median(times):.2f} s (of {len(times)})")

    def mpirun(self, ranks):
        root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
        return ["mpirun", *root, "--bind-to", "none", "--oversubscribe", "-n", str(ranks)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--method", nargs="+", choices=["lora", "none", *STORAGES], default=["lora"])
    parser.add_argument("--shape", choices=SHAPES, default="61m")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--strategy", help="several ranks under this parallel.strategy")
    parser.add_argument("--fsdp", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--herd", default=ROOT / "build/release/bin/herd", type=pathlib.Path)
    parser.add_argument("--folder", help="where the work and the runs lie")
    o = parser.parse_args()
    bench = Bench(o)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    several = bench.memory if o.memory else bench.ranks
    action = several if o.strategy else bench.first_step if o.start else bench.compare
    for dtype in o.dtype:
        for method in o.method:
            action(dtype, method)


if __name__ == "__main__":
    main()
