"""herd's BM25 against rank_bm25, and which texts its index of ROUGE-L keeps against rouge_score, over random and real texts."""

import json
import random
import unittest

from metric_texts import REAL
from metrics_probe import ask
from rank_bm25 import BM25Okapi
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

# Relative: numpy's logarithm and ours may differ in the last place, and rank_bm25 sums the idf in another order.
ROUNDING = 1e-12


class Characters:
    def tokenize(self, text):
        return [c for c in text.lower() if not c.isspace()]


WORDS = DefaultTokenizer(False)
TOKENIZERS = {"en": WORDS, "zh": Characters()}


def made_texts(count, language, seed):
    chance = random.Random(seed)
    pieces = {"en": "write list name red blue house river a the of why poem short Explain three".split(), "zh": list("请写一首关于山水的诗列出三种鸟为什么")}[language]
    texts = []
    for _ in range(count):
        text = list(chance.choice(texts)) if texts and chance.random() < 0.4 else [chance.choice(pieces) for _ in range(chance.randrange(1, 20))]
        text[chance.randrange(len(text))] = chance.choice(pieces)
        texts.append(text)
    return [(" " if language == "en" else "").join(text) for text in texts]


def real_texts(language, count):
    file = REAL[f"alpaca_{language}_demo.json"]
    if not file.exists():
        raise unittest.SkipTest(f"no {file}")
    # Without letters of another script, so that each text is of the language that its tokens are told by.
    texts = [record["instruction"] for record in json.loads(file.read_text())]
    return [text for text in texts if language == "en" and text.isascii() or language == "zh" and not any("a" <= c.lower() <= "z" for c in text)][:count]


class Near(unittest.TestCase):
    def over_all_texts(self, check, made, real):
        for language in ("en", "zh"):
            with self.subTest(f"made, {language}"):
                check(made_texts(made, language, 1), language)
            with self.subTest(f"real, {language}"):
                check(real_texts(language, real), language)

    def test_bm25(self):
        def check(texts, language):
            tokens = [TOKENIZERS[language].tokenize(text) for text in texts]
            held, asked = tokens[: len(tokens) * 3 // 4], texts[len(tokens) * 3 // 4:]
            oracle = BM25Okapi(held)
            found = ask([{"ask": "bm25", "texts": texts[: len(held)], "questions": asked}])[0]
            for question, scores in zip(asked, found, strict=True):
                expected = oracle.get_scores(TOKENIZERS[language].tokenize(question))
                self.assertEqual(len(scores), len(held))
                for ours, theirs in zip(scores, expected):
                    self.assertLessEqual(abs(ours - theirs), ROUNDING * max(1, abs(theirs)), question)
            self.assertGreater(max(map(max, found)), 3)
        self.over_all_texts(check, 200, 400)

    def test_rouge(self):
        def check(texts, language):
            scorer = RougeScorer(["rougeL"], tokenizer=TOKENIZERS[language])
            for bound in (0.35, 0.7):
                stayed, expected = [], []
                for text in texts:
                    best = max(((scorer.score(other, text)["rougeL"].fmeasure, -i) for i, other in enumerate(stayed)), default=(0, 0))
                    expected.append([-best[1], best[0]] if best[0] > bound else None)
                    if not expected[-1]:
                        stayed.append(text)
                self.assertEqual(ask([{"ask": "rouge_index", "bound": bound, "texts": texts}])[0], expected)
                self.assertTrue(bound > 0.5 or len(stayed) < len(texts))
        self.over_all_texts(check, 150, 220)


if __name__ == "__main__":
    unittest.main()
