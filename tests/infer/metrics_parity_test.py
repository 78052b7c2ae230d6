"""herd's ROUGE, BLEU and distinct-n against rouge_score, sacrebleu and sets, over real and random texts (real ones
skip where the assets are missing)."""

import logging
import random
import unittest

from metrics_probe import ask
from metric_texts import REAL, odd, random_pairs, real_pairs
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

logging.getLogger("sacrebleu").setLevel(logging.ERROR)

# Relative: sacrebleu sums four logarithms by Python's sum(), which from 3.12 on compensates its rounding; the rest is the same, to the bit.
BLEU_ROUNDING = 1e-14


class Characters:
    def tokenize(self, text):
        return [c for c in text.lower() if not c.isspace()]


ROUGE = {"words": RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False),
         "characters": RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Characters())}


class Texts(unittest.TestCase):
    """Each check over random texts, and over real ones."""

    def over_all_texts(self, check, count):
        check(random_pairs(600, seed=1))
        for name, file in REAL.items():
            with self.subTest(name):
                if not file.exists():
                    self.skipTest(f"no {file}")
                check(real_pairs(name, count, seed=2))


class Rouge(Texts):
    def compare(self, pairs, tokens):
        shared = 0
        for (reference, answer), found in zip(pairs, ask([{"ask": "rouge", "tokens": tokens, "reference": r, "answer": a} for r, a in pairs])):
            expected = ROUGE[tokens].score(reference, answer)
            self.assertEqual(found, [list(expected[name]) for name in ("rouge1", "rouge2", "rougeL")], (reference, answer))
            shared += 0 < expected["rougeL"].fmeasure < 1
        self.assertGreater(shared, len(pairs) // 10)

    def test_words(self):
        self.compare(random_pairs(600, seed=1), "words")
        file = "alpaca_en_demo.json"
        if not REAL[file].exists():
            self.skipTest(f"no {REAL[file]}")
        self.compare(real_pairs(file, 300, seed=2), "words")

    def test_characters(self):
        self.over_all_texts(lambda pairs: self.compare(pairs, "characters"), 25)

    def test_long(self):
        chance = random.Random(3)
        words = [chance.choice(("a", "b", "the", "中文", "x1", ",")) for _ in range(1500)]
        pair = " ".join(words), " ".join(words[::2] + words[::3])
        for tokens in ROUGE:
            self.compare([pair], tokens)

    def test_by_language(self):
        pairs = [("the cat sat.", "the cat, 中文"), ("机器学习 the", "学习 the"), ("42", "42 中")]
        asked = [[{"ask": "rouge", "tokens": tokens, "reference": r, "answer": a} for r, a in pairs] for tokens in ("language", "words", "characters")]
        language, words, characters = map(ask, asked)
        self.assertEqual(language, [words[0], characters[1], words[2]])
        self.assertTrue(all(w != c for w, c in zip(words, characters)))


class Bleu(Texts):
    def expect(self, found, expected):
        self.assertEqual(found["lengths"], [expected.sys_len, expected.ref_len])
        self.assertEqual((found["matches"], found["totals"]), (list(expected.counts), list(expected.totals)))
        self.assertEqual(found["precisions"], list(expected.precisions))
        self.assertEqual(found["brevity_penalty"], expected.bp)
        self.assertLessEqual(abs(found["score"] - expected.score), BLEU_ROUNDING * expected.score)

    def compare(self, corpora, tokens):
        """Each corpus as a whole and answer by answer; its items are (answer, references)."""
        sentence, whole = BLEU(tokenize=tokens, effective_order=True), BLEU(tokenize=tokens)
        for items, found in zip(corpora, ask([{"ask": "bleu", "tokens": tokens, "items": items} for items in corpora])):
            for item, ours in zip(items, found["sentences"], strict=True):
                with self.subTest(item=item):
                    self.expect(ours, sentence.sentence_score(*item))
            most = max(len(references) for _, references in items)
            streams = [[references[i] if i < len(references) else None for _, references in items] for i in range(most)]
            self.expect(found["corpus"], whole.corpus_score([answer for answer, _ in items], streams))

    def test_one_reference(self):
        for tokens in ("13a", "zh"):
            self.over_all_texts(lambda pairs: self.compare([[(answer, [reference]) for reference, answer in pairs]], tokens), 300)

    def test_several_references(self):
        chance = random.Random(4)
        pairs = random_pairs(300, seed=5)
        items = [(answer, [reference] + [odd(chance) for _ in range(chance.randrange(3))]) for reference, answer in pairs]
        for tokens in ("13a", "zh"):
            self.compare([items], tokens)

    def test_small_corpora(self):
        """Where an order has no match, or no n-gram, the corpus score is smoothed, or 0."""
        pairs = random_pairs(200, seed=6)
        self.compare([[(answer, [reference]) for reference, answer in pairs[i:i + 3]] for i in range(0, len(pairs), 3)], "13a")

    def test_every_character_of_the_basic_plane(self):
        """Alone between letters and digits, where a tokeniser may part them."""
        text = [f"a{chr(c)}1 " for c in range(0x10000) if not 0xd800 <= c < 0xe000] + ["a𠀀1 ", "a丽1 "]
        for tokens in ("13a", "zh"):
            self.compare([[("".join(text[i:i + 64]), ["".join(text[i:i + 64:2])]) for i in range(0, len(text), 64)]], tokens)

    def test_long(self):
        chance = random.Random(7)
        words = [odd(chance, 3) for _ in range(20_000)]
        for tokens in ("13a", "zh"):
            self.compare([[(" ".join(words), [" ".join(words[::2]), " ".join(words[5:])])]], tokens)

    def test_by_language(self):
        items = [("the cat，sat", ["the cat，sat"]), ("学习机器", ["机器学习，深度"])]
        for item, tokens in zip(items, ("13a", "zh")):
            ours = ask([{"ask": "bleu", "tokens": name, "items": [item]} for name in ("language", "13a", "zh")])
            self.assertEqual(ours[0], ours[1 if tokens == "13a" else 2])
            self.assertNotEqual(ours[1], ours[2])


class Distinct(Texts):
    def compare(self, pairs):
        answers = [answer for _, answer in pairs]
        for n in (1, 2, 3):
            ngrams = [tuple(text[i:i + n]) for text in map(Characters().tokenize, answers) for i in range(len(text) - n + 1)]
            found = ask([{"ask": "distinct", "n": n, "tokens": "characters", "answers": answers}])[0]
            self.assertEqual(found, [len(set(ngrams)), len(ngrams), len(set(ngrams)) / len(ngrams)])

    def test_characters(self):
        self.over_all_texts(self.compare, 300)


if __name__ == "__main__":
    unittest.main()
