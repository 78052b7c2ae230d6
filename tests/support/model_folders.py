"""Folders of models under `herd model`: what it says of them, and what transformers does."""

import os
import subprocess

from herd_probe import BINARIES, Scratch, random_llama

import torch
from transformers import AutoModelForCausalLM

HERD = str(BINARIES / "herd")


def herd(*arguments):
    """@return exit code, stdout, stderr, peak resident bytes."""
    process = subprocess.Popen([HERD, "model", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close(), process.stderr.close()
    return process.returncode, out, err, usage.ru_maxrss * 1024


class Folders(Scratch):
    def run_herd(self, *arguments):
        code, out, err, _ = herd(*arguments)
        self.assertEqual((code, err), (0, ""), out)
        return out

    def refused(self, *arguments):
        code, out, err, _ = herd(*arguments)
        self.assertNotEqual(code, 0, out)
        return out + err

    def assert_same(self, found, expected):
        self.assertEqual(found.keys(), expected.keys())
        for name, w in expected.items():
            self.assertTrue(found[name].dtype == w.dtype and torch.equal(found[name], w), name)

    def loaded_without_a_word(self, folder, dtype=torch.float32):
        """The folder in transformers, which has nothing to say about it."""
        with self.assertNoLogs("transformers", "WARNING"):
            model, said = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
        self.assertFalse(any(said.values()), said)
        return model.eval()

    def saved(self, name="hf", **options):
        model = random_llama(**options)
        model.save_pretrained(self.folder / name)
        return model
