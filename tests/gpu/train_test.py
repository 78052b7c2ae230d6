"""A small job on the GPU against the same job on the CPU, step by step: the same rows, the same loss within fp32's rounding."""

import ctypes
import math
import sys
import unittest

from herd_run import Job


def gpus():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


class Train(unittest.TestCase):
    def compare(self, name, options, gpu_options):
        cpu = self.job.train(f"cpu-{name}", "train.epochs=2", *options, ranks=min(gpus(), 2))
        self.assertEqual(cpu.code, 0, cpu)
        gpu = self.job.train(f"gpu-{name}", "train.epochs=2", "model.device=cuda", *options, *gpu_options, ranks=min(gpus(), 2))
        self.assertEqual(gpu.code, 0, gpu)
        expected, found = self.job.metrics(f"cpu-{name}"), self.job.metrics(f"gpu-{name}")
        self.assertEqual(expected.keys(), found.keys())
        for step, loss in expected.items():
            self.assertTrue(math.isclose(loss, found[step], rel_tol=1e-4), (name, step, loss, found[step]))

    def setUp(self):
        self.job = Job()
        self.addCleanup(self.job.close)

    def test_losses_follow_the_cpus(self):
        for method in ("none", "lora"):
            self.compare(method, [f"peft.method={method}"], [])

    def test_so_they_do_with_states_and_parameters_on_the_host(self):
        for method in ("none", "lora"):
            for strategy, offload in (("ddp", "optimizer"), ("zero2", "optimizer"), ("zero3", "parameters")):
                options = [f"peft.method={method}", f"parallel.strategy={strategy}"]
                self.compare(f"{method}-{strategy}-{offload}", options, [f"parallel.offload={offload}"])


if __name__ == "__main__":
    if gpus() == 0:
        print("skipped: no NVIDIA GPU here")
        sys.exit(77)
    unittest.main(verbosity=2)
