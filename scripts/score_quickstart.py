#!/usr/bin/env python3
"""Scores the quickstart's answers by exact match. Standard library only.

    score_quickstart.py BEFORE.jsonl AFTER.jsonl

Each line is a record with its expected "output" and the "generated" answer. Prints three answers before and after, then the accuracies;
ends with 1 where the accuracy after is below 0.9.
"""
import json
import pathlib
import sys

TARGET = 0.9


def read(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def right(record):
    return record["generated"].strip() == record["output"].strip()


def accuracy(records):
    return sum(map(right, records)) / len(records)


def short(text, most=76):
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most - 1] + "…"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    before, after = map(read, sys.argv[1:])
    asked = [(r["instruction"], r["input"]) for r in before]
    if not before or asked != [(r["instruction"], r["input"]) for r in after]:
        sys.exit("error: the two files do not answer the same questions")
    # The first English, the first Chinese, the last question.
    chinese = next((i for i, r in enumerate(before) if not r["instruction"].isascii()), 1)
    for i in sorted({0, chinese, len(before) - 1}):
        print(f"{before[i]['instruction']} {before[i]['input']}")
        print(f"  before    {short(before[i]['generated'])}\n  after     {short(after[i]['generated'])}\n  expected  {short(before[i]['output'])}\n")
    print(f"{len(before)} held-out questions, exact match: accuracy before {accuracy(before):.2f} after {accuracy(after):.2f}")
    sys.exit(0 if accuracy(after) >= TARGET else 1)


if __name__ == "__main__":
    main()
