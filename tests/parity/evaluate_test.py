"""`herd evaluate` by log-likelihood against transformers, with lm-evaluation-harness's arithmetic written here once more."""

import json
import math
import re
import subprocess

from herd_probe import BINARIES, ROOT, Scratch, random_llama

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import unittest

# Both sides round in fp32, in another order; five times the most that was seen, for other CPUs.
OF_A_CHOICE = 3e-5  # a sum of up to some 15 log-probabilities, −80 in all: 6e-6
OF_A_TEXT = 2e-4  # a sum of up to 240, −1500 in all: 4e-5
OF_A_PERPLEXITY = 4 * OF_A_TEXT / 40  # relative, of an exp: the four texts, by their words, which are over 40 and the fewest that it is divided by
CONTEXT = 64

# White space at the end of a context, none between question and answer, choices of several bytes a character, equal beginnings.
QUESTIONS = [
    {"question": "The sky is", "choices": ["blue", "green and blue", "a"], "answer": "blue", "category": "colours"},
    {"question": "天空是什么颜色？", "choices": ["蓝", "green", "红色的"], "answer": 2, "category": "colours"},
    {"question": "Two and two is ", "choices": ["4", "four", "５", "twenty two"], "answer": "A", "category": "sums"},
    {"question": "x", "choices": ["yes", "no"], "answer": 1, "category": "sums"},
]
TASK = """\
kind: choice
fields: [question, choices, answer]
prompt: "Q: {{question}} "
delimiter: ""
choices_in: choices
reference: "{{answer}}"
category: "{{category}}"
"""
TEXTS = ["Once upon a time there was a little girl.\n\nShe  had a  dog; " * 4, "你好，世界 一 二\u3000三", "short", " lead and trail "]


def byte_pairs():
    """Bytes, and some merges that reach across the edge of a context."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("e", "r"), ("h", "e"), ("Ġ", "b"), ("Ġ", "g"), ("r", "e"), ("i", "s"), ("Ġ", "y"), ("t", "he"), ("Ġ", "Ġ")]
    tokens = alphabet + ["".join(pair) for pair in merges]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    vocabulary["<s>"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>", clean_up_tokenization_spaces=False)


class Evaluate(Scratch):
    def setUp(self):
        super().setUp()
        self.tokenizer = byte_pairs()
        torch.manual_seed(7)
        self.model = LlamaForCausalLM(LlamaConfig(vocab_size=len(self.tokenizer), hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                                                  num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.2, attn_implementation="eager")).eval()
        self.tokenizer.save_pretrained(self.folder / "model")
        self.model.save_pretrained(self.folder / "model")
        (self.folder / "task.yaml").write_text(TASK)

    def evaluate(self, *arguments, ranks=0):
        launcher = [ROOT / "tests/support/mpirun", str(ranks)] if ranks else []
        output = self.folder / f"out{ranks}"
        done = subprocess.run([*launcher, BINARIES / "herd", "evaluate", "--model", self.folder / "model", "--output", output, "--batch-size", "3", *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        answers = [json.loads(line) for line in (output / "answers.jsonl").read_text().splitlines()]
        values = json.loads((output / "results.json").read_text())["values"]
        return answers, {(value["metric"], value["category"]): value["value"] for value in values}

    def log_probs(self, ids):
        with torch.no_grad():
            rows = torch.log_softmax(self.model(torch.tensor([ids[:-1]])).logits[0].double(), -1)
        return [rows[i, token].item() for i, token in enumerate(ids[1:])]

    def pair(self, context, continuation):
        if not context:
            ids = self.tokenizer.encode(continuation)
            return [self.tokenizer.bos_token_id] + ids, 1
        spaces = len(context) - len(context.rstrip())
        whole = self.tokenizer.encode(context + continuation)
        return whole, len(self.tokenizer.encode(context[:len(context) - spaces]))

    def log_likelihood(self, context, continuation):
        ids, begin = self.pair(context, continuation)
        return sum(self.log_probs(ids)[begin - 1:])

    def test_choices(self):
        (self.folder / "q.jsonl").write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in QUESTIONS))
        answers, values = self.evaluate("--task", self.folder / "task.yaml", "--data", self.folder / "q.jsonl")
        right = {name: [] for name in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")}
        for question, answer in zip(QUESTIONS, answers, strict=True):
            choices = question["choices"]
            sums = [self.log_likelihood(f"Q: {question['question']} ", choice) for choice in choices]
            alone = [self.log_likelihood("", choice) for choice in choices]
            for found, wanted in zip(answer["log_likelihoods"], sums, strict=True):
                self.assertAlmostEqual(found, wanted, delta=OF_A_CHOICE)
            gold = question["answer"] if isinstance(question["answer"], int) else choices.index(question["answer"]) if question["answer"] in choices else ord(question["answer"]) - ord("A")
            measures = {"acc": sums, "acc_norm": [s / len(c) for s, c in zip(sums, choices)], "acc_bytes": [s / len(c.encode()) for s, c in zip(sums, choices)],
                        "acc_mutual_info": [s - a for s, a in zip(sums, alone)]}
            self.assertEqual(answer["answer"], choices[sums.index(max(sums))])
            for name, measure in measures.items():
                right[name].append(float(measure.index(max(measure)) == gold))
                self.assertEqual(answer["scores"][name], right[name][-1], (question, name))
        for name, scores in right.items():
            self.assertEqual(values[name, "all"], sum(scores) / len(scores))
            self.assertEqual(values[name, "colours"], sum(scores[:2]) / 2)
        self.assertGreater(len({tuple(scores) for scores in right.values()}), 1, "the measures were told apart")

    def test_perplexity(self):
        (self.folder / "t.jsonl").write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS))
        for stride, context in ((CONTEXT, CONTEXT), (10, 40), (1, 7)):
            answers, values = self.evaluate("--task", "texts", "--data", self.folder / "t.jsonl", "--stride", str(stride), "--context", str(context))
            total, tokens, words, count = 0, 0, 0, 0
            for text, answer in zip(TEXTS, answers, strict=True):
                ids = [self.tokenizer.bos_token_id] + self.tokenizer.encode(text)
                wanted, done = 0, 1
                while done < len(ids):
                    end = min(len(ids), context + 1 if done == 1 else done + stride)
                    begin = max(0, end - 1 - context)
                    wanted += sum(self.log_probs(ids[begin:end])[done - begin - 1:])
                    done = end
                self.assertAlmostEqual(answer["scores"]["log_likelihood"], wanted, delta=OF_A_TEXT)
                self.assertEqual(answer["scores"]["tokens"], len(ids) - 1)
                total, tokens, words, count = total + wanted, tokens + len(ids) - 1, words + len(re.split(r"\s+", text)), count + len(text.encode())
            for name, wanted in {"perplexity": math.exp(-total / tokens), "word_perplexity": math.exp(-total / words), "byte_perplexity": math.exp(-total / count),
                                 "bits_per_byte": -total / count / math.log(2)}.items():
                self.assertAlmostEqual(values[name, "all"] / wanted, 1, delta=OF_A_PERPLEXITY)

    def test_the_same_numbers_on_any_ranks(self):
        (self.folder / "q.jsonl").write_text("".join(json.dumps(q, ensure_ascii=False) + "\n" for q in QUESTIONS))
        one = self.evaluate("--task", self.folder / "task.yaml", "--data", self.folder / "q.jsonl", "--threads", "1")
        for ranks in (2, 3):
            self.assertEqual(self.evaluate("--task", self.folder / "task.yaml", "--data", self.folder / "q.jsonl", "--threads", "1", ranks=ranks), one)


if __name__ == "__main__":
    unittest.main()
