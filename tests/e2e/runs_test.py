"""herd runs over real runs: while they work, when they are stopped, killed, or done."""

import json
import os
import signal
import subprocess
import time
import unittest

from herd_run import HERD, PREEMPTED, Job, run, start

LONG = ("train.epochs=20000", "train.schedule=constant", "train.warmup=0", "checkpoint.every=50 steps")


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def herd(self, *arguments, code=0):
        done = run("runs", *arguments)
        self.assertEqual(done.code, code, done)
        return done.output

    def machine(self, *arguments):
        """What is said on stdout alone: a squeue that has no SLURM to ask complains on the other one."""
        return json.loads(subprocess.run([HERD, "runs", *map(str, arguments)], stdout=subprocess.PIPE, check=True).stdout)

    def listed(self, name):
        return next(each for each in self.machine(self.job.folder / "runs", "--json") if each["name"] == name)

    def begin(self, name, **where):
        started = self.job.start(name, *LONG, **where)
        self.addCleanup(lambda: started.process.poll() is None and os.killpg(started.process.pid, signal.SIGKILL))
        self.job.wait_for_step(name, 3)
        return started

    def test_one_at_work_is_followed_and_stopped(self):
        started = self.begin("stopped")
        at_work = self.listed("stopped")
        self.assertEqual(at_work["state"], "running")
        self.assertGreaterEqual(at_work["step"], 3)
        followed = start("runs", "tail", "-f", self.job.run_folder("stopped"))
        said = self.herd("stop", self.job.run_folder("stopped"), "--wait", "--timeout", "60")
        self.assertRegex(said, r"^process \d+ is told to save and end\nstopped at step \d+: resume=auto goes on with it\n$")
        self.assertEqual(started.finish().code, PREEMPTED)
        followed = followed.finish(30)
        self.assertEqual(followed.code, 0, followed)
        self.assertIn("is saved, resume=auto goes on from it", followed.output)
        step = self.listed("stopped")["step"]
        self.assertEqual(step, max(self.job.metrics("stopped")))
        done = self.job.train("stopped", "resume=auto", *LONG, f"train.max_steps={step + 2}")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.listed("stopped")["state"], "finished")
        self.assertIn("no run at work", self.herd("stop", self.job.run_folder("stopped"), code=1))

    def test_killed_and_failed_ones_are_told_apart_from_stopped_ones(self):
        started = self.begin("killed", ranks=1)
        os.kill(started.ranks()[0], signal.SIGKILL)
        started.finish()
        killed = self.listed("killed")
        self.assertEqual((killed["state"], killed["detail"].split(":")[0]), ("failed", "ended without a word"))
        done = self.job.train("failed", "data.sets=[nowhere.json]")
        self.assertNotEqual(done.code, 0)
        failed = self.listed("failed")
        self.assertEqual(failed["state"], "failed")
        self.assertIn("nowhere.json", failed["detail"])

    def test_two_are_compared(self):
        for name, rate in (("slow", "1e-4"), ("fast", "3e-3")):
            done = self.job.train(name, f"train.learning_rate={rate}", ranks=1)
            self.assertEqual(done.code, 0, done)
        picture = self.job.folder / "curves.png"
        folders = [self.job.run_folder(name) for name in ("slow", "fast")]
        compared = self.machine("compare", *folders, "--json", "--picture", picture)
        self.assertEqual(compared["settings"], {"train.learning_rate": ["0.0001", "0.003"]})
        for run_name, steps in zip(("slow", "fast"), compared["numbers"]["steps"]):
            self.assertEqual(int(steps), max(self.job.metrics(run_name)))
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        shown = self.herd("show", folders[1])
        self.assertIn("train.learning_rate: 0.003", shown)
        self.assertIn(str(folders[1] / "model"), shown)

    def test_a_look_never_keeps_a_run_from_beginning(self):
        name = "looked-at"
        started = self.job.start(name, "train.epochs=1", ranks=1)
        end = time.monotonic() + 30
        (self.job.folder / "runs").mkdir(exist_ok=True)
        while started.process.poll() is None and time.monotonic() < end:
            self.herd(self.job.folder / "runs", "--json")
        done = started.finish()
        self.assertEqual(done.code, 0, done)


if __name__ == "__main__":
    unittest.main(verbosity=2)
