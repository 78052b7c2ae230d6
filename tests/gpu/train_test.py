"""Small jobs on the GPU against the same jobs on the CPU, step by step, and a model's logits and gradients.

HERD_TEST_DRY=1 takes the CPU for both sides: it tries this file, where there is no GPU."""

import ctypes
import math
import os
import sys
import unittest

from herd_run import NEEDS, Job, names_of, run

DRY = bool(os.environ.get("HERD_TEST_DRY"))
DEVICE = "cpu" if DRY else "cuda"
STRATEGIES = {"ddp": [], "zero1": [], "zero2": [], "zero3": [], "hsdp": ["parallel.shard_degree=1"]}
# Of each step's loss. fp32: sums in another order, carried on by the steps. bf16: a number rounded the other way is 1/256 off, and what is
# computed with it moves likewise (tests/parallel/zero_test.cpp).
BOUNDS = {"fp32": 1e-4, "bf16": 1 / 64, "fp16": 1 / 512}


def gpus():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


# Two ranks on one GPU, where NCCL is told that it may (docs/cuda.md).
SHARED = os.environ.get("NCCL_MULTI_RANK_GPU_ENABLE") == "1"
RANKS = 2 if DRY or (SHARED and gpus()) else min(gpus(), 2)


@unittest.skipIf(RANKS == 0, "no NVIDIA GPU here")
class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.on_cpu = {}

    def losses(self, name, *options):
        done = self.job.train(name, "train.epochs=2", *options, ranks=RANKS)
        self.assertEqual(done.code, 0, done)
        return self.job.metrics(name)

    def compare(self, options, gpu_options, dtype="fp32"):
        """One run on the CPU stands for all strategies: tests/parallel/zero_test.cpp holds them together."""
        shared = [*options, f"model.dtype={dtype}"]
        key = "-".join(["cpu", *shared])
        if key not in self.on_cpu:
            self.on_cpu[key] = self.losses(f"cpu-{len(self.on_cpu)}", *shared)
        expected = self.on_cpu[key]
        found = self.losses("-".join(["gpu", *shared, *gpu_options]).replace("=", "-"), f"model.device={DEVICE}", *shared, *gpu_options)
        self.assertGreaterEqual(len(expected), 10)
        self.assertEqual(expected.keys(), found.keys())
        for step, loss in expected.items():
            self.assertTrue(math.isclose(loss, found[step], rel_tol=BOUNDS[dtype]), (step, loss, found[step]))

    def test_quantised_bases(self):
        lora = ["peft.method=lora", "peft.r=4", "peft.target_modules=all-linear"]
        self.compare([*lora, "model.quantization.method=nf4"], ["parallel.strategy=zero3"])
        self.compare([*lora, "model.quantization.method=int8"], [], "bf16")

    def test_a_folder_that_gptq_has_quantised(self):
        folder = self.job.folder / "quantised"
        done = run("quantize", self.job.made_model(), folder, "--calibration", self.job.folder / "data.json", "--group-size", 16, "--act-order",
                   "--samples", 8, "--tokens", 64)
        self.assertEqual(done.code, 0, done)
        self.job.take_model(f"path: {folder}")
        for dtype in ("fp32", "bf16"):
            self.compare(["peft.method=lora", "peft.target_modules=all-linear", "peft.r=3"], [], dtype)
        self.job.take_family("llama")

    def test_every_family(self):
        families = names_of("model")
        self.assertGreater(len(families), 10)
        for family in families:
            with self.subTest(family):
                self.job.take_family(family)
                self.compare([f"model.family={family}", "peft.method=lora", "peft.target_modules=all-linear"], [])
        self.job.take_family("llama")

    def test_every_method(self):
        for method in names_of("peft"):
            with self.subTest(method):
                self.compare([f"peft.method={method}", *NEEDS.get(method, [])], ["parallel.strategy=zero2"])

    def test_half_precision(self):
        self.compare(["peft.method=none"], [], "fp16")

    def test_losses_follow_the_cpus(self):
        for dtype in ("fp32", "bf16"):
            for method in ("none", "lora"):
                for strategy, more in STRATEGIES.items():
                    with self.subTest(strategy, dtype=dtype, method=method):
                        self.compare([f"peft.method={method}"], [f"parallel.strategy={strategy}", *more], dtype)

    def test_so_they_do_with_states_and_parameters_on_the_host(self):
        for method in ("none", "lora"):
            for strategy, offload in (("ddp", "optimizer"), ("zero2", "optimizer"), ("zero3", "parameters")):
                with self.subTest(strategy, offload=offload, method=method):
                    self.compare([f"peft.method={method}"], [f"parallel.strategy={strategy}", f"parallel.offload={offload}"])

    def test_a_checkpoint_of_the_gpu_goes_on_there_and_on_the_cpu(self):
        shared = ["train.schedule=constant", "train.warmup=0", "checkpoint.every=4 steps", "peft.method=lora", "parallel.strategy=zero2"]
        whole = self.losses("whole", f"model.device={DEVICE}", *shared)
        self.losses("first", f"model.device={DEVICE}", "train.max_steps=4", *shared)
        for name, device in {"there": DEVICE, "on-the-cpu": "cpu"}.items():
            with self.subTest(name):
                self.job.copy_run("first", name)
                rest = self.losses(name, f"model.device={device}", "resume=auto", *shared)
                self.assertEqual(rest.keys(), whole.keys())
                for step, loss in whole.items():
                    self.assertTrue(math.isclose(loss, rest[step], rel_tol=BOUNDS["fp32"]), (step, loss, rest[step]))


@unittest.skipIf(RANKS == 0, "no NVIDIA GPU here")
class Numbers(unittest.TestCase):
    def test_logits_loss_and_gradients_are_the_cpus(self):
        import tempfile

        import herd_probe

        folder = self.enterContext(tempfile.TemporaryDirectory())
        herd_probe.random_llama().save_pretrained(folder)
        tokens, labels = herd_probe.random_ids(3, 33)
        for dtype, bound in {"fp32": 1e-5, "bf16": 1 / 32}.items():
            expected = herd_probe.ask(folder, tokens, labels, dtype=dtype)
            found = herd_probe.ask(folder, tokens, labels, dtype=dtype, device=DEVICE)
            self.assertEqual(expected.keys(), found.keys())
            self.assertGreater(len(expected), 10)
            for name, x in expected.items():
                with self.subTest(name, dtype=dtype):
                    self.assertLessEqual(herd_probe.relative(found[name], x), bound)


if __name__ == "__main__":
    result = unittest.main(verbosity=2, exit=False).result
    sys.exit(1 if not result.wasSuccessful() else 77 if len(result.skipped) == result.testsRun else 0)
