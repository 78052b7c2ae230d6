"""Ranks that hang, die, lag or cannot write in the middle of herd train: all end in time, the culprit is named, the folder tells."""

import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import unittest

from herd_run import HERD, Job, Started, living, run

# Two contexts of one job, a rank each.
MPIRUN_TWO = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
LONG = ("train.epochs=20000", "checkpoint.every=5 steps", "checkpoint.keep=2")


def rank_of(process):
    with open(f"/proc/{process}/environ", "rb") as file:
        return int(dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)[b"OMPI_COMM_WORLD_RANK"])


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def process_of_rank(self, name, rank):
        herds = [p for p in living(self.job.folder) if f"run.name={name}" in pathlib.Path(f"/proc/{p}/cmdline").read_text()]
        return next(p for p in herds if rank_of(p) == rank)

    def start(self, name, *overrides, ranks=2, step=6):
        started = self.job.start(name, *LONG, *overrides, ranks=ranks)
        self.addCleanup(lambda: started.process.poll() is None and os.killpg(started.process.pid, signal.SIGKILL))
        self.job.wait_for_step(name, step)
        if "checkpoint.every=never" not in overrides:
            self.job.wait_for_checkpoint(name)  # written beside the training
        return started

    def causes(self, name):
        return {path.name: path.read_text() for path in (self.job.run_folder(name) / "errors").glob("rank-*.txt")}

    def flight(self, name):
        done = run("flight", self.job.run_folder(name))
        self.assertEqual(done.code, 0, done)
        return done.output

    def wait_until_gone(self):
        end = time.monotonic() + 5
        while living(self.job.folder):
            self.assertLess(time.monotonic(), end, "ranks are left over")
            time.sleep(0.05)

    def goes_on(self, name, *words):
        """The last checkpoint is good, and the next run says how this one ended."""
        verified = run("checkpoint", "verify", self.job.run_folder(name))
        self.assertEqual(verified.code, 0, verified)
        step = int((self.job.run_folder(name) / "checkpoints/latest").read_text().split("-")[-1])
        done = self.job.train(name, "resume=auto", "train.epochs=20000", f"train.max_steps={step + 2}")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(max(self.job.metrics(name)), step + 2)
        for word in ("the run before this one ended", *words):
            self.assertIn(word, done.output)
        self.assertIn("every rank has come as far as the others", self.flight(name))

    def test_stopped_rank(self):
        timeout = 2
        started = self.start("stopped", f"parallel.timeout_s={timeout}", f"parallel.save_timeout_s={timeout}")
        began = time.monotonic()
        os.kill(self.process_of_rank("stopped", 1), signal.SIGSTOP)
        done = started.finish(timeout=30)
        self.assertLess(time.monotonic() - began, timeout + 10, done)
        self.wait_until_gone()
        self.assertNotEqual(done.code, 0, done)
        host = os.uname().nodename
        self.assertIn(f"rank 1 on {host} does not answer after {timeout} s", done.output)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertIn("herd flight", done.output)
        self.assertIn(f"rank 1 on {host} does not answer", self.causes("stopped")["rank-0.txt"])
        # mpirun wakes what it kills, so the rank may have gone on for a moment.
        self.assertRegex(self.flight("stopped"), f"rank 1 on {host} (was late|lags|fell silent|was silent)")
        self.goes_on("stopped", "does not answer")

    def test_killed_rank(self):
        started = self.start("killed", ranks=3)
        process = self.process_of_rank("killed", 1)
        os.kill(process, signal.SIGKILL)
        done = started.finish(timeout=10)
        self.wait_until_gone()
        self.assertNotEqual(done.code, 0, done)
        gone = f"rank 1 on {os.uname().nodename} is gone (process {process})"
        self.assertEqual(done.output.count(gone), 1, done)  # both others saw it
        self.assertIn(gone, "".join(self.causes("killed").values()))
        self.assertNotIn("rank-1.txt", self.causes("killed"))
        self.assertIn("rank 1", self.flight("killed"))
        self.goes_on("killed", gone)

    def test_slow_rank_is_reported_and_left_alone(self):
        started = self.start("slow", "checkpoint.every=never", "run.log_every=100000", "data.held_out=0")
        slow = self.process_of_rank("slow", 1)
        stop = threading.Event()

        def slow_down():
            try:
                while not stop.is_set():
                    os.kill(slow, signal.SIGSTOP)
                    time.sleep(0.06)
                    os.kill(slow, signal.SIGCONT)
                    time.sleep(0.02)
            except ProcessLookupError:
                pass

        thread = threading.Thread(target=slow_down)
        thread.start()
        log = self.job.run_folder("slow") / "log.txt"
        end = time.monotonic() + 60
        while "is slow" not in log.read_text() and time.monotonic() < end and started.process.poll() is None:
            time.sleep(0.1)
        self.assertIsNone(started.process.poll())
        stop.set()
        thread.join()
        started.process.send_signal(signal.SIGUSR1)
        done = started.finish(timeout=20)
        self.assertEqual(done.code, 75, done)
        self.assertIn(f"rank 1 on {os.uname().nodename} is slow: over the last 20 steps", done.output)

    def test_ranks_that_were_started_differently(self):
        one, other = ([*map(str, self.job.arguments("mixed", f"train.learning_rate={rate}"))] for rate in ("0.001", "0.002"))
        done = Started([*MPIRUN_TWO, "-n", "1", HERD, *one, ":", "-n", "1", HERD, *other]).finish(timeout=30)
        self.assertEqual(done.code, 2, done)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertIn(f"rank 1: train.learning_rate on {os.uname().nodename}: 0.002; expected 0.001, as rank 0 has it", done.output)
        self.assertFalse(self.job.run_folder("mixed").exists())

        # Another build: the same program with a byte behind its end.
        copy = self.job.folder / "herd"
        shutil.copy(HERD, copy)
        with open(copy, "ab") as file:
            file.write(b"!")
        done = Started([*MPIRUN_TWO, "-n", "1", HERD, *one, ":", "-n", "1", copy, *one]).finish(timeout=30)
        self.assertEqual(done.code, 2, done)
        self.assertIn("rank 1: herd on ", done.output)
        self.assertIn("put one build on every host", done.output)

    def beside(self, name, mounted):
        """Two ranks of which the second sees other files: a mount in a namespace of its own stands for another host."""
        if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            self.skipTest("needs the right to mount")
        arguments = list(map(str, self.job.arguments(name)))
        elsewhere = ["unshare", "--mount", "bash", "-c", f"mount {mounted} && exec \"$@\"", "bash", HERD, *arguments]
        done = Started([*MPIRUN_TWO, "-n", "1", HERD, *arguments, ":", "-n", "1", *elsewhere]).finish(timeout=30)
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.output.count("error: "), 1, done)
        return done.output

    def test_ranks_that_see_other_data(self):
        other = self.job.write("other.json", self.job.records[::-1])
        said = self.beside("data", f"--bind {other} {self.job.folder}/data.json")
        self.assertIn("rank 1: other data than rank 0's; expected the same files on every host", said)

    def test_a_run_folder_that_is_not_shared(self):
        (self.job.folder / "runs").mkdir(exist_ok=True)
        said = self.beside("apart", f"-t tmpfs none {self.job.folder}/runs")
        self.assertIn("rank 1: ", said)
        self.assertIn("put run.folder on a file system that all ranks share", said)

    def test_one_rank_that_cannot_write(self):
        # A limit of this process alone stands for a full disk of its node: the folder is the same for all ranks here.
        limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 60; exec \"$@\"", "bash", HERD]
        arguments = list(map(str, self.job.arguments("limited", *LONG)))
        done = Started([*MPIRUN_TWO, "-n", "1", HERD, *arguments, ":", "-n", "1", *limited, *arguments]).finish(timeout=30)
        self.assertEqual(done.code, 1, done)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertIn("rank 1: ", done.output)
        self.assertIn("File too large", done.output)
        self.assertEqual([p for p in (self.job.run_folder("limited") / "checkpoints").iterdir() if ".tmp" in p.name], [])
        self.wait_until_gone()


if __name__ == "__main__":
    unittest.main(verbosity=2)
