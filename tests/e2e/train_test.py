"""herd train as a user runs it: what it leaves, any number of ranks, stopped and resumed."""

import filecmp
import json
import os
import signal
import unittest

from herd_run import PREEMPTED, ROOT, Job, run

# Sums over ranks run in another order than over rows of one: relative, after some dozen steps of fp32.
OTHER_RANKS = 1e-5


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def train(self, name, *overrides, code=0, **options):
        done = self.job.train(name, *overrides, **options)
        self.assertEqual(done.code, code, done)
        return done

    def assert_losses_near(self, found, expected, bound=OTHER_RANKS):
        self.assertEqual(found.keys(), expected.keys())
        for step, loss in expected.items():
            self.assertLessEqual(abs(found[step] - loss), bound * abs(loss), f"step {step}")

    def test_what_a_run_leaves(self):
        self.train("seen", "run.plot=true", "run.tensorboard=true")
        folder = self.job.run_folder("seen")
        losses = self.job.metrics("seen")
        self.assertEqual(sorted(losses), list(range(1, 11)))
        self.assertLess(losses[10], losses[1])
        self.assertEqual(sorted(self.job.metrics("seen", "held_out_loss")), [5, 10])

        from PIL import Image
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder / "tensorboard")).Reload()
        for event in events.Scalars("loss"):
            self.assertAlmostEqual(event.value, losses[event.step], places=5)
        with Image.open(folder / "loss.png") as picture:
            self.assertEqual(picture.size, (1200, 720))
            self.assertGreater(len(picture.convert("RGB").getcolors(1 << 24)), 20)
        for name in ("model/config.json", "model/model.safetensors", "model/tokenizer.json", "best/model.safetensors", "checkpoints/latest", "log.txt"):
            self.assertTrue((folder / name).exists(), name)
        self.assertFalse((folder / "errors").exists())
        stored = run("config", folder / "config.yaml")
        self.assertEqual(stored.code, 0, stored)
        self.assertIn("max_position_embeddings: 192", stored.output)
        self.assertIn("done: 10 steps", (folder / "log.txt").read_text())

    def test_the_same_on_any_number_of_ranks(self):
        for packing in ("false", "true"):
            losses = {}
            for ranks in (1, 2, 3, 4):
                name = f"ranks-{ranks}-{packing}"
                self.train(name, f"data.packing={packing}", ranks=ranks)
                losses[ranks] = self.job.metrics(name)
            for ranks in (2, 3, 4):
                self.assert_losses_near(losses[ranks], losses[1])

    def test_an_adapter_that_goes_on_says_its_shape_in_the_stored_config(self):
        self.train("frozen", "train.max_steps=1")
        lora = [f"model.path={self.job.run_folder('frozen')}/model", "model.config=null", "peft.method=lora", "train.max_steps=1"]
        self.train("rank-3", *lora, "peft.r=3", "peft.dropout=0.25")
        adapter = self.job.run_folder("rank-3") / "adapter"
        self.train("goes-on", *lora, f"peft.adapter={adapter}")
        stored = (self.job.run_folder("goes-on") / "config.yaml").read_text()
        for value in ("r: 3", "dropout: 0.25", "alpha: 16"):
            self.assertRegex(stored, rf"\n  {value} +# from adapter {adapter}\n")
        config = json.loads((self.job.run_folder("goes-on") / "adapter/adapter_config.json").read_text())
        self.assertEqual((config["r"], config["lora_dropout"]), (3, 0.25))
        # What is stored is a recipe that does the same again.
        again = run("train", self.job.run_folder("goes-on") / "config.yaml", "run.name=goes-on-again", ranks=2)
        self.assertEqual(again.code, 0, again)
        self.assertEqual(self.job.metrics("goes-on-again"), self.job.metrics("goes-on"))

    def stopped(self, name, *overrides, at):
        """A run that ended by SIGUSR1 after some step from `at` on."""
        started = self.job.start(name, "train.epochs=60", *overrides)
        self.job.wait_for_step(name, at)
        # One rank alone hears it: all save the same step.
        os.kill(started.ranks()[-1], signal.SIGUSR1)
        done = started.finish()
        self.assertEqual(done.code, PREEMPTED, done)
        step = max(self.job.metrics(name))
        self.assertIn(f"step {step} is saved", done.output)
        self.assertLess(step, 300, "it ran through before it heard the signal")
        return step

    def assert_goes_on(self, name, whole, *overrides):
        step = self.stopped(name, *overrides, at=8)
        self.job.copy_run(name, f"{name}-other")
        self.train(name, "train.epochs=60", "resume=auto", *overrides)
        self.assertEqual(self.job.metrics(name), self.job.metrics(whole), "bit for bit")
        return step

    def test_resumes_bit_for_bit_and_on_other_ranks(self):
        self.train("whole", "train.epochs=60")
        self.assert_goes_on("stopped", "whole")
        for kind in ("model", "best"):
            self.assertTrue(filecmp.cmp(*(self.job.run_folder(n) / kind / "model.safetensors" for n in ("whole", "stopped")), shallow=False), kind)
        self.train("stopped-other", "train.epochs=60", "resume=auto", ranks=3)
        # Three hundred steps let rounding grow: only the first ones after the resume are compared closely.
        whole, other = self.job.metrics("whole"), self.job.metrics("stopped-other")
        self.assert_losses_near({s: other[s] for s in range(1, 30)}, {s: whole[s] for s in range(1, 30)})

    def test_lora_with_dropout_in_bf16_resumes_bit_for_bit(self):
        self.train("base", ranks=1)
        lora = [f"model.path={self.job.run_folder('base')}/model", "model.config=null", "model.dtype=bf16", "peft.method=lora", "peft.dropout=0.1"]
        self.train("lora-whole", "train.epochs=60", *lora)
        self.assert_goes_on("lora", "lora-whole", *lora)
        self.assertTrue((self.job.run_folder("lora") / "adapter/adapter_model.safetensors").exists())
        self.assertTrue(filecmp.cmp(*(self.job.run_folder(n) / "adapter/adapter_model.safetensors" for n in ("lora", "lora-whole")), shallow=False))

    def test_a_model_of_which_parts_are_trained_is_left_whole_and_resumes(self):
        """Under zero3 the result is made of the checkpoint, which holds what is trained alone: the rest comes from the base."""
        from safetensors.torch import load_file

        self.train("partly-base", "train.max_steps=1", ranks=1)
        base = self.job.run_folder("partly-base") / "model"
        freeze = [f"model.path={base}", "model.config=null", "peft.method=freeze", "peft.trainable_blocks=1", "peft.trainable_parts=[norms]", "parallel.strategy=zero3"]
        self.train("freeze-whole", "train.epochs=60", *freeze)
        self.assert_goes_on("freeze", "freeze-whole", *freeze)
        folders = [self.job.run_folder(n) / "model" for n in ("freeze", "freeze-whole")]
        self.assertTrue(filecmp.cmp(*(f / "model.safetensors" for f in folders), shallow=False))
        before, after = (load_file(f / "model.safetensors") for f in (base, folders[0]))
        self.assertEqual(before.keys(), after.keys())
        last = max(int(name.split(".")[2]) for name in before if ".layers." in name)
        for name, x in before.items():
            trained = f".layers.{last}." in name or "norm" in name
            self.assertEqual(not trained, bool((x == after[name]).all()), name)
        done = run("checkpoint", "consolidate", self.job.run_folder("freeze"), self.job.folder / "consolidated")
        self.assertEqual(done.code, 0, done)
        self.assertTrue(filecmp.cmp(self.job.folder / "consolidated/model.safetensors", folders[0] / "model.safetensors", shallow=False))

    def test_a_checkpoint_of_another_run_is_refused_by_name(self):
        self.train("first", "train.epochs=1")
        tokenizer = json.loads((self.job.folder / "tokenizer/tokenizer.json").read_text())
        ids = tokenizer["model"]["vocab"]
        ids["a"], ids["b"] = ids["b"], ids["a"]
        self.job.write("other/tokenizer.json", tokenizer)
        self.job.write("other/tokenizer_config.json", (self.job.folder / "tokenizer/tokenizer_config.json").read_text())
        others = {"base model": ["model.seed=5"], "tokenizer": [f"model.tokenizer={self.job.folder}/other"], "adapter": ["peft.method=lora"],
                  "rows a step": ["train.global_batch_size=4"], "data": ["data.seed=3"]}
        for what, overrides in others.items():
            with self.subTest(what):
                done = self.job.train("first", "resume=auto", *overrides)
                self.assertNotIn(done.code, (0, "still running"), done)
                self.assertRegex(done.output, f"is of another (.* another )?{what}")
                self.assertLess(done.seconds, 10)

    def test_a_used_folder_is_not_written_over(self):
        self.train("used", "train.epochs=1")
        before = (self.job.run_folder("used") / "model/model.safetensors").read_bytes()
        done = self.job.train("used", "train.epochs=1")
        self.assertEqual(done.code, 1, done)
        self.assertIn("resume=auto goes on", done.output)
        self.assertEqual((self.job.run_folder("used") / "model/model.safetensors").read_bytes(), before)

    def test_patience_and_limits(self):
        done = self.train("limits", "train.max_steps=3", "resume=auto", "peft.method=lora")
        self.assertEqual(max(self.job.metrics("limits")), 3)
        self.assertIn("yet: a new run", done.output)
        self.assertEqual(done.output.count("an adapter of random weights"), 1, done)
        done = self.train("patience", "train.epochs=40", "train.learning_rate=0.3", "train.warmup=0", "train.patience=2", "train.evaluate_every=2 steps")
        self.assertIn("has not fallen for 2 evaluations", done.output)
        self.assertLess(max(self.job.metrics("patience")), 200)

    def test_the_houses_recipes(self):
        text = self.job.write("text.txt", "\n".join(record["output"] * 40 for record in self.job.records) + "\n")
        for recipe in sorted((ROOT / "configs/recipes").glob("*.yaml")):
            with self.subTest(recipe.name):
                self.assertEqual(run("config", recipe).code, 0)
                if recipe.stem.startswith("quickstart"):
                    continue
                # They ask for what they leave open, and then run.
                done = run("train", recipe)
                self.assertEqual(done.code, 2, done)
                self.assertRegex(done.output, rf"{recipe.name}:\d+:\d+: 'model.path' is empty")
                model = ["model.family=llama", f"model.tokenizer={self.job.folder}/tokenizer", "model.config={hidden_size: 32, intermediate_size: 64, "
                         "num_hidden_layers: 2, num_attention_heads: 4}"]
                data = text if recipe.stem == "new-vocabulary" else self.job.folder / "data.json"
                done = run("train", recipe, *model, f"data.sets=[{data}]", f"run.folder={self.job.folder}/runs", f"run.name={recipe.stem}",
                           "data.held_out=4", "model.threads=1", ranks=2)
                self.assertEqual(done.code, 0, done)
                self.assertTrue((self.job.run_folder(recipe.stem) / ("adapter" if "lora" in recipe.stem else "model")).is_dir())

    def test_fp16_trains(self):
        self.train("fp16", "model.dtype=fp16", "train.epochs=6")
        losses = self.job.metrics("fp16")
        self.assertLess(losses[max(losses)], losses[1])
        config = json.loads((self.job.run_folder("fp16") / "model/config.json").read_text())
        self.assertEqual(config.get("dtype", config.get("torch_dtype")), "float16")


if __name__ == "__main__":
    unittest.main(verbosity=2)
