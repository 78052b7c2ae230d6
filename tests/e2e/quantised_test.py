"""An adapter on a quantised base, as its user trains, resumes and uses it; and what is refused."""

import json
import unittest

from herd_run import Job, run

LORA = ["peft.method=lora", "peft.r=4", "peft.target_modules=all-linear", "train.learning_rate=1e-2", "train.epochs=6", "model.dtype=bf16"]
# Losses of two ranks and of one, in bf16: each sums other rows in another order; int8 also rounds inputs to steps of 1/127.
CURVE = 0.02


class QuantisedBase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job(records=32)
        cls.addClassCleanup(cls.job.close)
        cls.base = cls.job.made_model()

    def train(self, name, method, *overrides, ranks=2):
        return self.job.train(name, "model.config=null", f"model.path={self.base}", f"model.quantization.method={method}", *LORA, *overrides, ranks=ranks)

    def generate(self, *arguments):
        output = self.job.folder / "answers.jsonl"
        self.job.write("questions.json", [{"instruction": "Say something", "input": ""}])
        done = run("generate", "--file", self.job.folder / "questions.json", "--template", "alpaca", "--max-new-tokens", 8, "--output", output, "--model", self.base, *arguments)
        self.assertEqual(done.code, 0, done)
        return json.loads(output.read_text())["generated"]

    def test_trains_resumes_and_answers(self):
        for method in ("nf4", "int8"):
            with self.subTest(method):
                one, two = f"{method}-1", f"{method}-2"
                for name, overrides, ranks in ((one, [], 1), (two, ["parallel.strategy=zero3"], 2)):
                    done = self.train(name, method, *overrides, ranks=ranks)
                    self.assertEqual(done.code, 0, done)
                losses, others = self.job.metrics(one), self.job.metrics(two)
                self.assertEqual(losses.keys(), others.keys())
                self.assertLess(max(abs(losses[step] - others[step]) for step in losses), CURVE)
                first, last = ([losses[step] for step in steps] for steps in (range(1, 4), range(max(losses) - 2, max(losses) + 1)))
                self.assertLess(sum(last), sum(first) - 0.05)  # the same 24 records, an epoch of three steps each; 0.1 here
                adapter = self.job.run_folder(two) / "adapter"
                self.generate("--adapter", adapter, "--quantization", method, "--dtype", "bf16")
                # It belongs to the base, however that is kept.
                self.generate("--adapter", adapter)
                self.assert_merges_into_what_it_was_trained_on(method, adapter)

    def assert_merges_into_what_it_was_trained_on(self, method, adapter):
        merged = self.job.folder / f"merged-{method}"
        done = run("merge", "--model", self.base, "--adapter", adapter, "--output", merged, "--dtype", "fp32")
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"the base was kept as {method}", done.output)
        print(done.output, flush=True)
        answer = run("generate", "--model", merged, "--instruction", "Say something", "--max-new-tokens", 8)
        self.assertEqual(answer.code, 0, answer)

    def test_a_checkpoint_is_the_adapter_that_its_run_left(self):
        done = self.train("kept", "nf4", "train.max_steps=2", "model.quantization.block_size=32", ranks=1)
        self.assertEqual(done.code, 0, done)
        written = self.job.run_folder("kept") / "adapter"
        out = self.job.folder / "consolidated"
        done = run("checkpoint", "consolidate", self.job.run_folder("kept"), out)
        self.assertEqual(done.code, 0, done)
        for name in ("adapter_model.safetensors", "adapter_config.json", "herd.json"):
            self.assertEqual((out / name).read_bytes(), (written / name).read_bytes(), name)
        self.assertIn("block_size: 32", json.loads((out / "herd.json").read_text())["base_quantization"])

    def test_another_storage_does_not_go_on(self):
        done = self.train("first", "nf4", "train.max_steps=2", "checkpoint.every=1 steps", ranks=1)
        self.assertEqual(done.code, 0, done)
        for changed in ("model.quantization.method=int8", "model.quantization.block_size=128", "model.quantization=null"):
            refused = self.train("first", "nf4", "resume=auto", "train.max_steps=4", changed, ranks=1)
            self.assertNotEqual(refused.code, 0)
            self.assertIn("nf4 in blocks of 64", refused.output)

    def test_what_is_refused(self):
        for overrides, said in (
            (["peft.method=none"], "model.quantization"),
            (["model.quantization.method=nf5"], "nf4"),
            (["model.quantization.block_size=48"], "power of two"),
            (["model.quantization.skip_modules=[c_attn]"], "q_proj"),
            (["peft.modules_to_save=[down_proj]"], "skip_modules"),
        ):
            with self.subTest(overrides):
                refused = self.train("refused", "nf4", *overrides)
                self.assertNotEqual(refused.code, 0)
                self.assertIn(said, refused.output)
                self.assertFalse((self.job.run_folder("refused") / "adapter").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
