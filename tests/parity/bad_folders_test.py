"""Broken folders of models, by whoever is to use them."""

import json
import os
import shutil
import subprocess
import unittest

from herd_probe import Runs
from herd_run import quickstart_data
from model_folders import HERD, Folders

import torch
from safetensors.torch import load_file, save_file


class BadInput(Folders):
    """Each folder is refused by whoever is to use it, in one message that names the fault, and nothing is written."""

    COMMANDS = {"inspect": ["model", "inspect", "FOLDER", "--check"], "convert": ["model", "convert", "FOLDER", "OUT"],
                "generate": ["generate", "--model", "FOLDER", "--prompt", "a", "--max-new-tokens", "1"]}

    def setUp(self):
        super().setUp()
        made = quickstart_data.make_records()
        tokenizer, settings = quickstart_data.make_tokenizer(made)
        (self.folder / "tokenizer").mkdir()
        (self.folder / "tokenizer/tokenizer.json").write_text(json.dumps(tokenizer))
        (self.folder / "tokenizer/tokenizer_config.json").write_text(json.dumps(settings))
        self.good, self.bad = self.folder / "good", self.folder / "bad"
        sizes = "hidden_size=32 intermediate_size=48 num_hidden_layers=2 num_attention_heads=4".split()
        self.run_herd("init", self.good, "family=llama", *sizes, f"tokenizer={self.folder}/tokenizer")

    def words(self, **changes):
        config = {**json.loads((self.bad / "config.json").read_text()), **changes}
        (self.bad / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    def tensors(self, change):
        state = load_file(self.bad / "model.safetensors")
        change(state)
        save_file({k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}, self.bad / "model.safetensors")

    def shards(self, as_torch=False):
        """The model in two shards with an index."""
        state = load_file(self.bad / "model.safetensors")
        (self.bad / "model.safetensors").unlink()
        stem, end = ("pytorch_model", "bin") if as_torch else ("model", "safetensors")
        names = {k: f"{stem}-{1 + i % 2}.{end}" for i, k in enumerate(sorted(state))}
        for file in set(names.values()):
            part = {k: v for k, v in state.items() if names[k] == file}
            torch.save(part, self.bad / file) if as_torch else save_file(part, self.bad / file)
        (self.bad / f"{stem}.{end}.index.json").write_text(json.dumps({"weight_map": names}))
        return sorted(set(names.values()))

    def torch_file(self, value):
        (self.bad / "model.safetensors").unlink()
        torch.save(value, self.bad / "pytorch_model.bin")

    def packed(self, state):
        for i in range(2):
            at = f"model.layers.{i}.self_attn."
            state[at + "W_pack.weight"] = torch.cat([state.pop(f"{at}{x}_proj.weight") for x in "qkv"])

    def cut(self, name):
        os.truncate(self.bad / name, (self.bad / name).stat().st_size // 2)

    def put(self, state, name, value):
        state[name] = value

    def test_every_one(self):
        up, norm, ran = "model.layers.1.mlp.up_proj.weight", "model.norm.weight", self.folder / "ran"
        tokens = json.loads((self.good / "config.json").read_text())["vocab_size"]
        cases = {
            "an unknown model_type": (lambda: self.words(model_type="lama"), ["'lama'", "did you mean 'llama'?"]),
            "no model_type": (lambda: self.words(model_type=None), ["no 'model_type'"]),
            "a config without a needed key": (lambda: self.words(hidden_size=None), ["no 'hidden_size'"]),
            "a config that is none": (lambda: (self.bad / "config.json").write_text("[]"), ["config.json: no JSON object"]),
            "endless levels": (lambda: (self.bad / "config.json").write_text('{"hidden_size": ' + "[" * 1_000_000 + "]" * 1_000_000 + "}"), ["'hidden_size': more than 100 levels"]),
            "a number that is none": (lambda: self.words(rms_norm_eps=float("nan")), ["config.json: after 'rms_norm_eps'", "NaN"]),
            "a number out of range": (lambda: self.words(rope_theta=-1.0), ["'rope_theta': -1.0; expected a number from 1 to"]),
            "a size out of range": (lambda: self.words(num_hidden_layers=1 << 40), ["'num_hidden_layers': 1099511627776; expected an integer from 1 to 10000"]),
            "heads that do not divide": (lambda: self.words(num_attention_heads=5), ["'hidden_size': 32; expected a multiple of num_attention_heads"]),
            "key heads that do not divide": (lambda: self.words(num_key_value_heads=3), ["'num_key_value_heads': 3; expected a divisor"]),
            "a missing tensor": (lambda: self.tensors(lambda s: s.pop(norm)), ["1 missing: model.norm.weight"]),
            "another tensor": (lambda: self.tensors(lambda s: self.put(s, "extra", torch.ones(2))), ["1 unexpected: extra"]),
            "a transposed tensor": (lambda: self.tensors(lambda s: self.put(s, up, s[up].t())), [up + " [32, 48], not [48, 32]"]),
            "another family's tensors": (lambda: self.tensors(self.packed), ["6 missing", "2 unexpected: model.layers.0.self_attn.W_pack.weight"]),
            "another family": (lambda: self.words(model_type="bloom", n_layer=2, n_head=4), ["missing: transformer.word_embeddings.weight"]),
            "NaN": (lambda: self.tensors(lambda s: s[norm].fill_(float("nan"))), ["NaN; expected"], ["convert", "generate"]),
            "fewer rows than the tokenizer's": (lambda: (self.words(vocab_size=tokens - 1), self.tensors(
                lambda s: [self.put(s, k, s[k][:-1]) for k in ("model.embed_tokens.weight", "lm_head.weight") if k in s])),
                [f"{tokens} tokens", f"{tokens - 1} rows"], ["inspect", "generate"]),
            "a pickle that calls": (lambda: self.torch_file({norm: torch.ones(2), "x": Runs(ran)}), ["'posix.system'", "nothing of it has been run"]),
            "a shard that is cut": (lambda: self.cut(self.shards()[0]), ["model-1.safetensors", "cut off"]),
            "a torch shard that is cut": (lambda: self.cut(self.shards(True)[1]), ["pytorch_model-2.bin", "cut off"]),
            "a shard that is not there": (lambda: (self.bad / self.shards()[1]).unlink(), ["model-2.safetensors: no such file", "model.safetensors.index.json"]),
            "no weights": (lambda: (self.bad / "model.safetensors").unlink(), ["neither model.safetensors nor"]),
        }
        for i, (title, (spoil, words, *rest)) in enumerate(cases.items()):
            shutil.rmtree(self.bad, ignore_errors=True)
            shutil.copytree(self.good, self.bad)
            spoil()
            for command in rest[0] if rest else ("inspect", ("convert", "generate")[i % 2]):
                with self.subTest(title, command=command):
                    shutil.rmtree(self.folder / "out", ignore_errors=True)
                    arguments = [{"FOLDER": str(self.bad), "OUT": str(self.folder / "out")}.get(x, x) for x in self.COMMANDS[command]]
                    done = subprocess.run([HERD, *arguments], capture_output=True, text=True, timeout=60)
                    said = done.stdout + done.stderr
                    self.assertNotEqual(done.returncode, 0, said)
                    self.assertLess(done.returncode, 128, said)
                    for word in words:
                        self.assertIn(word, said)
                    if command != "inspect":
                        self.assertEqual((done.stdout, done.stderr.count("error: ")), ("", 1), said)
                    self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["bad", "good", "tokenizer"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
