"""herd launch and herd doctor over nodes: one is lost in mid-run and the run goes on without it; a slow one is named."""

import json
import os
import signal
import time
import unittest

from herd_run import HERD, Job, Started, living, run
from nodes_test import NAME, TESTBED, need, skip_without, testbed

HOSTS = "10.77.0.1,10.77.0.2,10.77.0.3"
WAIT = 'touch "$0.up"; until [ -e "$0" ]; do sleep 0.05; done; '


class Launch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need()
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def start(self, *command, options=()):
        started = Started([TESTBED, "launch", "--name", NAME, "--nodes", "3", *options, "--", *map(str, command)])
        self.addCleanup(lambda: started.process.poll() is None and os.killpg(started.process.pid, signal.SIGTERM))
        return started

    def tries(self, name):
        path = self.job.run_folder(name) / "launch.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def test_a_lost_node_is_left_out(self):
        timeout, steps = 4, 200
        steady = ("train.epochs=20000", "train.schedule=constant", "train.warmup=0", "train.learning_rate=1e-4", f"train.max_steps={steps}")
        started = self.start(HERD, "launch", "--hosts", HOSTS, "--no-check", "--", *self.job.arguments(
            "lost", *steady, "checkpoint.every=4 steps", "train.evaluate_every=never", f"parallel.timeout_s={timeout}", f"parallel.save_timeout_s={timeout}"))
        self.job.wait_for_step("lost", 9)
        self.job.wait_for_checkpoint("lost")
        began = time.monotonic()
        self.assertEqual(testbed("cut", 3).returncode, 0)
        while not self.tries("lost"):
            self.assertLess(time.monotonic() - began, 60)
            time.sleep(0.05)
        self.assertLess(time.monotonic() - began, timeout + 30)
        done = started.finish(timeout=120)
        self.assertEqual(done.code, 0, done)
        first, second = self.tries("lost")
        self.assertEqual((first["ranks"], first["lost"], first["then"], first["spends"]), (3, ["10.77.0.3"], "restart", False), done)
        self.assertEqual((second["ranks"], second["hosts"], second["code"]), (2, "10.77.0.1:1,10.77.0.2:1", 0))
        self.assertRegex(first["cause"] + done.output, r"rank 2 on node3")
        self.assertIn("lost 10.77.0.3", done.output)
        self.assertIn(f"starting again from step {first['saved']}, on 10.77.0.1:1,10.77.0.2:1", done.output)
        # Each step once, with the rows that it has on one rank: their tokens tell.
        whole = self.job.train("whole", *steady, "train.evaluate_every=never", ranks=1, timeout=120)
        self.assertEqual(whole.code, 0, whole)
        self.assertEqual(sorted(self.job.metrics("lost")), list(range(1, steps + 1)))
        self.assertEqual(self.job.metrics("lost", "tokens"), self.job.metrics("whole", "tokens"))
        for at, loss in self.job.metrics("whole").items():
            self.assertAlmostEqual(self.job.metrics("lost")[at], loss, delta=1e-3)  # three ranks, then two
        self.assertEqual(run("checkpoint", "verify", self.job.run_folder("lost")).code, 0)
        end = time.monotonic() + 5
        while living(self.job.folder):
            self.assertLess(time.monotonic(), end, "ranks are left over")
            time.sleep(0.05)

    def test_a_node_that_cannot_be_reached_is_named_before_anything_starts(self):
        go = self.job.folder / "go-unreached"
        wait = WAIT + 'exec "$@"'
        started = self.start("bash", "-c", wait, go, HERD, "launch", "--hosts", HOSTS, "--", *self.job.arguments("unreached"))
        self.when_up(go, "cut", 2)
        done = started.finish(timeout=60)
        self.assertEqual(done.code, 1, done)
        self.assertIn("host 10.77.0.2: ssh: connect to host 10.77.0.2 port 22: No route to host", done.output)
        self.assertFalse(self.job.run_folder("unreached").exists())

    def test_the_doctor_names_a_slow_node_and_launch_leaves_it_out(self):
        need("--rate", "20mbit")
        go = self.job.folder / "go-slow"
        script = WAIT + '"$1" doctor --hosts "$2" --folder "$3" --quick --slow-ratio 4; echo "doctor ended with $?"; exec "$1" launch --hosts "$2" --leave-out-slow -- "${@:4}"'
        started = self.start("bash", "-c", script, go, HERD, HOSTS, self.job.folder / "runs", *self.job.arguments("swift", "train.max_steps=2"))
        self.when_up(go, "slow", 3, "20mbit")
        done = started.finish(timeout=120)
        self.assertEqual(done.code, 0, done)
        self.assertIn("doctor ended with 1", done.output)
        self.assertRegex(done.output, r"unfit: node3: up to [\d.]+ ms for an all-reduce, over 2 of its links")
        self.assertIn("leaving out node3", done.output)
        self.assertEqual([entry["hosts"] for entry in self.tries("swift")], ["10.77.0.1:1,10.77.0.2:1"])

    def when_up(self, go, *change, timeout=20):
        """Changes the test bed once it stands, then lets its command go on."""
        end = time.monotonic() + timeout
        while not go.with_suffix(".up").exists():
            self.assertLess(time.monotonic(), end, "the test bed does not come up")
            time.sleep(0.05)
        self.assertEqual(testbed(*change).returncode, 0)
        go.touch()


if __name__ == "__main__":
    skip_without()
    unittest.main(verbosity=2)
