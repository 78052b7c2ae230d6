"""Every PEFT method as a run of two ranks: it goes on from a checkpoint bit for bit, and what it leaves is the same."""

import unittest

from herd_run import NEEDS, Job, names_of

STEPS = 10


class Methods(unittest.TestCase):
    def setUp(self):
        self.job = Job()
        self.addCleanup(self.job.close)

    def train(self, name, *overrides):
        done = self.job.train(name, "train.epochs=100", f"train.max_steps={STEPS}", "train.learning_rate=1e-2", "checkpoint.every=4 steps",
                              "checkpoint.keep=10", "checkpoint.save_best=false", *overrides)
        self.assertEqual(done.code, 0, done)
        return self.job.metrics(name), self.job.metrics(name, "gradient_norm")

    def left(self, name):
        """The bytes of weights that a run leaves."""
        folder = self.job.run_folder(name)
        files = [path for kind in ("adapter", "model") for path in sorted((folder / kind).glob("*.safetensors"))]
        self.assertTrue(files, list(folder.iterdir()))
        return {path.name: path.read_bytes() for path in files}

    def test_each_goes_on_bit_for_bit(self):
        methods = names_of("peft")
        self.assertGreater(len(methods), 10)
        for method in methods:
            with self.subTest(method):
                options = [f"peft.method={method}", "parallel.strategy=zero2", *NEEDS.get(method, [])]
                whole, norms = self.train(f"{method}-whole", *options)
                self.assertEqual(len(whole), STEPS)
                self.assertGreater(len(set(whole.values())), STEPS / 2)
                for step in (4, 8):  # 8: AdaLoRA has chosen for the last time
                    checkpoint = self.job.run_folder(f"{method}-whole") / f"checkpoints/step-{step}"
                    rest, rest_norms = self.train(f"{method}-{step}", *options, f"resume={checkpoint}")
                    self.assertEqual(sorted(rest), list(range(step + 1, STEPS + 1)))
                    for later in rest:
                        self.assertEqual((rest[later], rest_norms[later]), (whole[later], norms[later]), later)
                    self.assertEqual(self.left(f"{method}-{step}"), self.left(f"{method}-whole"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
