"""How tokens are chosen, against transformers: its processors and warpers over random scores, its greedy ids under each setting on real
checkpoints, and its distribution in 10,000 seeded draws."""

import collections
import json
import math
import subprocess
import unittest

from herd_probe import ASSETS, BINARIES, Scratch

import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessor, PreTrainedTokenizerFast

PROBABILITY = 2e-6  # absolute: transformers' softmax and cumulative sum are in fp32, herd's in fp64
DRAWS = 10_000
CHANCE = 1e-3  # how often the right distribution has a greater chi-square; the draws are fixed by their seed
ENDS = [2, 5]
# What Alpaca-CoT answers with, but for its beams.
SEEDS = dict(temperature=1.0, top_p=0.9, top_k=40, no_repeat_ngram_size=6, repetition_penalty=1.8)

PROCESSORS = {
    "bias": dict(sequence_bias=[[[7], 2.5], [[3, 7], -1.25], [[9, 3, 7], 0.1], [[1], -math.inf], [[4, 3], 30.0]]),
    "repetition": dict(repetition_penalty=1.8),
    "repetition, rewarded": dict(repetition_penalty=0.7),
    "single tokens": dict(no_repeat_ngram_size=1),
    "bigrams": dict(no_repeat_ngram_size=2),
    "trigrams": dict(no_repeat_ngram_size=3),
    "bad words": dict(bad_words_ids=[[4], [4], [3, 7], [9, 3, 8], [2], [3, 2], [1, 1, 1, 1]]),
    "a least length": dict(min_new_tokens=4),
    "all": dict(sequence_bias=[[[7], 2.5], [[3, 7], -1.25]], repetition_penalty=1.3, no_repeat_ngram_size=2, bad_words_ids=[[4], [9, 3]], min_new_tokens=3),
}
WARPERS = [
    *(dict(temperature=t, top_k=k, top_p=p) for t in (0.3, 1.0, 1.7) for k in (0, 1, 7, 50, 5000) for p in (1.0, 0.95, 0.5, 0.05)),
    *(dict(temperature=t, min_p=p) for t in (0.7, 1.0) for p in (0.01, 0.1, 0.5, 1.0)),
    *(dict(temperature=t, typical_p=p) for t in (0.7, 1.0, 1.5) for p in (0.05, 0.2, 0.5, 0.9, 0.99)),
    dict(temperature=0.8, top_k=30, top_p=0.9, min_p=0.05, typical_p=0.8),
    dict(temperature=1.3, top_k=5, typical_p=0.3),
    dict(temperature=1.0, top_p=0.7, min_p=0.3),
]
# By transformers' names, those of the probe's questions and of the command line.
NAMES = dict(no_repeat_ngram_size="no_repeat_ngram", bad_words_ids="bad_words", sequence_bias="logit_bias", eos_token_id="ends")


def question(scores, **options):
    """A line for the probe; JSON has no infinity."""
    finite = lambda x: [finite(y) for y in x] if isinstance(x, list) else None if x == -math.inf else x
    return json.dumps({NAMES.get(name, name): finite(value) for name, value in dict(options, scores=scores.tolist()).items()}, allow_nan=False)


def ask(questions):
    """The probe's answers (sampler_probe.cpp): scores, and probabilities and counts of draws by id."""
    done = subprocess.run([BINARIES / "sampler_probe"], input="\n".join(questions), capture_output=True, text=True, check=True)
    for answer in map(json.loads, done.stdout.splitlines()):
        scores = torch.tensor([-math.inf if x is None else x for x in answer["scores"]])
        probabilities = torch.zeros(len(scores))
        for token, probability in answer["kept"]:
            probabilities[token] = probability
        yield scores, probabilities, torch.tensor(answer["drawn"])


def tiny_model():
    return LlamaForCausalLM(LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1))


def transformed(model, scores, prompt, answer, **options):
    """A row of scores after all that transformers puts together for these options, in its own order."""
    config = GenerationConfig(pad_token_id=0, **{"top_k": 0, **options})
    model._prepare_special_tokens(config)
    return model._get_logits_processor(config, input_ids_seq_length=len(prompt))(torch.tensor([prompt + answer]), scores[None].clone())[0]


def chance(counts, probabilities):
    """Of a chi-square as great as that of these counts; what is expected less than five times goes together."""
    expected = probabilities.double() * counts.sum()
    rare = expected < 5
    pairs = list(zip(counts[~rare].tolist(), expected[~rare].tolist())) + [(float(counts[rare].sum()), float(expected[rare].sum()))]
    pairs = [(n, e) for n, e in pairs if e > 0 or n > 0]
    statistic = sum((n - e) ** 2 / e if e else math.inf for n, e in pairs)
    return float(torch.special.gammaincc(torch.tensor((len(pairs) - 1) / 2), torch.tensor(statistic / 2)))


class Choice(unittest.TestCase):
    def texts(self):
        """Prompts and answers of few ids, so that much comes again."""
        generator = torch.Generator().manual_seed(3)
        ids = lambda: torch.randint(0, 10, (int(torch.randint(1, 20, (), generator=generator)),), generator=generator).tolist()
        return [(ids(), ids() + [9, 3] * (i % 2) if i % 4 else []) for i in range(48)] + [([9, 3], [])]  # shorter than a run

    def test_what_a_text_does_to_scores(self):
        model = tiny_model()
        cases = [(name, {**options, "eos_token_id": ENDS}, *text) for name, options in PROCESSORS.items() for text in self.texts()]
        torch.manual_seed(4)
        rows = [torch.randn(12) * 4 for _ in cases]
        rows = [row.log_softmax(-1) if i % 2 else row for i, row in enumerate(rows)]  # as beam search has them
        answers = ask([question(row, prompt=prompt, answer=answer, **options) for (_, options, prompt, answer), row in zip(cases, rows)])
        changed = collections.Counter()
        for (name, options, prompt, answer), row, (found, *_) in zip(cases, rows, answers, strict=True):
            with self.subTest(name, prompt=prompt, answer=answer):
                expected = transformed(model, row, prompt, answer, **options)
                self.assertTrue(torch.equal(found, expected), f"{found} {expected}")
                changed[name] += not torch.equal(expected, row)
        self.assertGreaterEqual(min(changed[name] for name in PROCESSORS), 4)  # none was idle

    def test_what_sampling_draws_from(self):
        model = tiny_model()
        torch.manual_seed(5)
        cases = [(options, least, torch.randn(size) * 3) for options in WARPERS for least in (1, 3) for size in (50, 1000)]
        answers = ask([question(row, least=least, **options) for options, least, row in cases])
        for (options, least, row), (_, found, _) in zip(cases, answers, strict=True):
            with self.subTest(**options, least=least, size=len(row)):
                beams = dict(num_beams=2) if least > 1 else {}  # as many are kept as there are ends, and one more
                expected = transformed(model, row, [0], [], do_sample=True, eos_token_id=ENDS, **beams, **options).softmax(-1)
                self.assertTrue(torch.equal(found > 0, expected > 0))
                self.assertLess(float((found - expected).abs().max()), PROBABILITY)

    def test_draws(self):
        model = tiny_model()
        torch.manual_seed(6)
        row = torch.randn(200) * 2
        cases = [dict(temperature=1.0), dict(temperature=1.0, top_p=0.9, top_k=40), dict(temperature=1.4, min_p=0.02), dict(temperature=0.9, typical_p=0.8)]
        for options, (_, _, drawn) in zip(cases, ask([question(row, draws=DRAWS, seed=9, **options) for options in cases]), strict=True):
            with self.subTest(**options):
                self.assertEqual(int(drawn.sum()), DRAWS)
                self.assertGreater(chance(drawn, transformed(model, row, [0], [], do_sample=True, **options).softmax(-1)), CHANCE)


class Penalties(LogitsProcessor):
    """OpenAI's frequency and presence penalties, which transformers lacks."""

    def __init__(self, prompt_length, frequency, presence):
        self.prompt_length, self.frequency, self.presence = prompt_length, frequency, presence

    def __call__(self, input_ids, scores):
        count = torch.nn.functional.one_hot(input_ids[:, self.prompt_length:], scores.shape[-1]).sum(1)
        return scores - count * self.frequency - (count > 0) * self.presence


class RealModels(Scratch):
    """Real checkpoints, each with a vocabulary in which every id is a character: text in and out tells the ids."""

    PROMPTS = ["Once upon a time", "One day, a girl named ", "The big dog and the small cat", "Tom"]
    NEW_TOKENS = 48

    def load(self, name):
        source = ASSETS / "models" / name
        if not source.exists():
            self.skipTest(f"no ../shared/assets/models/{name}")
        self.model = LlamaForCausalLM(AutoConfig.from_pretrained(source)).eval()
        state = load_file(source / "model.safetensors")
        state.setdefault("model.embed_tokens.weight", state.get("lm_head.weight"))
        self.model.load_state_dict(state, strict=False)
        self.model.save_pretrained(self.folder)
        self.size = self.model.config.vocab_size
        spelled = Tokenizer(models.BPE({self.spell([i]): i for i in range(self.size)}, []))
        spelled.decoder = decoders.Fuse()
        PreTrainedTokenizerFast(tokenizer_object=spelled).save_pretrained(self.folder)
        tokenizer = AutoTokenizer.from_pretrained(source)
        self.prompts = [tokenizer(prompt).input_ids for prompt in self.PROMPTS]

    @staticmethod
    def spell(ids):
        return "".join(chr(0x4E00 + i) for i in ids)

    def herd(self, prompts, *arguments, eos=(2,), whole=False):
        """Each prompt's new ids and reason to end; or the whole answer."""
        (self.folder / "generation_config.json").write_text(json.dumps({"eos_token_id": list(eos)}))
        (self.folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": self.spell(ids)}) + "\n" for ids in prompts))
        done = subprocess.run([BINARIES / "herd", "generate", "--model", self.folder, "--file", self.folder / "prompts.jsonl", "--threads", "1", *arguments],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return answers if whole else [([ord(c) - 0x4E00 for c in answer["generated"]], answer["finish"]) for answer in answers]

    def transformers(self, ids, eos=(2,), **options):
        tokens = torch.tensor([ids])
        config = GenerationConfig(do_sample=False, max_new_tokens=self.NEW_TOKENS, eos_token_id=list(eos), pad_token_id=0, **options)
        with torch.no_grad():
            new = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=config)[0, len(ids):].tolist()
        return (new[:-1], "eos") if new[-1] in eos else (new, "length")

    def settings(self, plain):
        """Name, the command's options, transformers', and ends of text: each bears on what is written without it."""
        bad = [[plain[2]], plain[6:8], plain[11:14]]
        biases = [[[plain[0]], -3.5], [[plain[1]], -math.inf], [[plain[5]], 2.25]]
        yield "greedy", [], {}, (2,)
        yield "bias", [f"--logit-bias={ids[0]}={bias}" for ids, bias in biases], dict(sequence_bias=biases), (2,)
        yield "repetition", ["--repetition-penalty=1.8"], dict(repetition_penalty=1.8), (2,)
        for n in (1, 2, 3, 6):
            yield f"{n}-grams", [f"--no-repeat-ngram={n}"], dict(no_repeat_ngram_size=n), (2,)
        yield "bad words", [f"--bad-word={self.spell(ids)}" for ids in bad], dict(bad_words_ids=bad), (2,)
        yield "an end", [], {}, (2, plain[8])
        yield "a least length", ["--min-new-tokens=20"], dict(min_new_tokens=20), (2, plain[8])
        yield "the seeds'", ["--no-repeat-ngram=6", "--repetition-penalty=1.8"], dict(no_repeat_ngram_size=6, repetition_penalty=1.8), (2,)
        yield ("all", ["--no-repeat-ngram=3", "--repetition-penalty=1.2", "--min-new-tokens=20", f"--bad-word={self.spell(bad[1])}", f"--logit-bias={plain[0]}=-3.5"],
               dict(no_repeat_ngram_size=3, repetition_penalty=1.2, min_new_tokens=20, bad_words_ids=[bad[1]], sequence_bias=biases[:1]), (2, plain[8]))

    def test_greedy_ids(self):
        for name in ("tinystories-656k-f32", "stories260k"):
            self.load(name)
            plain = [self.transformers(ids)[0] for ids in self.prompts]
            for setting, arguments, options, eos in self.settings(plain[0]):
                with self.subTest(name, setting=setting):
                    found = self.herd(self.prompts, "--max-new-tokens", str(self.NEW_TOKENS), *arguments, eos=eos)
                    self.assertEqual(found, [self.transformers(ids, eos, **options) for ids in self.prompts])
                    if setting not in ("greedy", "6-grams"):
                        self.assertNotEqual([new for new, _ in found], plain)  # it was not idle

    def beams(self, ids, eos, **options):
        """Ids, score and reason of each text that transformers' search returns."""
        tokens = torch.tensor([ids])
        config = GenerationConfig(do_sample=False, max_new_tokens=self.NEW_TOKENS, eos_token_id=list(eos), pad_token_id=0, return_dict_in_generate=True,
                                  output_scores=True, **options)
        with torch.no_grad():
            found = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=config)
        for sequence, score in zip(found.sequences.tolist(), found.sequences_scores.tolist()):
            new = sequence[len(ids):]
            end = next((i for i, token in enumerate(new) if token in eos), None)
            yield (new[:self.NEW_TOKENS], "length") if end is None else (new[:end], "eos"), score

    def test_beams(self):
        """The same texts in the same order; those that fall short of the rest are padded by transformers, not by herd."""
        self.load("tinystories-656k-f32")
        plain = [self.transformers(ids)[0] for ids in self.prompts]
        ends = (2, plain[0][8], plain[1][5], plain[2][7])
        cases = [("plain", [], {}), ("long ones", ["--length-penalty=2"], dict(length_penalty=2.0)), ("short ones", ["--length-penalty=-1"], dict(length_penalty=-1.0)),
                 ("at once", ["--early-stopping=true"], dict(early_stopping=True)),
                 ("never", ["--early-stopping=never", "--length-penalty=0.5"], dict(early_stopping="never", length_penalty=0.5)),
                 ("the seeds'", ["--no-repeat-ngram=6", "--repetition-penalty=1.8"], dict(no_repeat_ngram_size=6, repetition_penalty=1.8)),
                 ("a least length", ["--min-new-tokens=12", "--repetition-penalty=1.2"], dict(min_new_tokens=12, repetition_penalty=1.2))]
        seen = collections.Counter()
        for beams, returned, eos in ((2, 1, (2,)), (4, 4, ends), (5, 2, ends)):
            for name, arguments, options in cases:
                with self.subTest(name, beams=beams, ends=len(eos)):
                    found = self.herd(self.prompts, "--max-new-tokens", str(self.NEW_TOKENS), f"--beams={beams}", f"--return={returned}", "--batch-size=8", *arguments, eos=eos, whole=True)
                    for ids, answer in zip(self.prompts, found, strict=True):
                        texts = [answer, *answer.get("others", [])]
                        expected = list(self.beams(ids, eos, num_beams=beams, num_return_sequences=returned, **options))
                        self.assertEqual([([ord(c) - 0x4E00 for c in text["generated"]], text["finish"]) for text in texts], [new for new, _ in expected])
                        for text, (_, score) in zip(texts, expected):
                            self.assertAlmostEqual(text["score"], score, delta=2e-6 * max(1, abs(score)))
                        seen.update(text["finish"] for text in texts)
        self.assertGreater(min(seen["eos"], seen["length"]), 20)

    def test_frequency_and_presence(self):
        self.load("tinystories-656k-f32")
        for frequency, presence in ((0.7, 0.0), (0.0, 1.5), (0.5, -0.25)):
            with self.subTest(frequency=frequency, presence=presence):
                found = self.herd(self.prompts, "--max-new-tokens", str(self.NEW_TOKENS), f"--frequency-penalty={frequency}", f"--presence-penalty={presence}")
                for ids, (new, _) in zip(self.prompts, found, strict=True):
                    tokens = torch.tensor([ids])
                    with torch.no_grad():
                        expected = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=self.NEW_TOKENS, eos_token_id=2,
                                                       pad_token_id=0, logits_processor=[Penalties(len(ids), frequency, presence)])
                    self.assertEqual(new, expected[0, len(ids):].tolist())

    def test_draws(self):
        """One token, 10,000 times: the answers' first."""
        self.load("tinystories-656k-f32")
        ids = self.prompts[1]  # many names may follow
        found = self.herd([ids] * DRAWS, "--max-new-tokens=1", "--seed=4", "--temperature=1", "--top-p=0.9", "--top-k=40", "--no-repeat-ngram=6", "--repetition-penalty=1.8")
        with torch.no_grad():
            row = self.model(torch.tensor([ids])).logits[0, -1]
        drawn = torch.bincount(torch.tensor([new[0] if new else 2 for new, _ in found]), minlength=self.size)
        expected = transformed(self.model, row, ids, [], do_sample=True, **SEEDS).softmax(-1)
        self.assertGreater(chance(drawn, expected), CHANCE)
        self.assertGreater(int((drawn > 0).sum()), 5)


if __name__ == "__main__":
    unittest.main()
