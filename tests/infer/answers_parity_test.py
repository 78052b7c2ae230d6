"""What herd reads out of answers against Python's own ways, its scores against scikit-learn, its bootstrap against SciPy; on real answers of the
adapters' sets too, which skip where the assets are missing."""

import json
import random
import re
import unicodedata
import unittest
import warnings

import numpy
from herd_paths import ASSETS
from metrics_probe import ask
from metric_texts import ODD, odd, random_pairs
from scipy.stats import bootstrap
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

ROUNDING = 1e-12  # of means of numbers up to 1: scikit-learn and NumPy sum in another order
# In standard errors of the mean: an end from 4,000 resamples varies by sqrt(0.025 · 0.975 / 4000) / 0.058 = 0.04, on both sides; five of these.
BOOTSTRAP_ENDS = 5 * 0.04 * 2**0.5


def normal(text):
    text = unicodedata.normalize("NFC", text)
    text = "".join(chr(ord(c) - 0xfee0) if 0xff01 <= ord(c) <= 0xff5e else c for c in text)
    text = " ".join(text.lower().split())
    either = {" ", '"', "'"} | {c for c in text if unicodedata.category(c) in ("Ps", "Pe", "Pi", "Pf")}
    return text.lstrip("".join(either)).rstrip("".join(either) + ".,;:!?。、")


def naive_number(text):
    """As the adapters' evaluation reads it."""
    found = re.findall(r"-?\d+\.?\d*", text.replace(",", ""))
    return float(found[-1]) if found else None


class Answers(unittest.TestCase):
    def read(self, name):
        file = ASSETS / "data/eval" / name / "test.json"
        if not file.exists():
            self.skipTest(f"no {file}")
        return json.loads(file.read_text(encoding="utf-8"))

    def test_normal_form(self):
        chance = random.Random(1)
        texts = ODD + [chance.choice(("", "“", " (")) + odd(chance) + chance.choice(("", "。", "!) ")) for _ in range(1000)]
        for text, found in zip(texts, ask([{"ask": "normal", "answer": text} for text in texts])):
            self.assertEqual(found, normal(text), repr(text))

    def test_anything_can_be_read(self):
        """Letters come in order and once, numbers are finite: no text is refused."""
        texts = [text for pair in random_pairs(400, seed=2) for text in pair]
        for text, letters in zip(texts, ask([{"ask": "letters", "answer": text} for text in texts])):
            self.assertRegex(letters, "^A?B?C?D?E?$", repr(text))
        numbers = ask([{"ask": "number", "answer": text} for text in texts])
        self.assertGreater(sum(number is not None for number in numbers), 100)

    def test_words_of_real_answers(self):
        for name in ("boolq", "ARC-Challenge"):
            records = self.read(name)
            found = ask([{"ask": "word", "instruction": record["instruction"], "answer": record["output"]} for record in records])
            self.assertEqual(found, [record["answer"] for record in records])

    def test_letters_of_real_answers(self):
        """AQuA's answers are `(C)`; a text that ends with one after much else is read too."""
        file = ASSETS / "data/cot-tsv/aqua_train.tsv"
        if not file.exists():
            self.skipTest(f"no {file}")
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        for answers in ([answer for _, answer, _ in rows], [f"{reason}\nThe answer is {answer}." for _, answer, reason in rows]):
            found = ask([{"ask": "letters", "answer": answer} for answer in answers])
            self.assertEqual(found, [answer.strip("()") for _, answer, _ in rows])

    def test_numbers_of_real_answers(self):
        """Where the adapters' way differs, it knows no fraction, and no minus before a currency."""
        for name in ("gsm8k", "MultiArith"):
            records = self.read(name)
            references = ask([{"ask": "number", "answer": record["answer"]} for record in records])
            self.assertEqual(references, [float(record["answer"]) for record in records])
            outputs = [record["output"] for record in records]
            differ = [text for text, found in zip(outputs, ask([{"ask": "number", "answer": text} for text in outputs])) if found != naive_number(text)]
            for text in differ:
                self.assertRegex(text, r"(\d/|-\$)\d+\D*$")
            self.assertLess(len(differ), len(records) / 100)


class Scores(unittest.TestCase):
    def compare(self, references, answers, of):
        found = ask([{"ask": "scores", "references": references, "answers": answers, "of": of}])[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn doubts that one label can be all
            expected = confusion_matrix(references, answers, labels=sorted({*references, *answers}))
        numpy.testing.assert_array_equal(found["confusion"], expected)
        expected = numpy.transpose(precision_recall_fscore_support(references, answers, labels=of or None, zero_division=0))
        numpy.testing.assert_allclose(found["labels"], expected, rtol=0, atol=ROUNDING)
        for name in ("macro", "micro"):
            f1 = precision_recall_fscore_support(references, answers, labels=of or None, average=name, zero_division=0)[2]
            self.assertAlmostEqual(found[name], f1, delta=ROUNDING)

    def test_labels(self):
        chance = random.Random(3)
        for labels in ("AB", "ABCDE", ["", "A", "AB", "中", "文", "é", "z", "🙂"]):
            for count in (1, 2, 10, 500):
                references = [chance.choice(labels) for _ in range(count)]
                answers = [r if chance.random() < 0.4 else chance.choice(labels) for r in references]
                self.compare(references, answers, [])
                self.compare(references, answers, sorted(set(references)))


class Bootstrap(unittest.TestCase):
    def test_intervals(self):
        generator = numpy.random.default_rng(4)
        right = (generator.random(400) < 0.7).astype(float)
        other = numpy.where(generator.random(400) < 0.8, right, 1 - right)
        skewed = generator.exponential(size=150)
        for level in (0.8, 0.95):
            for a, b in ((right, None), (skewed, None), (right, other)):
                request = {"ask": "bootstrap", "a": a.tolist(), "resamples": 4000, "level": level, **({} if b is None else {"b": b.tolist()})}
                mean, low, high = ask([request])[0]
                scores = a if b is None else a - b
                expected = bootstrap((scores,), numpy.mean, n_resamples=4000, confidence_level=level, method="percentile", random_state=5)
                bound = BOOTSTRAP_ENDS * scores.std() / len(scores)**0.5
                self.assertAlmostEqual(mean, scores.mean(), delta=ROUNDING)
                self.assertAlmostEqual(low, expected.confidence_interval.low, delta=bound)
                self.assertAlmostEqual(high, expected.confidence_interval.high, delta=bound)


if __name__ == "__main__":
    unittest.main()
