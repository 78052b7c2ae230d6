"""`herd sweep` to its end: grids with points that fail, diverge and are pre-empted, a killed submitter, ASHA over restarts, an array's workers."""

import csv
import json
import os
import re
import signal
import stat
import subprocess
import time
import unittest

from herd_run import PATIENCE, PREEMPTED, TERMINATED, Job, living, run, start

FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def asha(points, rungs, factor, value):
    """Algorithm 2 of Li et al. 2020 with one worker, written from the paper: [(point, rung)] in the order of the jobs. `value(point, rung)` is the loss there."""
    done, promoted, fresh, jobs = [dict() for _ in rungs], [set() for _ in rungs], iter(range(points)), []
    while True:
        job = None
        for rung in reversed(range(len(rungs) - 1)):
            best = sorted(done[rung], key=lambda point: (done[rung][point], point))[:len(done[rung]) // factor]
            candidates = [point for point in best if point not in promoted[rung]]
            if candidates:
                promoted[rung].add(candidates[0])
                job = candidates[0], rung + 1
                break
        if job is None:
            point = next(fresh, None)
            if point is None:
                return jobs
            job = point, 0
        jobs.append(job)
        done[job[1]][job[0]] = value(*job)


def losses(folder, key="loss"):
    """{step: value} of a run."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[key] for line in lines if key in line}


class Sweep(unittest.TestCase):
    def setUp(self):
        self.job = Job()
        self.addCleanup(self.job.close)
        self.file = self.job.folder / "sweep.yaml"
        self.folder = self.job.folder / "out"

    def write(self, text):
        self.file.write_text(f"recipe: recipe.yaml\nfolder: {self.folder}\n{text}")

    def sweep(self, *arguments, code=0, timeout=120, **environment):
        done = run("sweep", self.file, *arguments, timeout=timeout, **environment)
        self.assertEqual(done.code, code, done)
        return done

    def states(self):
        return {path.parent.name: json.loads(path.read_text()) for path in self.folder.glob("points/*/state.json")}

    def counts(self):
        found = [state["state"] for state in self.states().values()]
        return {name: found.count(name) for name in set(found)}

    def table(self):
        with open(self.folder / "results.csv", newline="") as file:
            return list(csv.DictReader(file))

    def metrics(self, point, key="loss"):
        return losses(self.folder / "points" / point / "run", key)

    def wait_for(self, what, process, timeout=60):
        end = time.monotonic() + timeout * PATIENCE
        while not what():
            self.assertIsNone(process.process.poll(), "ended too soon")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def steps(self, at_least):
        """Whether some point's run has come so far."""
        files = self.folder.glob("points/*/run/metrics.jsonl")
        return any(f'"step":{step},' in text for text in (path.read_text() for path in files) for step in range(at_least, at_least + 50))

    def test_a_grid_with_failing_and_diverging_points(self):
        # So great a decay makes weights of 1e27, and then of none.
        gone = self.job.folder / "gone.json"
        data = self.job.folder / "data.json"
        self.write(f"set: {{train.max_steps: 5}}\nparameters:\n  data.sets: [[{data}], [{data}, {gone}]]\n  train.weight_decay: [0, 1e30]\n")
        self.assertIn("4 points", self.sweep("--dry-run").output)
        self.assertFalse(self.folder.exists())
        done = self.sweep(code=FAILURE)
        self.assertEqual(self.counts(), {"finished": 1, "diverged": 1, "failed": 2}, done)
        self.assertIn("gone.json", next(state["error"] for state in self.states().values() if state["state"] == "failed"))
        before = {name: state["starts"] for name, state in self.states().items()}
        self.sweep(code=FAILURE)
        self.assertEqual({name: state["starts"] for name, state in self.states().items()}, before, "nothing is run twice")
        gone.write_text(json.dumps(self.job.records[:8]))
        self.sweep("--failed")
        self.assertEqual(self.counts(), {"finished": 2, "diverged": 2}, "a diverged point is a result")
        self.assertEqual(sorted(state["starts"] for state in self.states().values()), [1, 1, 2, 2])
        best = min(((name, state) for name, state in self.states().items() if state["state"] == "finished"), key=lambda item: item[1]["value"])
        self.assertEqual(self.table()[0]["points"], best[0])
        self.assertAlmostEqual(float(self.table()[0]["held_out_loss"]), best[1]["value"], 12)
        self.assertEqual(self.metrics(best[0], "held_out_loss")[best[1]["step"]], best[1]["value"])
        done = run("train", self.folder / "best/config.yaml")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(losses(self.folder / "best/run"), self.metrics(best[0]), "the best point's recipe is its run")

    def test_a_full_disk_of_one_point_is_its_own(self):
        self.write("set: {train.max_steps: 2}\nparameters: {train.learning_rate: [1e-3, 2e-3, 3e-3]}\n")
        names = re.findall(r"^([0-9a-f]{16}) ", self.sweep("--dry-run").output, re.MULTILINE)
        small = self.folder / "points" / names[1] / "run"
        small.mkdir(parents=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "herd-test", small], capture_output=True).returncode:
            self.skipTest("no right to mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        self.sweep(code=FAILURE)
        self.assertEqual([self.states()[name]["state"] for name in names], ["finished", "failed", "finished"])
        self.assertIn("No space left", self.states()[names[1]]["error"])
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        self.sweep("--failed")
        self.assertEqual(self.counts(), {"finished": 3})

    def test_bad_files_are_refused_before_anything_runs(self):
        for text, told in [("parameters: {train.lerning_rate: [1]}\n", "did you mean 'train.learning_rate'?"), ("parameters: {train.epochs: []}\n", "has no values"),
                           ("parameters: {train.epochs: [1, 0]}\n", "'train.epochs' is '0'"), ("metric: held_out_loss\nset: {data.held_out: 0}\nparameters: {train.epochs: [1]}\n", "where data.held_out is 0")]:
            self.write(text)
            done = self.sweep(code=USAGE)
            self.assertRegex(done.output, rf"^error: {re.escape(str(self.file))}:\d+:\d+: ")
            self.assertIn(told, done.output)
            self.assertEqual(done.output.count("error:"), 1)
            self.assertFalse(self.folder.exists())

    def test_a_killed_submitter_goes_on_and_two_are_refused(self):
        self.write("set: {train.epochs: 60}\nparameters: {train.learning_rate: [1e-3, 3e-3, 1e-2]}\nrun: {slots: 2}\n")
        first = start("sweep", self.file)
        self.wait_for(lambda: self.steps(3), first)
        self.assertIn("the sweep in", self.sweep(code=FAILURE).output)
        self.assertEqual(len([state for state in self.states().values() if state["state"] == "running"]), 2)
        os.kill(first.process.pid, signal.SIGKILL)
        first.finish()
        self.sweep(timeout=240)
        self.assertEqual(self.counts(), {"finished": 3})
        self.assertEqual(sorted(state["starts"] for state in self.states().values()), [1, 2, 2])
        resumed = next(name for name, state in self.states().items() if state["starts"] == 2)
        steps = sorted(self.metrics(resumed))
        self.assertEqual(steps, list(range(1, steps[-1] + 1)))
        self.assertEqual(living(self.folder), [])
        # Bit for bit what an uninterrupted run learns.
        done = run("train", self.folder / "points" / resumed / "config.yaml", f"run.folder={self.job.folder}/alone", "run.name=x", timeout=120)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(losses(self.job.folder / "alone/x"), self.metrics(resumed))

    def test_signals_save_the_runs_and_are_told_by_the_code(self):
        for number, code in [(signal.SIGUSR1, PREEMPTED), (signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)]:
            self.folder = self.job.folder / f"out{number}"
            self.write("set: {train.epochs: 40}\nparameters: {train.learning_rate: [1e-3, 3e-3, 1e-2]}\nrun: {slots: 2}\n")
            job = start("sweep", self.file)
            self.wait_for(lambda: self.steps(2), job)
            os.kill(job.process.pid, number)
            done = job.finish()
            self.assertEqual(done.code, code, done)
            self.assertLessEqual(self.counts().get("preempted", 0), 2)
            self.assertGreaterEqual(self.counts().get("preempted", 0), 1, done)
            self.assertEqual(living(self.folder), [])
            self.assertTrue((self.folder / "report.html").exists())

    def test_points_of_two_ranks(self):
        self.write(f"set: {{train.max_steps: 2}}\nparameters: {{peft.method: [none, lora]}}\nrun: {{ranks: 2, launcher: mpirun --oversubscribe --bind-to none}}\n")
        self.sweep(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        log = next(self.folder.glob("points/*/log.txt")).read_text()
        self.assertIn("2 ranks", log)

    def climbs(self):
        """{point's learning rate: rungs that it has}"""
        return {row["train.learning_rate"]: len(self.states()[row["points"]]["rungs"]) for row in self.table()}

    def asha(self, more=""):
        self.write("method: asha\npoints: 6\nasha: {least: 2, most: 8, factor: 2}\nset: {train.epochs: 9}\nvalue: last\n"
                   "parameters: {train.learning_rate: {low: 1e-4, high: 3e-2, scale: log}}\n" + more)

    def test_asha_is_the_papers_and_survives_restarts(self):
        self.asha()
        whole = self.sweep(timeout=300)
        jobs = re.findall(r"point ([0-9a-f]{16}) begins: .*, to step (\d+)", whole.output)
        order = re.findall(r"^([0-9a-f]{16}) ", self.sweep("--dry-run").output, re.MULTILINE)
        rungs = [2, 4, 8]
        expected = asha(6, rungs, 2, lambda point, rung: self.metrics(order[point], "held_out_loss")[rungs[rung]])
        self.assertEqual([(order.index(name), rungs.index(int(step))) for name, step in jobs], expected)
        # The best was paused twice, and is the run that never was.
        best = self.table()[0]["points"]
        self.assertEqual(max(self.metrics(best)), 8)
        done = run("train", self.folder / "best/config.yaml")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(losses(self.folder / "best/run"), self.metrics(best))
        # The same sweep, stopped in the middle of rungs.
        uninterrupted, self.folder = self.climbs(), self.job.folder / "stopped"
        self.asha()
        for number in (signal.SIGUSR1, signal.SIGKILL, signal.SIGTERM):
            began = len(self.states())
            job = start("sweep", self.file)
            self.wait_for(lambda: len(self.states()) > began, job)
            time.sleep(0.6)
            os.kill(job.process.pid, number)
            job.finish()
        self.sweep(timeout=300)
        self.assertEqual(self.climbs(), uninterrupted)

    def test_workers_of_an_array_and_the_report_after_them(self):
        self.write("set: {train.max_steps: 2}\nparameters: {train.learning_rate: [1e-3, 2e-3, 3e-3, 4e-3]}\nslurm: [--partition=all]\n")
        workers = [start("sweep", self.file, "--worker", f"{i}/3") for i in range(3)]
        for worker in workers:
            done = worker.finish()
            self.assertEqual(done.code, 0, done)
        self.assertEqual(self.counts(), {"finished": 4})
        self.assertFalse((self.folder / "results.csv").exists())
        self.sweep("--report")
        self.assertEqual(len(self.table()), 4)
        self.assertIn("I/N", self.sweep("--worker", "3/3", code=USAGE).output)

    def test_an_array_is_submitted_with_its_report(self):
        self.write("parameters: {train.learning_rate: [1e-3, 2e-3]}\nslurm: [--partition=all]\n")
        self.assertIn("#SBATCH --array=0-1%1", self.sweep("--slurm", "--dry-run").output)
        self.assertFalse(self.folder.exists())
        self.assertIn("no such program", self.sweep("--slurm", code=FAILURE, PATH="/nowhere").output)
        fake = self.job.folder / "bin/sbatch"
        fake.parent.mkdir()
        fake.write_text(f'#!/bin/bash\necho "$@" >> {self.job.folder}/submitted\necho "17;cluster"\n')
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        self.sweep("--slurm", PATH=f"{fake.parent}:{os.environ['PATH']}")
        self.assertEqual((self.job.folder / "submitted").read_text(), f"--parsable {self.folder}/array.sbatch\n--parsable --dependency=afterany:17 {self.folder}/report.sbatch\n")
        fake.write_text("#!/bin/bash\necho 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2\nexit 1\n")
        self.assertIn("Invalid partition", self.sweep("--slurm", code=FAILURE, PATH=f"{fake.parent}:{os.environ['PATH']}").output)


if __name__ == "__main__":
    unittest.main()
