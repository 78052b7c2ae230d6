"""Asks herd, through the probe program, what a model makes of given ids (tests/support/probe.cpp)."""

import os
import subprocess
import tempfile

from herd_paths import ASSETS, BINARIES, ROOT

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import torch
from safetensors.torch import load_file, save_file

IGNORE = -100
torch.set_num_threads(1)


class Refused(Exception):
    """herd ended with an error; its message is the text."""


def ask(model, tokens=None, labels=None, segments=None, **options):
    """The probe's answers by name; `tokens` and `labels` are [b, t], `segments` rows of (row, begin, end)."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = {"model": model, **options}
        if tokens is not None:
            inputs = {"tokens": tokens, "labels": labels, "segments": None if segments is None else torch.tensor(segments)}
            save_file({name: x.long().contiguous() for name, x in inputs.items() if x is not None}, f"{scratch}/in")
            arguments.update({"in": f"{scratch}/in", "out": f"{scratch}/out"})
        done = subprocess.run([str(BINARIES / "probe"), *(f"{k}={v}" for k, v in arguments.items())], capture_output=True, text=True)
        if done.returncode:
            raise Refused(done.stderr.strip())
        return load_file(f"{scratch}/out") if tokens is not None else {}


def reference(model, tokens, labels=None, **inputs):
    """The same from a transformers or PEFT model: logits, and with labels the mean loss and the gradients by name."""
    model.zero_grad()
    out = model(input_ids=tokens, use_cache=False, **inputs)
    answers = {"logits": out.logits.detach().float()}
    if labels is None:
        return answers
    kept = labels[:, 1:] != IGNORE
    loss = torch.nn.functional.cross_entropy(out.logits[:, :-1][kept].float(), labels[:, 1:][kept])
    loss.backward()
    answers["loss"] = loss.detach().double().reshape(1)
    answers.update({f"grad.{name}": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    return answers


def relative(found, expected):
    """Greatest deviation over greatest magnitude of a tensor."""
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30))
