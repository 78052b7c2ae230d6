"""herd launch: ranks that die, hang, are stopped or cannot be started, and what becomes of the run; herd doctor on this machine."""

import hashlib
import json
import os
import pathlib
import shlex
import signal
import unittest

from herd_run import HERD, Job, Started, living, run

STEPS = 200
LONG = ("train.epochs=20000", f"train.max_steps={STEPS}", "checkpoint.every=5 steps", "checkpoint.keep=2", "train.evaluate_every=never")
ENDLESS = (*LONG, "train.max_steps=20000", "train.schedule=constant")
OPEN_MPI = "mpirun (Open MPI) 4.1.4"


def rank_of(process):
    """The rank that a process of herd is, or None for a launcher."""
    try:
        words = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((int(word.split(b"=")[1]) for word in words if word.startswith(b"OMPI_COMM_WORLD_RANK=")), None)


class Launch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def start(self, name, *overrides, ranks=2, options=("--no-check",), **environment):
        started = Started([HERD, "launch", "-n", str(ranks), *options, "--", *map(str, self.job.arguments(name, *overrides))], **environment)
        self.addCleanup(lambda: started.process.poll() is None and os.killpg(started.process.pid, signal.SIGKILL))
        return started

    def launch(self, name, *overrides, timeout=60, **how):
        return self.start(name, *overrides, **how).finish(timeout)

    def tries(self, name):
        return [json.loads(line) for line in (self.job.run_folder(name) / "launch.jsonl").read_text().splitlines()]

    def process_of_rank(self, rank):
        return next(process for process in living(self.job.folder) if rank_of(process) == rank)

    def result(self, name):
        """Fingerprints of the weights that a run wrote."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.job.run_folder(name) / "model").glob("*.safetensors")}

    def stub(self, name, text):
        path = self.job.write(name, "#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def test_a_killed_rank_costs_a_restart_and_nothing_else(self):
        started = self.start("killed", *LONG)
        self.job.wait_for_step("killed", 12)
        self.job.wait_for_checkpoint("killed")
        os.kill(self.process_of_rank(1), signal.SIGKILL)
        done = started.finish(timeout=120)
        self.assertEqual(done.code, 0, done)
        first, second = self.tries("killed")
        self.assertEqual((first["then"], first["spends"], second["code"]), ("restart", True, 0), done)
        self.assertIn("rank 1", first["cause"])
        self.assertGreaterEqual(first["saved"], 5)
        self.assertIn(f"starting again from step {first['saved']}", done.output)
        whole = self.job.train("whole", *LONG, timeout=120)
        self.assertEqual(whole.code, 0, whole)
        for key in ("loss", "tokens"):
            self.assertEqual(self.job.metrics("killed", key), self.job.metrics("whole", key))
        self.assertEqual(len(self.result("whole")), 1)
        self.assertEqual(self.result("killed"), self.result("whole"))
        self.assertIn("[0] ", done.output)

    def test_a_failure_that_comes_again_is_given_up(self):
        done = self.launch("again", *LONG, "train.learning_rate=1000", "train.weight_decay=1", "train.warmup=0", "checkpoint.every=never")  # each step makes weights 999 times as large
        self.assertEqual(done.code, 70, done)
        first, second = self.tries("again")
        self.assertEqual((first["step"], first["saved"], first["then"]), (second["step"], 0, "restart"))
        self.assertEqual(second["then"], "end")
        self.assertIn("as before, with no checkpoint since step 0", done.output)
        self.assertGreaterEqual(first["step"], 1)
        self.assertRegex(first["cause"], "not finite|nan|inf")

    def test_a_signal_to_the_launcher_saves(self):
        for number, code in ((signal.SIGTERM, 76), (signal.SIGUSR1, 75), (signal.SIGINT, 130)):
            with self.subTest(number):
                name = f"stopped-{code}"
                started = self.start(name, *ENDLESS, "checkpoint.every=never")
                self.job.wait_for_step(name, 6)
                started.process.send_signal(number)
                done = started.finish(timeout=30)
                self.assertEqual(done.code, code, done)
                saved = int((self.job.run_folder(name) / "checkpoints/latest").read_text().split("-")[-1])
                self.assertGreaterEqual(saved, 6)
                self.assertEqual([entry["then"] for entry in self.tries(name)], ["end"])
        saved = self.tries("stopped-76")[0]["saved"]
        done = self.launch("stopped-76", *ENDLESS, "resume=auto", f"train.max_steps={saved + 5}")
        self.assertEqual(done.code, 0, done)
        self.assertIn("going on from", done.output)

    def test_a_pre_empted_rank_is_started_again(self):
        started = self.start("pre-empted", *LONG, "checkpoint.every=never")
        self.job.wait_for_step("pre-empted", 6)
        os.kill(self.process_of_rank(1), signal.SIGUSR1)
        done = started.finish(timeout=120)
        self.assertEqual(done.code, 0, done)
        self.assertEqual([(entry["code"], entry["spends"]) for entry in self.tries("pre-empted")], [(75, False), (0, False)])
        self.assertEqual(sorted(self.job.metrics("pre-empted")), list(range(1, STEPS + 1)))

    def test_another_runs_folder_is_left_alone(self):
        done = self.launch("used", "train.max_steps=2")
        self.assertEqual(done.code, 0, done)
        before = self.result("used")
        done = self.launch("used", "train.max_steps=4")
        self.assertEqual(done.code, 1, done)
        self.assertIn("what an earlier run left there", done.output)
        self.assertEqual([entry["code"] for entry in self.tries("used")], [0, 1])
        self.assertEqual(self.result("used"), before)

    def test_two_launches_of_one_run(self):
        first = self.start("busy", *ENDLESS)
        self.job.wait_for_step("busy", 6)
        done = self.launch("busy", *ENDLESS, "resume=auto")
        self.assertEqual(done.code, 1, done)
        self.assertIn("in use by another run (host", done.output)
        self.assertIn("the run never came to its folder", done.output)
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(first.finish(timeout=30).code, 76)

    def test_a_wrong_recipe_is_not_tried_at_all(self):
        done = self.launch("wrong", "train.learning_rat=1")
        self.assertEqual(done.code, 2, done)
        self.assertIn("did you mean 'train.learning_rate'?", done.output)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertFalse(self.job.run_folder("wrong").exists())

    def test_a_host_that_cannot_be_reached(self):
        for agent in ("echo 'no way there' >&2; exit 255\n", "exec sleep 60\n"):
            stub = self.stub("agent", agent)
            done = self.launch("far", options=("--hosts", "localhost:1,far.invalid:1", "--probe-timeout", "1"), OMPI_MCA_plm_rsh_agent=str(stub))
            self.assertEqual(done.code, 1, done)
            self.assertIn("host far.invalid: " + ("no way there" if "echo" in agent else "no answer in 1 s"), done.output)
            self.assertFalse(self.job.run_folder("far").exists())

    def test_more_ranks_than_room(self):
        done = self.launch("room", ranks=5, options=("--hosts", "a:2,b:2"))
        self.assertEqual(done.code, 2, done)
        self.assertIn("-n 5: room for 4 on a:2,b:2; expected room for 5", done.output)
        done = self.launch("room", "parallel.strategy=hsdp", "parallel.shard_degree=2", ranks=3)
        self.assertEqual(done.code, 2, done)
        self.assertIn("-n 3: 3 ranks, which parallel.strategy=hsdp with shard_degree=2 cannot be spread over here; expected for instance 2", done.output)

    def test_an_mpirun_of_another_flavour(self):
        for said, named in (("HYDRA build details:\n    Version: 4.0.2", "MPICH"), ("Intel(R) MPI Library for Linux* OS, Version 2021.9", "Intel MPI"),
                            ("mpirun (Open MPI) 99.0.1", "Open MPI 99.0.1")):
            stub = self.stub("mpirun-other", f"echo '{said}'\n")
            done = self.launch("flavour", options=("--no-check", "--mpirun", str(stub)))
            self.assertEqual(done.code, 2, done)
            self.assertIn(named, done.output)
            self.assertIn("--mpirun FILE", done.output)
            self.assertFalse(self.job.run_folder("flavour").exists())
        done = self.launch("flavour", options=("--no-check", "--mpirun", "/nonexistent/mpirun"))
        self.assertEqual(done.code, 1, done)
        self.assertIn("/nonexistent/mpirun", done.output)

    def test_an_mpirun_that_hangs_after_its_ranks(self):
        errors = self.job.run_folder("hung") / "errors"
        stub = self.stub("mpirun-hung", f"""\
if [ "$1" = --version ]; then echo '{OPEN_MPI}'; exit 0; fi
trap '' TERM
mkdir -p {errors}
printf '2026-11-21T00:00:00.000000000Z rank 1 host n2 process 7\\n\\nrank 0 does not answer\\n' >{errors}/rank-1.txt
while :; do sleep 1; done
""")
        done = self.launch("hung", options=("--no-check", "--mpirun", str(stub), "--hang-after", "1", "--restarts", "0"))
        self.assertEqual(done.code, 1, done)
        self.assertIn("mpirun has not ended 1 s after rank 1 on n2 failed", done.output)
        self.assertLess(done.seconds, 30)
        self.assertIn("rank 1 on n2: rank 0 does not answer", self.tries("hung")[0]["cause"])

    def test_a_dry_run_shows_and_starts_nothing(self):
        done = self.launch("dry", options=("--dry-run", "--hosts", "a:8,10.0.0.2:8", "--fabric", "infiniband"), ranks=16, HF_TOKEN="secret-token")
        self.assertEqual(done.code, 0, done)
        words = shlex.split(done.output)
        self.assertEqual(words[:3], ["NCCL_IB_DISABLE=0", "NCCL_IB_TIMEOUT=22", "mpirun"])
        for pair in (["--host", "a:8,10.0.0.2:8"], ["-n", "16"], ["-x", "HF_TOKEN"], ["-x", "NCCL_IB_TIMEOUT"], ["--mca", "oob_tcp_keepalive_time"]):
            self.assertTrue(any(words[i:i + 2] == pair for i in range(len(words))), (pair, words))
        self.assertNotIn("secret-token", done.output)
        self.assertFalse(self.job.run_folder("dry").exists())
        done = Started([HERD, "launch", "--dry-run", "--fabric", "none", "--", *map(str, self.job.arguments("dry"))],
                       SLURM_JOB_NODELIST="n[1-2]", SLURM_TASKS_PER_NODE="2(x2)").finish()
        self.assertIn("--host n1:2,n2:2 -n 4 ", done.output)

    def test_other_subcommands_run_once(self):
        done = Started([HERD, "launch", "-n", "2", "--no-check", "--", "config", str(self.job.folder / "recipe.yaml"), "nonsense=1"]).finish()
        self.assertEqual(done.code, 2, done)
        done = Started([HERD, "launch", "-n", "2", "--", "tarin", "x"]).finish()
        self.assertEqual(done.code, 2, done)
        self.assertIn("did you mean 'train'?", done.output)
        self.assertEqual(run("launch", "-n", "2").code, 2)

    def test_processes_that_do_not_know_of_each_other_are_refused(self):
        for launcher, environment in (("PMI", {"PMI_SIZE": "2", "PMI_RANK": "0"}), ("srun", {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"})):
            done = self.job.train("alone", ranks=0, **environment)
            self.assertEqual(done.code, 2, done)
            self.assertIn(f"2 processes started by {launcher}, each of which would train alone", done.output)
            self.assertIn("herd launch", done.output)
            self.assertFalse(self.job.run_folder("alone").exists())


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)

    def doctor(self, *options, **environment):
        return run("doctor", "--folder", self.job.folder / "shared", "--quick", "--slow-ratio", "1000", *options, **environment)

    def test_this_machine_is_fit(self):
        done = self.doctor("-n", "2")
        self.assertEqual(done.code, 0, done)
        self.assertIn("1 host fit", done.output)
        stored = json.loads((self.job.folder / "shared/doctor-baseline.json").read_text())
        self.assertEqual(list(stored["1048576"]), [f"inside {os.uname().nodename}"])
        self.assertEqual([path.name for path in (self.job.folder / "shared").iterdir()], ["doctor-baseline.json"])
        self.assertEqual(self.doctor().code, 0)  # a process alone

    def test_what_is_unfit_is_told(self):
        done = self.doctor("-n", "2", "--min-disk", "1e9", "--min-memory", "1e9")
        self.assertEqual(done.code, 1, done)
        for words in ("GiB free where runs are kept; expected at least 1e+09 GiB", "of memory free; expected at least 1e+09 GiB"):
            self.assertIn(words, done.output)

    def test_gpus_are_asked(self):
        stubs = self.job.folder / "stubs"
        stubs.mkdir(exist_ok=True)
        smi = self.job.write("stubs/nvidia-smi", "#!/bin/sh\necho 'NVIDIA H100, 34, 0'\necho 'NVIDIA H100, 35, 3'\n")
        smi.chmod(0o755)
        done = self.doctor("-n", "2", PATH=f"{stubs}:{os.environ['PATH']}")
        self.assertEqual(done.code, 1, done)
        self.assertIn("GPU 1 (NVIDIA H100): 3 ECC errors that were not corrected", done.output)

    def test_launch_asks_the_doctor_first(self):
        done = Started([HERD, "launch", "-n", "2", "--", *map(str, self.job.arguments("checked", "train.max_steps=2"))]).finish()
        self.assertEqual(done.code, 0, done)
        self.assertIn("1 host fit", done.output)
        self.assertTrue((self.job.folder / "runs/doctor-baseline.json").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
