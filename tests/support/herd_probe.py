"""Asks herd, through the probe program, what a model makes of given ids (tests/support/probe.cpp); random models and ids to ask about."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from herd_paths import ASSETS, BINARIES, ROOT

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

IGNORE = -100
SIZES = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, initializer_range=0.15, rms_norm_eps=1e-5, attn_implementation="eager")
torch.set_num_threads(1)


class Refused(Exception):
    """herd ended with an error; its message is the text."""


class Runs:
    """Pickled, it calls os.system when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


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


def random_llama(**options):
    torch.manual_seed(11)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **options})).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:  # transformers' zeros and ones would hide a bias or a norm that is left out
                p.normal_(1.0 if "norm" in name else 0.0, 0.3)
    return model


def load_llama(folder, dtype=torch.float32):
    return LlamaForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")


def random_ids(b, t, vocab=SIZES["vocab_size"], supervised=0.6):
    """Tokens and labels [b, t], the same at each call; a row's first token has nothing before it to be told from."""
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(0, vocab, (b, t), generator=generator)
    labels = torch.where(torch.rand(b, t, generator=generator) < supervised, tokens, IGNORE)
    labels[:, 0] = IGNORE
    return tokens, labels


class Scratch(unittest.TestCase):
    """A folder for each test, gone with it."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
