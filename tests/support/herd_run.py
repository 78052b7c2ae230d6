"""Starts herd as its users do, on small made-up jobs, and reads what they leave."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from herd_paths import ASSETS, BINARIES, ROOT

HERD = str(BINARIES / "herd")
MPIRUN = str(ROOT / "tests/support/mpirun")
PREEMPTED, TERMINATED = 75, 76
# How many times as long as usual a command may take: slow builds set it.
PATIENCE = float(os.environ.get("HERD_TEST_PATIENCE", 1))

_spec = importlib.util.spec_from_file_location("make_quickstart_data", ROOT / "scripts/make_quickstart_data.py")
quickstart_data = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(quickstart_data)

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 192, "tie_word_embeddings": "true"}


# What some families' configurations do not know, or cannot do without.
WITHOUT = {"baichuan": ["num_key_value_heads"], "chatglm": ["num_key_value_heads"],
           **{family: ["intermediate_size", "num_key_value_heads"] for family in ("gpt2", "bloom", "moss", "codegen")}}
BESIDES = {"moss": {"rotary_dim": 4}, "codegen": {"rotary_dim": 4}}
# What a method needs beside its name on such a model.
NEEDS = {
    "lora": ["peft.use_dora=true", "peft.r=4"],
    "adalora": ["peft.init_r=4", "peft.target_r=2", "peft.tinit=2", "peft.tfinal=3", "peft.delta_t=1"],
    "prompt": ["peft.num_virtual_tokens=6", "data.max_tokens=186"],
    "p_tuning": ["peft.num_virtual_tokens=6", "data.max_tokens=186", "peft.encoder=lstm", "peft.encoder_hidden_size=16"],
    "prefix": ["peft.num_virtual_tokens=6", "data.max_tokens=186", "peft.prefix_projection=true", "peft.encoder_hidden_size=16"],
    "freeze": ["peft.trainable_blocks=1"],
    "bitfit": ["model.family=qwen2"],  # which has biases
    **{f"adapter_{kind}": ["peft.bottleneck_size=8"] for kind in ("h", "p", "parallel")},
}


def names_of(*command):
    """What a command's list names: the words at the beginning of its lines, apart from what is said of them."""
    listed = subprocess.run([HERD, *command, "list"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^([a-z0-9_]+) {2}", listed, re.MULTILINE)


class Finished:
    def __init__(self, code, output, seconds):
        self.code, self.output, self.seconds = code, output, seconds

    def __repr__(self):
        return f"code {self.code} after {self.seconds:.1f} s\n{self.output}"


class Started:
    """A command under way in a process group of its own. Its output is kept in a file: a pipe nobody reads would stop it."""

    def __init__(self, command, **environment):
        self.log = tempfile.TemporaryFile("w+")
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                                        env={**os.environ, "OMP_NUM_THREADS": "1", **environment})

    def ranks(self):
        """Process ids of the ranks below mpirun."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-x", "herd"], capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found]

    def finish(self, timeout=60):
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            code = "still running"
        with self.log:
            self.log.seek(0)
            return Finished(code, self.log.read(), time.monotonic() - self.began)


def start(*arguments, ranks=0, **environment):
    """herd with arguments; under mpirun where ranks are given."""
    launcher = [MPIRUN, str(ranks)] if ranks else []
    return Started([*launcher, HERD, *map(str, arguments)], **environment)


def run(*arguments, ranks=0, timeout=60, **environment):
    return start(*arguments, ranks=ranks, **environment).finish(timeout)


def living(folder):
    """Process ids of herds at work on something in a folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # ended meanwhile
        if words[0] == HERD and any(str(folder) in word for word in words):
            found.append(int(path.parent.name))
    return found


class Job:
    """A folder with a tokenizer, records and a recipe for a tiny LLaMA of random weights."""

    def __init__(self, records=48):
        self._scratch = tempfile.TemporaryDirectory(prefix="herd-e2e-")
        self.folder = pathlib.Path(self._scratch.name)
        made = quickstart_data.make_records()
        self.records = made["pretrain"][:records]
        tokenizer, config = quickstart_data.make_tokenizer(made)
        self.write("tokenizer/tokenizer.json", tokenizer)
        self.write("tokenizer/tokenizer_config.json", config)
        self.write("data.json", self.records)
        self.take_family("llama")

    def take_family(self, family):
        """Makes the recipe's model one of this family."""
        keys = {**{key: value for key, value in SMALL.items() if key not in WITHOUT.get(family, ())}, **BESIDES.get(family, {})}
        shape = ", ".join(f"{key}: {value}" for key, value in keys.items())
        self.take_model(f"family: {family}, tokenizer: {self.folder}/tokenizer, config: {{{shape}}}")

    def take_model(self, model):
        """Makes the recipe's model this one."""
        (self.folder / "recipe.yaml").write_text(f"""\
model: {{threads: 1, {model}}}
data: {{sets: [{self.folder}/data.json], max_tokens: 192, held_out: 8}}
train: {{epochs: 2, learning_rate: 3e-3, global_batch_size: 8, micro_batch_size: 2}}
run: {{folder: {self.folder}/runs, plot: false, tensorboard: false}}
""")

    def write(self, name, value):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
        return path

    def arguments(self, name, *overrides):
        return ["train", self.folder / "recipe.yaml", f"run.name={name}", *overrides]

    def start(self, name, *overrides, ranks=2, **environment):
        return start(*self.arguments(name, *overrides), ranks=ranks, **environment)

    def train(self, name, *overrides, ranks=2, timeout=60, **environment):
        return self.start(name, *overrides, ranks=ranks, **environment).finish(timeout)

    def run_folder(self, name):
        return self.folder / "runs" / name

    def made_model(self, steps=6, name="base", overrides=()):
        """The folder of a model that a few steps have trained."""
        done = self.train(name, f"train.max_steps={steps}", *overrides, ranks=1)
        assert done.code == 0, done
        return self.run_folder(name) / "model"

    def copy_run(self, name, copy):
        shutil.copytree(self.run_folder(name), self.run_folder(copy))

    def metrics(self, name, key="loss"):
        """{step: value} of metrics.jsonl; a line that is being written is left out."""
        path = self.run_folder(name) / "metrics.jsonl"
        text = path.read_text() if path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return {line["step"]: line[key] for line in lines if key in line}

    def wait_for_step(self, name, step, timeout=30):
        end = time.monotonic() + timeout * PATIENCE
        while max(self.metrics(name), default=0) < step:
            if time.monotonic() > end:
                raise TimeoutError(f"{name} never came to step {step}")
            time.sleep(0.002)

    def wait_for_checkpoint(self, name, timeout=30):
        end = time.monotonic() + timeout
        while not (self.run_folder(name) / "checkpoints/latest").exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{name} never had a checkpoint")
            time.sleep(0.002)

    def close(self):
        self._scratch.cleanup()
