"""model.device: cuda where something is missing: every rank ends, one clear message, nothing loaded that was not needed to say so.

The program runs as a copy, so that what lies beside it and what the loader finds are this test's: files that are no libraries, and
stand-ins (tests/support/stand_ins.cpp) named as the driver, NCCL, libtorch's CUDA part and the module."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import herd_run
from herd_paths import BINARIES

USAGE = 2
STAND_IN = BINARIES.parent / "lib" / "libherd_stand_ins.so"
MODULE = BINARIES.parent / "lib" / "libherd_cuda.so"
LIBRARIES = {"driver": "libcuda.so.1", "nccl": "libnccl.so.2", "torch": "libtorch_cuda.so"}


class Device(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("bin", "lib", "found"):
            (self.folder / name).mkdir()
        shutil.copy(BINARIES / "herd", self.folder / "bin" / "herd")
        self.recipe = self.folder / "r.yaml"
        self.recipe.write_text("model: {path: /no/such/model, device: cuda}\ndata: {sets: [/no/such.json]}\n")

    def put(self, path, content=None):
        """A stand-in, or a file that is no library."""
        path.unlink(missing_ok=True)
        if content is None:
            shutil.copy(STAND_IN, path)
        else:
            path.write_text(content)

    def found(self, part, content=None):
        self.put(self.folder / "found" / LIBRARIES[part], content)

    def module(self, content=None):
        self.put(self.folder / "lib" / "libherd_cuda.so", content)

    def assert_refused(self, *words, ranks=2, gpus=0, nccl=22809, overrides=(), **environment):
        command = [herd_run.MPIRUN, str(ranks), str(self.folder / "bin" / "herd"), "train", str(self.recipe), f"run.folder={self.folder}/runs", *overrides]
        done = herd_run.Started(command, LD_LIBRARY_PATH=str(self.folder / "found"), STAND_IN_GPUS=str(gpus), STAND_IN_NCCL=str(nccl),
                                **environment).finish()
        self.assertEqual(done.code, USAGE, done)
        for word in words:
            self.assertIn(word, done.output)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertLess(done.seconds, 10, done)
        self.assertFalse((self.folder / "runs").exists(), "a run folder was made")

    def test_no_module(self):
        self.assert_refused("device cuda: a herd built without its CUDA module", "take device cpu")

    def test_commands_that_let_a_model_speak(self):
        job = herd_run.Job()
        self.addCleanup(job.close)
        model, questions, texts = job.made_model(), job.write("questions.json", [{"instruction": "Say so", "output": ""}]), job.write("texts.json", [{"text": "so it is"}])
        for arguments in (["generate", "--prompt", "a"], ["serve", "--port", "0"], ["predict", questions, "--output", self.folder / "answers.jsonl"], ["evaluate", "--task", "texts", "--data", texts, "--output", self.folder / "runs"]):
            with self.subTest(arguments[0]):
                done = herd_run.Started([str(word) for word in (self.folder / "bin" / "herd", *arguments, "--model", model, "--device", "cuda")]).finish()
                self.assertEqual(done.code, USAGE, done)
                self.assertIn("device cuda: a herd built without its CUDA module", done.output)
                self.assertEqual(done.output.count("error: "), 1, done)
                self.assertFalse((self.folder / "answers.jsonl").exists())

    def test_no_driver(self):
        self.found("driver", "no library")
        self.module("")
        self.assert_refused("no NVIDIA driver on", "libcuda.so.1", "device cpu does without")

    def test_no_gpu(self):
        self.module("")
        self.found("driver")
        self.assert_refused("no GPU on", "CUDA_VISIBLE_DEVICES")

    def test_more_ranks_than_gpus(self):
        self.module("")
        self.found("driver")
        self.assert_refused("3 ranks and 2 GPUs on", "ppr:2:node", gpus=2, ranks=3)
        # One GPU in sight may be a launcher's way of sharing them out: here it is the same one.
        self.assert_refused("ranks 0, 1 on one GPU (GPU-0000", gpus=1)

    def test_nccl(self):
        self.module("")
        self.found("driver")
        self.found("nccl", "no library")
        self.assert_refused("no NCCL on", "libnccl.so.2", gpus=2)
        self.found("nccl")
        self.assert_refused("NCCL 2.18.5: a version that hangs in ncclCommAbort", "2.26.2 or newer", gpus=2, nccl=21805)

    def test_ranks_on_one_gpu(self):
        for part in ("driver", "nccl", "torch"):
            self.found(part)
        self.module()
        shared = {"gpus": 1, "ranks": 3, "NCCL_MULTI_RANK_GPU_ENABLE": "1"}
        self.assert_refused("NCCL 2.28.9: NCCL_MULTI_RANK_GPU_ENABLE=1 and a version that cannot", "2.30.3 or newer", **shared)
        self.assert_refused("libherd_cuda.so: version -1", nccl=23007, **shared)  # the GPU is no obstacle any more

    def test_libtorch_and_module(self):
        for part in ("driver", "nccl"):
            self.found(part)
        self.module("no library")
        self.found("torch", "no library")
        self.assert_refused("no CUDA part of libtorch on", "libtorch_cuda.so", "scripts/setup --cuda", gpus=2)
        self.found("torch")
        self.assert_refused("a CUDA module that does not load", "build herd again", gpus=2)
        self.module()
        self.assert_refused("libherd_cuda.so: version -1", "expected version 2", gpus=2)

    def test_backend_of_another_device(self):
        self.assert_refused("parallel.backend", "'mpi', which is for model.device=cpu", overrides=["parallel.backend=mpi"])
        self.assert_refused("parallel.backend", "'nccl', which is for model.device=cuda", overrides=["parallel.backend=nccl", "model.device=cpu"])

    def test_the_program_itself_needs_no_gpu_library(self):
        needed = subprocess.run(["ldd", BINARIES / "herd"], capture_output=True, text=True, check=True).stdout
        names = [line.split()[0] for line in needed.splitlines()]
        self.assertIn("libtorch_cpu.so", names)
        for name in names:
            self.assertNotRegex(name, r"libtorch_cuda|libc10_cuda|libnccl|libcublas|libcuda\.so")

    # The module against the CUDA libraries of the test environment's torch: every symbol must be there. No GPU is touched.
    def test_the_module_loads(self):
        if not MODULE.exists():
            self.skipTest("the CUDA module is not built here")
        import torch
        libraries = pathlib.Path(torch.__file__).parent / "lib"
        load = (f"import torch, ctypes; ctypes.CDLL({str(libraries / 'libtorch_cuda.so')!r}, mode=ctypes.RTLD_GLOBAL); "  # as herd opens them
                f"m = ctypes.CDLL({str(MODULE)!r}, mode=2); m.herd_cuda_module.restype = ctypes.POINTER(ctypes.c_int); print(m.herd_cuda_module()[0])")
        environment = {**herd_run.os.environ, "LD_LIBRARY_PATH": str(libraries)}
        done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, env=environment)
        self.assertEqual(done.stdout.strip(), "2", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
