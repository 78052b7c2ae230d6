"""herd submit and herd runs on a real SLURM of two nodes, by cluster/slurm: pre-empted, queued again, gone on with, to the bits of a run that nobody stopped."""

import json
import os
import subprocess
import sys
import time
import unittest

from herd_paths import ROOT
from herd_run import HERD, PATIENCE, Job, living, run

SLURM = str(ROOT / "cluster/slurm")
NAME = f"herd{os.getpid()}"
LONG = ("train.epochs=60", "checkpoint.every=25 steps")  # 300 steps
KEEPALIVE = '--mca, oob_tcp_keepalive_time, "3", --mca, oob_tcp_keepalive_intvl, "1", --mca, oob_tcp_keepalive_probes, "3"'


def slurm(verb, *arguments):
    return subprocess.run([SLURM, verb, *arguments], capture_output=True, text=True)


class Slurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        # It is taken down when this end of the pipe is closed, however this process ends.
        running = subprocess.Popen([SLURM, "run", "--name", NAME, "--", "sh", "-c", "echo $SLURM_CONF $OMPI_MCA_btl; cat"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(running.communicate)
        cls.environment = dict(zip(("SLURM_CONF", "OMPI_MCA_btl"), running.stdout.readline().split(), strict=True))
        cls.job.write("site.yaml", f"""\
launcher: mpirun
mpirun_options: [--bind-to, none, --oversubscribe, {KEEPALIVE}]
environment: {{OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", OMP_NUM_THREADS: "1"}}
signal_s: 10
""")
        done = cls.job.train("whole", *LONG, ranks=4, timeout=300)
        assert done.code == 0, done

    def tearDown(self):
        self.slurm("scancel", "--user=root")
        self.slurm("scontrol", "update", "nodename=n[1-2]", "state=resume")
        self.until(lambda: not self.slurm("squeue", "--noheader"), 60, "the queue is not empty")

    def slurm(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment})
        return done.stdout.strip()

    def until(self, holds, seconds, otherwise):
        end = time.monotonic() + seconds * PATIENCE
        while not (value := holds()):
            self.assertLess(time.monotonic(), end, otherwise)
            time.sleep(0.1)
        return value

    def herd(self, *arguments):
        return run(*arguments, **self.environment)

    def submit(self, name, *arguments, code=0):
        done = self.herd("submit", self.job.folder / "recipe.yaml", f"run.name={name}", "--site", self.job.folder / "site.yaml", *arguments)
        self.assertEqual(done.code, code, done)
        return done.output

    def record(self, name):
        return json.loads((self.job.run_folder(name) / "job.json").read_text())

    def listed(self, name):
        listed = json.loads(self.slurm(HERD, "runs", str(self.job.folder / "runs"), "--json"))
        return next(each for each in listed if each["name"] == name)

    def log(self, name):
        return "".join(path.read_text() for path in sorted(self.job.run_folder(name).glob("slurm-*.log")))

    def wait_for_state(self, name, state, seconds=120):
        try:
            return self.until(lambda: (found := self.listed(name))["state"] == state and found, seconds, f"{name} is never {state}")
        except AssertionError:
            raise AssertionError(f"{name}: {self.listed(name)}\n{self.log(name)}") from None

    def wait_until_queued(self, name, seconds=90):
        """Until its script has ended and it is in the queue again."""
        self.until(lambda: self.listed(name)["detail"].startswith("PENDING"), seconds, f"{name} is not queued again")
        return self.listed(name)

    def queue_now(self, name):
        """What SLURM puts off by two minutes, so that a node may come to rest, begins soon."""
        job = self.record(name)["job"]

        def runs():
            state = self.slurm("squeue", "-h", "-j", job, "-o", "%T %r")
            if state == "PENDING BeginTime":
                self.slurm("scontrol", "update", f"jobid={job}", "starttime=now")
            return state.startswith("RUNNING")

        self.until(runs, 60, f"job {job} does not begin")

    def model(self, name):
        return (self.job.run_folder(name) / "model/model.safetensors").read_bytes()

    def assert_as_if_never_stopped(self, name):
        self.assertEqual(self.job.metrics(name), self.job.metrics("whole"))
        self.assertEqual(self.model(name), self.model("whole"))

    def test_preempted_queued_again_and_gone_on_with(self):
        self.submit("preempted", "--nodes", "2", "--ranks-per-node", "2", *LONG)
        job = self.record("preempted")["job"]
        self.job.wait_for_step("preempted", 10, 60)
        self.assertEqual(self.slurm("squeue", "-h", "-j", job, "-o", "%N"), "n[1-2]")
        self.assertEqual(self.listed("preempted")["state"], "running")
        self.assertEqual(self.listed("preempted")["job"], job)
        # A second incarnation is told who is at work.
        twice = self.job.train("preempted", "resume=auto", ranks=1)
        self.assertEqual(twice.code, 1, twice)
        self.assertRegex(twice.output, rf"in use by another run \(host \S+, process \d+, job {job}, since")
        self.assertIn("in use by another run", self.submit("preempted", "resume=auto", code=1))
        self.slurm("scancel", "--batch", "--signal=USR1", job)
        waiting = self.wait_until_queued("preempted")
        self.assertEqual(waiting["state"], "waiting")
        stopped_at = waiting["step"]
        self.assertLess(stopped_at, 300)
        self.assertIn(f"job {job} is queued for it", self.submit("preempted", "resume=auto", code=1))
        self.queue_now("preempted")
        self.wait_for_state("preempted", "finished")
        self.assertIn(f"step {stopped_at} is saved", self.log("preempted"))
        self.assertIn("going on from", self.log("preempted"))
        self.assert_as_if_never_stopped("preempted")

    def test_the_end_of_the_time(self):
        self.submit("limit", "--nodes", "2", "--ranks-per-node", "2", "--time", "1", *LONG[1:], "train.epochs=100000", "train.schedule=constant", "train.warmup=0")
        self.wait_for_state("limit", "running", 60)
        self.wait_until_queued("limit")
        self.assertIn("is saved", self.log("limit"))
        self.queue_now("limit")
        self.until(lambda: "going on from" in self.log("limit"), 60, "it did not go on")

    def test_a_node_that_drains_and_one_that_is_lost(self):
        self.submit("drained", "--nodes", "2", "--ranks-per-node", "2", *LONG)
        self.job.wait_for_step("drained", 10, 60)
        self.slurm("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
        reached = max(self.job.metrics("drained"))
        self.job.wait_for_step("drained", reached + 10, 60)  # what runs there may end there
        self.slurm("scontrol", "update", "nodename=n2", "state=down", "reason=test")  # SLURM itself queues the job again
        self.wait_until_queued("drained")
        self.until(lambda: not living(self.job.run_folder("drained")), 30, "ranks are left over")
        self.slurm("scontrol", "update", "nodename=n2", "state=resume")
        self.queue_now("drained")
        self.wait_for_state("drained", "finished")
        self.assert_as_if_never_stopped("drained")

    def test_queued_again_by_hand_during_a_save(self):
        self.submit("by-hand", *LONG[:1], "checkpoint.every=1 steps", "--ranks-per-node", "4")  # hardly a moment without one
        self.job.wait_for_step("by-hand", 10, 60)
        self.slurm("scontrol", "requeue", self.record("by-hand")["job"])
        self.wait_until_queued("by-hand")
        self.queue_now("by-hand")
        self.wait_for_state("by-hand", "finished")
        self.assert_as_if_never_stopped("by-hand")

    def test_stop_is_not_queued_again(self):
        self.submit("stopped", "--nodes", "2", *LONG)
        self.job.wait_for_step("stopped", 5, 60)
        done = self.herd("runs", "stop", self.job.run_folder("stopped"), "--wait")
        self.assertEqual(done.code, 0, done)
        self.until(lambda: not self.slurm("squeue", "--noheader"), 60, "it is queued again")
        self.assertEqual(self.listed("stopped")["state"], "stopped")
        self.submit("stopped", "--nodes", "2", "resume=auto", *LONG)
        self.wait_for_state("stopped", "finished")
        self.assertEqual(len(self.job.metrics("stopped")), 300)
        # One that waits is taken out of the queue.
        self.slurm("scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=test")
        self.submit("waits", *LONG)
        self.wait_for_state("waits", "waiting")
        done = self.herd("runs", "stop", self.job.run_folder("waits"))
        self.assertIn("is out of the queue", done.output)
        self.wait_for_state("waits", "not begun", 30)

    def test_an_array(self):
        self.submit("array", "--array", "1-3", "data.seed=%a", "--cpus-per-rank", "1")
        for index in (1, 2, 3):
            found = self.wait_for_state(f"array-{index}", "finished")
            self.assertEqual(found["job"], self.record(f"array-{index}")["job"])
            alone = self.job.train(f"alone-{index}", f"data.seed={index}", ranks=1)
            self.assertEqual(alone.code, 0, alone)
            self.assertEqual(self.model(f"array-{index}"), self.model(f"alone-{index}"))
        self.assertNotEqual(self.model("array-1"), self.model("array-2"))

    def test_stages_run_behind_a_run_that_ended_well(self):
        if not (self.job.run_folder("base") / "model").exists():
            self.job.made_model()
        self.job.take_model(f"path: {self.job.run_folder('base')}/model")
        self.addCleanup(self.job.take_family, "llama")
        lora = ("peft.method=lora", "train.epochs=1")
        self.submit("staged", *lora, "--then", "merge", "--then", "model inspect %run/merged")
        self.until(lambda: not self.slurm("squeue", "--noheader"), 120, "stages never end")
        self.assertTrue((self.job.run_folder("staged") / "merged/model.safetensors").exists(), self.log("staged"))
        self.assertIn("llama", self.log("staged").lower())
        self.submit("fails", *lora, "data.max_tokens=190", "data.sets=[nowhere.json]", "--then", "merge")
        self.until(lambda: not self.slurm("squeue", "--noheader"), 60, "the stage of a failed run waits for ever")
        self.assertFalse((self.job.run_folder("fails") / "merged").exists())
        self.assertEqual(self.listed("fails")["state"], "failed")

    def test_what_sbatch_refuses(self):
        said = self.submit("refused", "--partition", "nope", code=1)
        self.assertIn("invalid partition specified: nope", said)
        self.assertIn("Node count specification invalid", self.submit("refused", "--nodes", "3", code=1))
        self.assertIn("More processors requested than permitted", self.submit("refused", "--cpus-per-rank", "99", code=1))
        self.assertFalse(self.job.run_folder("refused").exists())

    def test_odd_names(self):
        name = "it's a \"模型\" 100% $HOME"
        self.submit(name, "train.epochs=1")
        self.wait_for_state(name, "finished")
        self.assertIn("done:", self.log(name))

    def test_srun_starts_ranks_of_one_node(self):
        self.job.write("srun.yaml", 'launcher: srun\nsrun_options: [--mpi=pmix]\nenvironment: {OMP_NUM_THREADS: "1"}\nsignal_s: 10\n')
        done = self.herd("submit", self.job.folder / "recipe.yaml", "run.name=srun", "--site", self.job.folder / "srun.yaml", "--ranks-per-node", "4", *LONG)
        self.assertEqual(done.code, 0, done)
        self.job.wait_for_step("srun", 10, 60)
        self.slurm("scancel", "--batch", "--signal=USR1", self.record("srun")["job"])
        self.wait_until_queued("srun")
        self.queue_now("srun")
        self.wait_for_state("srun", "finished")
        self.assert_as_if_never_stopped("srun")


if __name__ == "__main__":
    check = slurm("check")
    if check.returncode == 77:
        print(check.stderr.strip())
        sys.exit(77)
    unittest.main(verbosity=2)
