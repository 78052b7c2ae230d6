"""Answers of a model on the GPU against those of the same model on the CPU.

HERD_TEST_DRY=1 takes the CPU for both sides: it tries this file, where there is no GPU."""

import json
import sys
import unittest

from herd_run import NEEDS, Job, names_of, run
from train_test import DEVICE, RANKS

TOKENS = 24
# Random weights wide enough that other prompts get other answers.
WIDE = ["model.config.initializer_range=0.4", "train.learning_rate=1e-9"]
# fp32 sums in another order part two words that are as good as equally probable; then all that follows is another text.
SAME = 0.9


@unittest.skipIf(RANKS == 0, "no NVIDIA GPU here")
class Generate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.model = cls.job.made_model(overrides=WIDE)
        cls.records = [{"instruction": f"Say {'so ' * (i % 13)}{i}", "output": ""} for i in range(40)]
        cls.questions = cls.job.write("questions.json", cls.records)

    def answers(self, model, *options, ranks=0):
        output = self.job.folder / "answers.jsonl"
        output.unlink(missing_ok=True)
        done = run("predict", self.questions, "--model", model, "--max-new-tokens", TOKENS, "--output", output, *options, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        return [json.loads(line)["generated"] for line in output.read_text().splitlines()]

    def compare(self, model, *options, ranks=0):
        expected, found = self.answers(model, *options), self.answers(model, *options, "--device", DEVICE, ranks=ranks)
        self.assertEqual(len(expected), len(found))
        self.assertGreater(len(set(expected)), 5, "they say all the same")
        same = sum(a == b for a, b in zip(expected, found, strict=True))
        self.assertGreaterEqual(same, SAME * len(found), list(zip(expected, found, strict=True))[:3])

    def test_greedy_answers_are_the_cpus(self):
        model = self.model
        for options in ([], ["--kv-cache", "int8"], ["--beams", 3], ["--quantization", "nf4"], ["--quantization", "int8"], ["--temperature", 0.8, "--seed", 3]):
            with self.subTest(options=options):
                self.compare(model, *options)
        self.compare(model, ranks=RANKS)
        if RANKS > 1:
            self.compare(model, "--shared", ranks=RANKS)

    def test_every_family(self):
        for family in names_of("model"):
            with self.subTest(family):
                self.job.take_family(family)
                self.compare(self.job.made_model(name=family, overrides=WIDE))
        self.job.take_family("llama")

    def test_adapters_of_every_method(self):
        model = self.model
        self.job.take_model(f"path: {model}")
        for method in names_of("peft"):
            if method == "bitfit":
                continue  # this base has no biases
            with self.subTest(method):
                self.assertEqual(self.job.train(f"adapter-{method}", f"peft.method={method}", *NEEDS.get(method, [])).code, 0)
                adapter = self.job.run_folder(f"adapter-{method}") / "adapter"
                if adapter.is_dir():
                    self.compare(model, "--adapter", adapter)
        self.job.take_family("llama")

    def test_log_likelihoods_are_the_cpus(self):
        model, data = self.model, self.job.write("texts.json", [{"text": f"Say so {i}: {i * i}"} for i in range(30)])
        values = []
        for device in ("cpu", DEVICE):
            output = self.job.folder / f"perplexity-{device}"
            done = run("evaluate", "--task", "texts", "--data", data, "--model", model, "--output", output, "--device", device)
            self.assertEqual(done.code, 0, done)
            values.append(json.loads((output / "results.json").read_text()))
        expected, found = (next(row["value"] for row in value["values"] if "perplexity" in row["metric"]) for value in values)
        self.assertAlmostEqual(found / expected, 1, delta=1e-4)


if __name__ == "__main__":
    result = unittest.main(verbosity=2, exit=False).result
    sys.exit(1 if not result.wasSuccessful() else 77 if len(result.skipped) == result.testsRun else 0)
