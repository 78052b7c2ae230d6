"""`herd data stats` against a count done anew with the standard library and the tokenizers library: lengths, what is cut and learnt, and n-grams
of real instructions in English and Chinese. Skipped where the assets are missing."""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import unicodedata

from herd_paths import ASSETS, BINARIES
from tokenizers import Tokenizer

SETS = [ASSETS / "data/instructions" / name for name in ("alpaca_en_demo.json", "alpaca_zh_demo.json")]
TOKENIZER = ASSETS / "tokenizers/qwen2"
MAX_TOKENS = 200

PREAMBLE = "Below is an instruction that describes a task{}. Write a response that appropriately completes the request.\n\n### Instruction:\n{}\n\n"
WITH_INPUT = ", paired with an input that provides further context"


def prompt_of(record):
    if record.get("input"):
        return PREAMBLE.format(WITH_INPUT, record["instruction"]) + f"### Input:\n{record['input']}\n\n### Response:"
    return PREAMBLE.format("", record["instruction"]) + "### Response:"


def is_character(c):
    return any(low <= ord(c) <= high for low, high in ((0x3041, 0x30ff), (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xf900, 0xfaff), (0x20000, 0x3ffff)))


def letter(c):
    return unicodedata.category(c)[0] in "LMN"


def stretches(text):
    """Words and Chinese characters between which there is nothing but blanks."""
    out, terms, word = [], [], ""
    for i, c in enumerate(text + "\n"):
        following = text[i + 1:i + 2]
        if letter(c) and not is_character(c):
            word += c.lower()
        elif c in "'’" and word and following and letter(following) and not is_character(following):
            word += "'"
        else:
            if word:
                terms.append((word, True))
            word = ""
            if letter(c):
                terms.append((c, False))
            elif c not in " \t\u00a0\u3000":
                out.append(terms)
                terms = []
    return out


def joined(terms):
    out = terms[0][0]
    for (_, before), (text, is_word) in zip(terms, terms[1:]):
        out += (" " if before and is_word else "") + text
    return out


def language(texts):
    """Letters of Latin against Chinese characters, of which one is worth three; these sets hold no others in number."""
    latin = sum(c.isalpha() and "LATIN" in unicodedata.name(c, "") for text in texts for c in text)
    chinese = sum("CJK UNIFIED" in unicodedata.name(c, "") for text in texts for c in text)
    return "CN" if 3 * chinese > latin else "EN"


def count(files):
    tokenizer = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
    lengths, seen = collections.Counter(), set()
    ngrams = collections.defaultdict(lambda: [collections.Counter() for _ in range(3)])
    totals = collections.Counter()
    for file in files:
        for record in json.loads(file.read_text(encoding="utf-8")):
            ids = len(tokenizer.encode(prompt_of(record), add_special_tokens=False).ids)
            learnt = len(tokenizer.encode(" " + record["output"], add_special_tokens=False).ids) + 1
            lengths[ids + learnt] += 1
            kept = min(ids + learnt, MAX_TOKENS)
            if not record["output"] or kept <= ids:
                totals["unsupervised"] += 1
            else:
                totals["tokens"] += kept
                totals["supervised"] += kept - ids
                totals["truncated"] += ids + learnt > MAX_TOKENS
                totals["cut"] += ids + learnt - kept
            content = (record["instruction"], record.get("input", ""), record["output"])
            totals["duplicates"] += content in seen
            seen.add(content)
            counters = ngrams[language(content)]
            for terms in (terms for text in content for terms in stretches(text)):
                for n, counter in enumerate(counters):
                    counter.update(joined(terms[i:i + n + 1]) for i in range(len(terms) - n))
    return lengths, totals, ngrams


def main():
    if not all(file.exists() for file in [*SETS, TOKENIZER / "tokenizer.json"]):
        print("skipped: no ../shared/assets")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([BINARIES / "herd", "data", "stats", "--sets", *SETS, "--tokenizer", TOKENIZER, "--output", folder, f"data.max_tokens={MAX_TOKENS}"],
                       check=True)
        stats = json.loads((pathlib.Path(folder) / "stats.json").read_text(encoding="utf-8"))
    lengths, totals, ngrams = count(SETS)
    assert stats["lengths"]["counts"] == sorted(map(list, lengths.items())), "lengths"
    examples = stats["examples"]
    found = {"tokens": examples["tokens"], "supervised": examples["supervised_tokens"], "truncated": examples["truncated"], "cut": examples["tokens_cut"],
             "unsupervised": examples["skipped_unsupervised"], "duplicates": stats["duplicates"]["exact"]}
    assert found == dict(totals), f"{found}, not {dict(totals)}"
    assert min(totals["truncated"], totals["cut"], totals["duplicates"]) > 0, "nothing to compare"
    assert examples["supervised_fraction"] == totals["supervised"] / totals["tokens"]
    assert stats["ngrams"].keys() == ngrams.keys(), stats["ngrams"].keys()
    for name, counters in ngrams.items():
        for n, counter in enumerate(counters, 1):
            told = stats["ngrams"][name][str(n)]
            best = sorted(counter.items(), key=lambda item: (-item[1], item[0].encode()))[:20]
            assert told["count_too_low_by_at_most"] == 0
            assert told["total"] == counter.total(), (name, n, told["total"], counter.total())
            assert told["top"] == [list(item) for item in best], (name, n, told["top"], best)
    print(f"{lengths.total()} examples, {dict(totals)}")
    return 0


sys.exit(main())
