"""Generation against transformers: greedy text of `herd generate` on tiny random models."""

import json
import subprocess
import unittest

from herd_probe import BINARIES, Scratch

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB = 257  # every byte, and the end of sequence
SIZES = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=96, initializer_range=0.15, bos_token_id=None, eos_token_id=256, pad_token_id=256, attn_implementation="eager")
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
OPTIONS = {
    "grouped queries": {},
    "tied, biases": dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
    "linear": dict(rope_scaling=dict(rope_type="linear", factor=4.0)),
    "llama3": dict(rope_scaling=LLAMA3, rope_theta=500.0),
    "dynamic, past the trained length": dict(rope_scaling=dict(rope_type="dynamic", factor=4.0), max_position_embeddings=24),
    "several ends of text": dict(eos_token_id=[256, *range(40, 60)]),
}
PROMPTS = ["Once upon a time", "a", "The quick brown fox jumps over the lazy dog.", "你好，世界", "x = 1\n"]
NEW_TOKENS = 40


def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({**{c: i for i, c in enumerate(alphabet)}, "</s>": 256}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", clean_up_tokenization_spaces=False)


class Generate(Scratch):
    def test_greedy_text(self):
        tokenizer = byte_tokenizer()
        tokenizer.save_pretrained(self.folder)
        (self.folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in PROMPTS))
        ends = set()
        for name, options in OPTIONS.items():
            torch.manual_seed(11)
            model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **options})).eval()
            model.save_pretrained(self.folder)
            done = subprocess.run([BINARIES / "herd", "generate", "--model", self.folder, "--file", self.folder / "prompts.jsonl", "--batch-size", "3",
                                   "--max-new-tokens", str(NEW_TOKENS)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            for prompt, line in zip(PROMPTS, done.stdout.splitlines(), strict=True):
                with self.subTest(model=name, prompt=prompt):
                    found = json.loads(line)
                    ids = tokenizer(prompt, return_tensors="pt").input_ids
                    with torch.no_grad():
                        whole = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS)[0]
                    new = whole[ids.shape[1]:].tolist()
                    stops = model.generation_config.eos_token_id
                    ended = new[-1] in (stops if isinstance(stops, list) else [stops])
                    new = new[:-1] if ended else new
                    self.assertEqual(found["new_tokens"], len(new))
                    self.assertEqual(found["finish"], "eos" if ended else "length")
                    self.assertEqual(prompt + found["generated"], tokenizer.decode(ids[0].tolist() + new, skip_special_tokens=True))
                    ends.add(found["finish"])
        self.assertEqual(ends, {"eos", "length"})  # both were tried


if __name__ == "__main__":
    unittest.main()
