"""Bad input and bad luck: each ends all ranks within 10 s with one clear message, and the last good checkpoint stays loadable."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from herd_run import Job, living, run

MOST_SECONDS = 10
USAGE, FAILURE = 2, 1


@contextlib.contextmanager
def small_disk(kilobytes):
    """A tmpfs; skips the test where this user may not mount."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "herd-test", folder], capture_output=True).returncode:
            raise unittest.SkipTest("no right to mount a small tmpfs")
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        done = cls.job.train("good", "train.epochs=1")
        assert done.code == 0, done
        cls.model = cls.job.run_folder("good") / "model"

    def copy_of_model(self, name):
        folder = self.job.folder / name
        shutil.copytree(self.model, folder)
        return folder

    def assert_told(self, done, code, *words):
        self.assertEqual(done.code, code, done)
        for word in words:
            self.assertIn(str(word), done.output)
        self.assertLess(done.seconds, MOST_SECONDS, done)
        self.assertEqual(done.output.count("error: "), 1, done)

    def assert_ended(self, done, code, *words):
        self.assert_told(done, code, *words)
        self.wait_until_gone()

    def refused(self, code, overrides, *words, name="refused", ranks=2):
        with self.subTest(overrides):
            self.assert_ended(self.job.train(name, *overrides, ranks=ranks), code, *words)
            shutil.rmtree(self.job.run_folder(name), ignore_errors=True)

    def from_folder(self, folder):
        return [f"model.path={folder}", "model.config=null"]

    def test_recipe(self):
        self.refused(USAGE, ["train.lerning_rate=1"], "lerning_rate", "learning_rate")
        self.refused(USAGE, ["train.epochs=many"], "train.epochs", "many")
        self.refused(USAGE, ["train.global_batch_size=0"], "global_batch_size", "at least 1")
        self.refused(USAGE, ["data.max_tokens=4096"], "data.max_tokens", "192")
        wrong = self.job.write("wrong.yaml", "model:\n  path: x\n  pth: y\n")
        self.assert_ended(run("train", wrong, ranks=2), USAGE, "wrong.yaml:3:3", "'model.pth'", "'model.path'")
        self.assert_ended(run("train", self.job.folder / "none.yaml", ranks=2), USAGE, "none.yaml", "no such file")

    def test_data(self):
        self.refused(FAILURE, ["data.sets=[/no/such.json]"], "/no/such.json", "no such file")
        broken = self.job.write("broken.jsonl", '{"instruction": "a", "input": "", "output": "b"}\n' * 2 + '{"instruction": "c"\n')
        self.refused(FAILURE, [f"data.sets=[{broken}]"], f"{broken}:3")
        empty = self.job.write("empty.json", [])
        self.refused(FAILURE, [f"data.sets=[{empty}]"], "empty.json")
        long = self.job.write("long.json", [{"instruction": "a", "input": "", "output": "word " * 300}])
        self.refused(FAILURE, [f"data.sets=[{long}]", "data.held_out=0", "data.overlong=error"], "long.json", "192")
        mute = self.job.write("mute.json", [{"instruction": "word " * 300, "input": "", "output": "b"}])
        self.refused(FAILURE, [f"data.sets=[{mute}]", "data.held_out=0"], "mute.json")

    def test_a_checkpoint_that_is_none_is_told_before_anything_is_loaded(self):
        unreadable = "data.sets=/no/such.json"
        self.refused(FAILURE, ["resume=/no/such/run", unreadable], "/no/such/run: no such folder", "step-N")
        self.refused(FAILURE, [f"resume={self.model}", unreadable], f"{self.model}: no checkpoint")
        self.job.copy_run("good", "cut")
        manifest = next((self.job.run_folder("cut") / "checkpoints").glob("step-*/manifest.json"))
        os.truncate(manifest, 50)
        self.refused(FAILURE, [f"resume={manifest.parent}", unreadable], manifest)

    def test_model_folder(self):
        cut = self.copy_of_model("cut")
        os.truncate(cut / "model.safetensors", 5000)
        self.refused(FAILURE, self.from_folder(cut), cut / "model.safetensors", "cut off")
        other = self.copy_of_model("other-tokenizer")
        config = json.loads((other / "config.json").read_text())
        tokens = config["vocab_size"]
        (other / "config.json").write_text(json.dumps({**config, "vocab_size": 32000}))
        self.refused(FAILURE, self.from_folder(other), "32000")
        self.refused(USAGE, ["model.config.vocab_size=300"], str(tokens), "300")
        self.refused(FAILURE, self.from_folder("/no/such/model"), "/no/such/model")

    def test_adapter_for_another_base(self):
        lora = [*self.from_folder(self.model), "peft.method=lora"]
        done = self.job.train("adapter", "train.epochs=1", *lora)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.job.train("other", "train.epochs=1", "model.seed=9").code, 0)
        adapter = self.job.run_folder("adapter") / "adapter"
        self.refused(USAGE, [*self.from_folder(self.job.run_folder("other") / "model"), "peft.method=lora", f"peft.adapter={adapter}"], adapter)
        self.refused(USAGE, [*lora, f"peft.adapter={adapter}", "peft.r=4"], "command line: peft.r=4; expected peft.r=8", adapter)

    def test_flipped_byte_in_a_checkpoint(self):
        self.job.copy_run("good", "flipped")
        file = next((self.job.run_folder("flipped") / "checkpoints").glob("step-*/rank-0001.h5"))
        content = bytearray(file.read_bytes())
        content[random.Random(3).randrange(len(content) // 2, len(content))] ^= 16
        file.write_bytes(content)
        self.assert_ended(self.job.train("flipped", "resume=auto"), FAILURE, file.name)
        self.assertEqual(run("checkpoint", "verify", self.job.run_folder("flipped")).code, FAILURE)

    def test_folder_in_use(self):
        first = self.job.start("busy", "train.epochs=2000")
        self.job.wait_for_step("busy", 2)
        self.assert_told(self.job.train("busy", "resume=auto"), FAILURE, "in use by another run")
        self.assertEqual(self.job.metrics("busy").keys() >= {1, 2}, True)
        first.process.terminate()
        first.finish()
        self.wait_until_gone()

    def wait_until_gone(self):
        end = time.monotonic() + MOST_SECONDS
        while living(self.job.folder):
            self.assertLess(time.monotonic(), end, "ranks are still there")
            time.sleep(0.02)

    def assert_loadable(self, name):
        verified = run("checkpoint", "verify", self.job.run_folder(name))
        self.assertEqual(verified.code, 0, verified)
        steps = max(int(p.name[5:]) for p in (self.job.run_folder(name) / "checkpoints").glob("step-*") if p.name[5:].isdigit())
        done = self.job.train(name, "resume=auto", f"train.max_steps={steps + 3}", "train.epochs=2000")
        self.assertEqual(done.code, 0, done)

    def test_a_rank_that_is_killed(self):
        for kill in (signal.SIGKILL, signal.SIGSEGV):
            with self.subTest(kill.name):
                name = f"killed-{kill.name}"
                started = self.job.start(name, "train.epochs=2000", "checkpoint.every=5 steps", ranks=3)
                self.job.wait_for_step(name, 12)
                os.kill(started.ranks()[-1], kill)
                done = started.finish(timeout=MOST_SECONDS)
                self.assertNotIn(done.code, (0, "still running"), done)
                self.wait_until_gone()
                self.assert_loadable(name)

    def test_bare_mpirun_that_is_terminated(self):
        started = self.job.start("terminated", "train.epochs=2000", "checkpoint.every=5 steps")
        self.job.wait_for_step("terminated", 12)
        started.process.send_signal(signal.SIGTERM)
        done = started.finish(timeout=MOST_SECONDS)
        self.assertNotIn(done.code, (0, "still running"), done)
        self.wait_until_gone()
        self.assert_loadable("terminated")

    def test_full_disk_while_saving(self):
        with small_disk(600) as disk:
            # The first checkpoints fit, until the kept ones fill it.
            done = self.job.train("full", f"run.folder={disk}", "train.epochs=2000", "checkpoint.every=3 steps", "checkpoint.keep=1000")
            self.assert_ended(done, FAILURE, "checkpoints", "No space left")
            self.assertTrue((disk / "full/checkpoints/latest").exists())
            self.assertEqual([p for p in (disk / "full/checkpoints").iterdir() if ".tmp" in p.name], [])
            self.assertEqual(run("checkpoint", "verify", disk / "full").code, 0)

    def test_one_rank_that_throws_between_two_steps(self):
        with small_disk(1000) as disk:
            started = self.job.start("throws", f"run.folder={disk}", "train.epochs=20000", "checkpoint.every=5 steps", "checkpoint.keep=1", ranks=3)
            folder = disk / "throws"
            while not (folder / "checkpoints/latest").exists():
                self.assertIsNone(started.process.poll(), started.log)
            # Metrics are rank 0's alone: the others learn of it in the middle of their step.
            with open(disk / "filler", "wb", buffering=0) as filler:
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * 1024)
            done = started.finish(timeout=MOST_SECONDS)
            self.assert_ended(done, FAILURE, "No space left")
            (disk / "filler").unlink()
            self.assertEqual(run("checkpoint", "verify", folder).code, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
