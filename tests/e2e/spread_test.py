"""herd train with every strategy, and one run that goes on with another strategy on another number of ranks again and again."""

import filecmp
import unittest

from herd_run import Job, run

# Sums over ranks run in another order than over rows of one: relative, after fifteen steps of fp32.
LOSSES = 1e-5
# Of the largest value of a tensor: Adam divides by roots of tiny gradients, whose last bits then weigh more.
WEIGHTS = 1e-3

CONSTANT = ["train.schedule=constant", "train.warmup=0", "train.epochs=100", "checkpoint.every=never", "data.held_out=8"]
LEGS = [("ddp", 2, []), ("zero3", 3, []), ("zero1", 1, []), ("hsdp", 4, ["parallel.shard_degree=2"]), ("zero2", 2, []), ("zero3", 2, [])]


class Spread(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.base = cls.train_ok("base", "train.max_steps=4", ranks=1)

    @classmethod
    def train_ok(cls, name, *overrides, **options):
        done = cls.job.train(name, *CONSTANT, *overrides, **options)
        assert done.code == 0, done
        return done

    def assert_same_course(self, name, whole, file):
        from safetensors.numpy import load_file

        found, expected = self.job.metrics(name), self.job.metrics(whole)
        self.assertEqual(found.keys(), expected.keys())
        for step, loss in expected.items():
            self.assertLessEqual(abs(found[step] - loss), LOSSES * abs(loss), f"{name}, step {step}")
        found, expected = (load_file(self.job.run_folder(n) / file) for n in (name, whole))
        self.assertEqual(found.keys(), expected.keys())
        for key, tensor in expected.items():
            self.assertEqual(found[key].shape, tensor.shape, key)
            self.assertLessEqual(abs(found[key] - tensor).max(), WEIGHTS * abs(tensor).max(), key)
        return found

    def overrides(self, method):
        if method == "none":
            return []
        return ["peft.method=lora", "peft.r=4", f"model.path={self.job.run_folder('base')}/model", "model.config=null"]

    def check(self, method, file):
        more = self.overrides(method)
        self.train_ok(f"{method}-alone", "train.max_steps=12", *more, ranks=1)
        for strategy, ranks, options in (("zero1", 2, []), ("zero2", 3, []), ("zero3", 3, []), ("hsdp", 4, ["parallel.shard_degree=2"])):
            with self.subTest(strategy):
                name = f"{method}-{strategy}"
                self.train_ok(name, "train.max_steps=12", f"parallel.strategy={strategy}", *options, *more, ranks=ranks)
                self.assert_same_course(name, f"{method}-alone", file)
        with self.subTest("one after the other"):
            for leg, (strategy, ranks, options) in enumerate(LEGS, 1):
                self.train_ok(f"{method}-legs", f"train.max_steps={2 * leg}", f"parallel.strategy={strategy}", "resume=auto", *options, *more, ranks=ranks)
            return self.assert_same_course(f"{method}-legs", f"{method}-alone", file)

    def test_full_fine_tuning(self):
        self.check("none", "model/model.safetensors")

    def test_lora(self):
        adapter = self.check("lora", "adapter/adapter_model.safetensors")
        for key, tensor in adapter.items():
            self.assertGreater(abs(tensor).max(), 0, f"{key} is empty")

    def assert_consolidated(self, name, result, *more):
        out = self.job.folder / f"{name}-consolidated"
        done = run("checkpoint", "consolidate", self.job.run_folder(name), out, *more)
        self.assertEqual(done.code, 0, done)
        files = sorted(path.name for path in (self.job.run_folder(name) / result).iterdir())
        self.assertEqual(sorted(path.name for path in out.iterdir()), files)
        self.assertEqual(filecmp.cmpfiles(self.job.run_folder(name) / result, out, files, shallow=False), (files, [], []))
        return out

    def test_a_consolidated_checkpoint_is_what_the_run_itself_writes(self):
        base = [f"model.path={self.job.run_folder('base')}/model", "model.config=null", "train.max_steps=3"]
        lora = ["peft.method=lora", "peft.r=4", "peft.modules_to_save=[norm]"]
        for name, result, overrides, ranks in (
                ("from-config", "model", ["model.dtype=bf16", "train.max_steps=3"], 2),
                ("fp32", "model", [*base, "parallel.strategy=zero2"], 3),
                ("bf16", "model", [*base, "model.dtype=bf16"], 2),
                ("fp16-zero3", "model", [*base, "model.dtype=fp16", "parallel.strategy=zero3"], 2),
                ("lora-bf16", "adapter", [*base, *lora, "model.dtype=bf16", "parallel.strategy=zero3"], 2),
        ):
            with self.subTest(name):
                self.train_ok(name, *overrides, ranks=ranks)
                self.assert_consolidated(name, result)
        with self.subTest("written from shards or from the whole model"):
            self.train_ok("bf16-whole", *base, "model.dtype=bf16", ranks=1)
            self.train_ok("bf16-parts", *base, "model.dtype=bf16", "parallel.strategy=zero3", ranks=1)
            files = [self.job.run_folder(name) / "model/model.safetensors" for name in ("bf16-whole", "bf16-parts")]
            self.assertTrue(filecmp.cmp(*files, shallow=False))
        with self.subTest("a base that has moved"):
            moved = self.job.folder / "moved"
            (self.job.run_folder("base") / "model").rename(moved)
            self.addCleanup(moved.rename, self.job.run_folder("base") / "model")
            out = self.job.folder / "nothing"
            done = run("checkpoint", "consolidate", self.job.run_folder("bf16"), out)
            self.assertEqual(done.code, 1, done)
            self.assertIn("base/model", done.output)
            self.assertFalse(out.exists())
            done = run("checkpoint", "consolidate", self.job.run_folder("bf16"), out, "--base", self.job.run_folder("bf16") / "model")
            self.assertEqual(done.code, 2, done)
            self.assertIn("base model", done.output)
            self.assertFalse(out.exists())
            (self.job.folder / "bf16-consolidated").rename(self.job.folder / "bf16-aside")
            self.assert_consolidated("bf16", "model", "--base", moved)

    def test_the_time_that_saves_took_is_told(self):
        self.train_ok("told", "train.max_steps=6", "checkpoint.every=2 steps", "checkpoint.save_best=false")
        blocked = self.job.metrics("told", "save_blocked_s")
        self.assertEqual(blocked.keys(), {2, 4, 6})
        self.assertTrue(all(0 < seconds < 5 for seconds in blocked.values()), blocked)
        log = (self.job.run_folder("told") / "log.txt").read_text()
        for line in ("step 4: being saved, the training waited", "step 6: saved, the training waited"):
            self.assertEqual(log.count(line), 1, log)

    def test_ranks_that_do_not_divide(self):
        done = self.job.train("odd", "parallel.strategy=hsdp", "parallel.shard_degree=2", ranks=3)
        self.assertEqual(done.code, 2, done)
        self.assertIn("2 on 3 ranks", done.output)
        self.assertIn("a divisor of the number of ranks", done.output)
        self.assertEqual(done.output.count("error:"), 1, done)


if __name__ == "__main__":
    unittest.main(verbosity=2)
