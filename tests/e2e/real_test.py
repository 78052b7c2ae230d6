"""The recipes on real checkpoints and real Chain-of-Thought sets: held-out loss falls, any number of ranks, killed and resumed, merged, used."""

import csv
import json
import os
import re
import signal
import sys
import unittest

from herd_run import ASSETS, PREEMPTED, ROOT, Job, run

CURVE = 1e-4  # absolute, each step in fp32, as the issue asks
FALL = 0.2  # of the held-out loss, as the issue asks

SMALL_MODELS = ["model.threads=1", "train.global_batch_size=8", "train.warmup=0.1", "checkpoint.every=never", "run.plot=false", "run.tensorboard=false"]
LORA = ["peft.r=16", "peft.alpha=32", "peft.target_modules=all-linear", "train.learning_rate=1e-2", "train.epochs=2", *SMALL_MODELS]
FULL = ["train.learning_rate=3e-3", "train.epochs=2", *SMALL_MODELS]


def creak(count):
    """Alpaca records as Alpaca-CoT published them, the line ends that it wrote as two characters put right."""
    records = json.loads((ASSETS / "data/cot-formatted/creak_train.json").read_text())[:count]
    return [{key: record[key].replace("\\n", "\n") for key in ("instruction", "input", "output")} for record in records]


def gsm8k(count):
    """Question, answer, reasoning in columns."""
    with open(ASSETS / "data/cot-tsv/gsm8k_train.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:count]
    return [{"instruction": question, "input": "", "output": f"{reasoning}\nThe answer is {answer}."} for question, answer, reasoning in rows]


class Real(Job):
    """A recipe of the house on an asset's checkpoint and records."""

    def __init__(self, recipe, model, records, held_out, overrides):
        super().__init__(records=1)  # for its folder
        self.model = ASSETS / "models" / model
        data = self.write("records.json", records)
        self.start_of = ["train", ROOT / f"configs/recipes/{recipe}.yaml", f"model.path={self.model}", f"data.sets=[{data}]", f"data.held_out={held_out}",
                         f"run.folder={self.folder}/runs", *overrides]

    def arguments(self, name, *overrides):
        return [*self.start_of, f"run.name={name}", *overrides]

    def held_out_losses(self, name):
        return list(self.metrics(name, "held_out_loss").values())


class RealInput(unittest.TestCase):
    def train(self, job, name, *overrides, ranks=2):
        done = job.train(name, *overrides, ranks=ranks, timeout=200)
        self.assertEqual(done.code, 0, done)
        return done

    def assert_held_out_loss_falls(self, job):
        """Steps this small leave the checkpoint as it came: its own loss."""
        self.train(job, "before", "train.max_steps=1", "train.learning_rate=1e-30")
        before, after = job.held_out_losses("before")[0], job.held_out_losses("ranks-2")[-1]
        print(f"  {job.model.name}: held-out loss {before:.4f} -> {after:.4f} ({100 * (1 - after / before):.0f} % less)", flush=True)
        self.assertLess(after, (1 - FALL) * before)

    def assert_curve_lies_on_that_of_one_rank(self, job, ranks):
        one, other = job.metrics("ranks-1"), job.metrics(f"ranks-{ranks}")
        self.assertEqual(one.keys(), other.keys())
        worst = max(abs(one[step] - other[step]) for step in one)
        print(f"  {job.model.name}: {len(one)} steps, {ranks} ranks against 1: greatest deviation {worst:.1e}", flush=True)
        self.assertLess(worst, CURVE)

    def assert_killed_and_resumed(self, job):
        """By SIGUSR1 on one rank; bit for bit the run that was not stopped."""
        started = job.start("stopped")
        job.wait_for_step("stopped", 5)
        os.kill(started.ranks()[0], signal.SIGUSR1)
        done = started.finish()
        self.assertEqual(done.code, PREEMPTED, done)
        self.assertLess(max(job.metrics("stopped")), max(job.metrics("ranks-2")))
        self.train(job, "stopped", "resume=auto")
        self.assertEqual(job.metrics("stopped"), job.metrics("ranks-2"))
        self.assertEqual(job.held_out_losses("stopped")[-1], job.held_out_losses("ranks-2")[-1])

    def generate(self, job, *arguments):
        done = run("generate", "--file", job.folder / "questions.json", "--max-new-tokens", 40, "--output", job.folder / "answers.jsonl", *arguments)
        self.assertEqual(done.code, 0, done)
        return [json.loads(line)["generated"] for line in (job.folder / "answers.jsonl").read_text().splitlines()]

    def assert_merges(self, job):
        adapter, merged = job.run_folder("ranks-2") / "adapter", job.folder / "merged"
        done = run("merge", "--model", job.model, "--adapter", adapter, "--output", merged)
        self.assertEqual(done.code, 0, done)
        deviation, bound = map(float, re.search(r"\((\S+) relative, bound (\S+)\)", done.output).groups())
        print(f"  {job.model.name}: merged, logits deviate by {deviation:.1e} (bound {bound:.0e})", flush=True)
        self.assertLess(deviation, bound)
        # The same weights in another format are another base, unless one says so.
        rounded = ["--model", ASSETS / "models/tinystories-656k-bf16", "--adapter", adapter, "--output", job.folder / "rounded"]
        refused = run("merge", *rounded)
        self.assertNotEqual(refused.code, 0)
        self.assertIn("--force-base", refused.output)
        done = run("merge", *rounded, "--force-base")
        self.assertIn("written as bf16", done.output)
        self.assertEqual(done.code, 0, done)
        job.write("questions.json", creak(400)[-6:])  # not among the 320
        answers = self.generate(job, "--model", job.model, "--adapter", adapter)
        self.assertEqual(self.generate(job, "--model", merged), answers)
        # "Therefore, the answer is yes.": how those records end, and no story does.
        untaught = self.generate(job, "--model", job.model, "--template", "alpaca")
        self.assertFalse(any("answer is" in answer for answer in untaught), untaught)
        self.assertGreaterEqual(sum("answer is" in answer for answer in answers), 4, answers)

    def test_lora(self):
        job = Real("alpaca-lora", "tinystories-656k-f32", creak(320), 48, LORA)
        self.addCleanup(job.close)
        for ranks in (2, 1, 3):
            self.train(job, f"ranks-{ranks}", ranks=ranks)
        self.assert_held_out_loss_falls(job)
        for ranks in (2, 3):
            self.assert_curve_lies_on_that_of_one_rank(job, ranks)
        self.assert_killed_and_resumed(job)
        self.assert_merges(job)

    def test_full_fine_tuning(self):
        job = Real("full-finetune", "stories260k", gsm8k(160), 24, FULL)
        self.addCleanup(job.close)
        for ranks in (2, 1):
            self.train(job, f"ranks-{ranks}", ranks=ranks)
        self.assert_held_out_loss_falls(job)
        self.assert_curve_lies_on_that_of_one_rank(job, 2)
        job.write("questions.json", gsm8k(200)[-2:])
        self.assertEqual(len(self.generate(job, "--model", job.run_folder("ranks-2") / "model")), 2)


if __name__ == "__main__":
    if not ASSETS.is_dir():
        print(f"skipped: no assets at {ASSETS}")
        sys.exit(77)
    unittest.main(verbosity=2)
