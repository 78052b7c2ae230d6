"""Texts to measure: real ones of the assets in English and Chinese, each with a damaged copy, and random ones of odd parts."""

import json
import random

from herd_paths import ASSETS

REAL = {"alpaca_en_demo.json": ASSETS / "data/instructions/alpaca_en_demo.json", "alpaca_zh_demo.json": ASSETS / "data/instructions/alpaca_zh_demo.json",
        "belle": ASSETS / "data/belle/eval_set.json"}
ODD = ["", " ", "a", "the", "The", "cat", "cat.", "it's", "don't", "well-known", "1990-91", "3.14", "1,000,000", ".5", "5.", ",,", "..", "...", "?!", "-", "--", "a.b", "a,1",
       "1.a", "&quot;x&quot;", "&amp;lt;", "&lt;b&gt;", "<skipped>", "x-\ny", "\n", "\t", "\r\n", "\x1c", "\x85", "\u00a0", "\u2003", "\u2028", "\u3000", "\x00", "$5", "50%", "{x}",
       "[y]", "`z`", "a/b", "a\\b", "~", "@", "#1", "^", "_", "*", "+", "=", "|", "é", "e\u0301", "naïve", "ﬁne", "İx", "K", "ΟΔΟΣ", "ß", "привет", "مرحبا", "한국어", "日本語の", "カナ", "中", "文",
       "中文", "学习机器学习", "，", "。", "「好」", "（一）", "１２３", "３．１４", "Ａ", "￥5", "…", "—", "–", "“q”", "’", "→", "≤", "①", "㎡", "🙂", "👩‍👩‍👧", "\u20000", "𠀀", "𪛖", "丽", "\ufeff", "\u200b", "x²", "½"]


def damaged(text, chance):
    """The text as a middling model would have it: pieces lost, doubled and moved."""
    if not text:
        return text
    pieces = text.split(" ") if " " in text else list(text)
    joint = " " if " " in text else ""
    out = [piece for piece in pieces for _ in range(chance.choice((0, 1, 1, 1, 1, 2)))]
    cut = chance.randrange(len(out) + 1)
    return joint.join(out[cut:] + out[:cut] if chance.random() < 0.3 else out)


def odd(chance, most=24):
    return chance.choice(("", " ")).join(chance.choice(ODD) for _ in range(chance.randrange(most)))


def random_pairs(count, seed):
    """(reference, answer): half of the answers share much with their reference."""
    chance = random.Random(seed)
    pairs = [(text, text) for text in ODD] + [("", "a b"), ("a b", "")]
    for _ in range(count):
        reference = odd(chance)
        pairs.append((reference, damaged(reference, chance) if chance.random() < 0.5 else odd(chance)))
    return pairs


def real_pairs(name, count, seed):
    """(reference, answer) of the first records with an answer; every fourth answer is another record's."""
    text = REAL[name].read_text(encoding="utf-8")
    records = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    answers = [record.get("std_answer") or record.get("output") for record in records]
    answers = [answer for answer in answers if answer][:count]
    chance = random.Random(seed)
    return [(answer, answers[i - 1] if i % 4 == 0 else damaged(answer, chance)) for i, answer in enumerate(answers)]
