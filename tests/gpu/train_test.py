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
    def test_losses_follow_the_cpus(self):
        job = Job()
        self.addCleanup(job.close)
        ranks = min(gpus(), 2)
        for method in ("none", "lora"):
            options = ["train.epochs=2", f"peft.method={method}"]
            cpu = job.train(f"cpu-{method}", *options, ranks=ranks)
            self.assertEqual(cpu.code, 0, cpu)
            gpu = job.train(f"gpu-{method}", "model.device=cuda", *options, ranks=ranks)
            self.assertEqual(gpu.code, 0, gpu)
            expected, found = job.metrics(f"cpu-{method}"), job.metrics(f"gpu-{method}")
            self.assertEqual(expected.keys(), found.keys())
            for step, loss in expected.items():
                self.assertTrue(math.isclose(loss, found[step], rel_tol=1e-4), (method, step, loss, found[step]))


if __name__ == "__main__":
    if gpus() == 0:
        print("skipped: no NVIDIA GPU here")
        sys.exit(77)
    unittest.main(verbosity=2)
