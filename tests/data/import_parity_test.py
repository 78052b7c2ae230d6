"""herd data import and herd data format cot against the rules done anew in Python, whose text files, str methods and csv module the published
files were made with: over the fixtures, whose expected files are checked on the way, and over random files full of quirks."""

import csv
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from herd_paths import BINARIES, ROOT
from order import LONG, fnv1a, words

HERD = str(BINARIES / "herd")
FIXTURES = ROOT / "tests/data/fixtures/import"

# What becomes of the traditional characters of the fixture, phrases first; written by hand. 看著 stays: docs/data-formats.md.
SIMPLIFIED = {"乾坤": "乾坤", "乾": "干", "瞭解": "了解", "皇后": "皇后", "後": "后", "頭髮發": "头发发", "頭髮": "头发",
              **dict(zip("問題麼為總沒們這裡資麼淨畫電視個詞斷點長單獨車結節嗎鄉轉換灣計機來讓覺睡開會說時過還對間見動員應請當話經學兩樣種愛國東實現從",
                         "问题么为总没们这里资么净画电视个词断点长单独车结节吗乡转换湾计机来让觉睡开会说时过还对间见动员应请当话经学两样种爱国东实现从")),
              "臺": "台", "行": "行", "尾": "尾"}


def simplified(text):
    out, at = "", 0
    while at < len(text):
        size = next((n for n in (3, 2, 1) if text[at:at + n] in SIMPLIFIED), 0)
        out += SIMPLIFIED[text[at:at + size]] if size else text[at]
        at += size or 1
    return out


def lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.removesuffix("\n")


def sessions(path, clean=lambda text: text):
    found = [[]]
    for line in lines(path):
        if line.strip() == "E":
            found.append([])
        elif line == "M" or line.startswith("M "):
            found[-1].append(clean(line[2:]))
    return [session for session in found if session]


def douban(folder):
    rows = [line.split("\t") for name in ("train", "dev", "test") for line in lines(folder / f"{name}.txt")]
    return [row[1:] for row in rows if row[0] == "1"]


def subtitle(folder):
    return sessions(folder / "dgk_shooter_min.conv", lambda text: text.replace("/", ""))


def xiaohuangji(folder):
    return sessions(folder / "xiaohuangji50w_nofenci.conv")


def consecutive(all_sessions):
    return ["\t".join(pair) for session in all_sessions for pair in itertools.pairwise(session)]


def chatterbot_rows(folder):
    for path in sorted(folder.glob("[!.]*")):
        post = None
        for line in lines(path):
            if line.startswith("- -"):
                post = line[3:].strip()
            elif line.startswith("  -") and post is not None:
                yield post + "\t" + line[3:].strip()


def ptt_rows(folder):
    for line in lines(folder / "Gossiping-QA-Dataset.txt"):
        if "沒有資料" not in line:
            yield simplified("\t".join(line.split()))


def qingyun_rows(folder):
    for line in lines(folder / "12万对话语料青云库.csv"):
        if not any(word in line for word in ("{", "qq", "菲菲")):
            yield "\t".join(part.strip() for part in line.split("|"))


def tieba_rows(folder):
    return ("\t".join(line.split()) for line in lines(folder / "tieba.dialogues"))


def weibo_rows(folder):
    for pair in zip(lines(folder / "stc_weibo_train_post"), lines(folder / "stc_weibo_train_response")):
        yield "\t".join(text.replace(" ", "") for text in pair)


ROWS = {
    "chatterbot": chatterbot_rows,
    "douban": lambda folder: ["\t".join(session[:2]) for session in douban(folder)],
    "ptt": ptt_rows,
    "qingyun": qingyun_rows,
    "subtitle": lambda folder: consecutive(subtitle(folder)),
    "tieba": tieba_rows,
    "weibo": weibo_rows,
    "xiaohuangji": lambda folder: ["\t".join(session) for session in xiaohuangji(folder) if len(session) == 2],
}
SESSIONS = {"douban": douban, "subtitle": subtitle, "xiaohuangji": xiaohuangji}


def two_fields(rows):
    return [row for row in rows if len(row.split("\t")) == 2]


def run(*arguments):
    return subprocess.run([HERD, "data", *map(str, arguments)], capture_output=True, text=True)


def imported(corpus, folder, output, *options):
    done = run("import", corpus, folder, "--output", output, *options)
    assert done.returncode == 0, (corpus, options, done.stderr)
    return output.read_bytes().decode().split("\n")[:-1]


def check_corpus(corpus, folder, output):
    expected = two_fields(ROWS[corpus](folder))
    found = imported(corpus, folder, output)
    assert found == expected, (corpus, next((pair for pair in itertools.zip_longest(found, expected) if pair[0] != pair[1]), None))

    records = [json.loads(line) for line in imported(corpus, folder, output, "--format", "jsonl")]
    assert records == [{"instruction": q, "input": "", "output": a} for q, a in (row.split("\t") for row in expected) if q and a], corpus

    if corpus in SESSIONS:
        whole = SESSIONS[corpus](folder)
        assert imported(corpus, folder, output, "--turns", "all") == two_fields(consecutive(whole)), corpus
        chats = [json.loads(line) for line in imported(corpus, folder, output, "--turns", "whole", "--format", "jsonl")]
        wanted = [session[:len(session) // 2 * 2] for session in whole]
        wanted = [session for session in wanted if session and all(session)]
        assert [[turn["value"] for turn in chat["conversations"]] for chat in chats] == wanted, corpus
        assert all(turn["from"] == ("human", "assistant")[i % 2] for chat in chats for i, turn in enumerate(chat["conversations"]))
    return len(expected)


def check_fixtures(output):
    for corpus in ROWS:
        kept = check_corpus(corpus, FIXTURES / corpus, output)
        expected = (FIXTURES / f"{corpus}.tsv").read_bytes().decode().split("\n")[:-1]
        assert two_fields(ROWS[corpus](FIXTURES / corpus)) == expected, corpus
        print(f"{corpus}: {kept} pairs as expected")


PIECES = ["你好", "世界", "a", "b", "qq", "菲菲", "{", "|", " ", " ", "\t", "\u3000", "/", "E", "M ", "-", "\u2028", "\x0b", "\u00a0", "呀", "，"]
BROKEN = [b"\xff", b"\xe4\xb8", b"\xc3", b"\xf0\x9f\x98", b"\xed\xa0\x80"]


def random_line(dice, head=""):
    line = (head + "".join(dice.choices(PIECES, k=dice.randrange(1, 9)))).encode()
    return line + dice.choice(BROKEN) if dice.random() < 0.05 else line


HEADS = {"chatterbot": ["- - ", "  - ", "  - ", "- -", "  -", "   ", ""], "douban": ["1\t", "1\t", "0\t"], "subtitle": ["E\n", "M ", "M ", "M ", ""],
         "xiaohuangji": ["E\nM ", "M ", "E\nM ", ""], "qingyun": ["a|", "b |", "|", ""], "tieba": ["", "a\t", "a b"], "ptt": ["", "a\t", "a b"], "weibo": [""]}


def check_random(corpus, folder, output, seed):
    dice = random.Random(f"{corpus}{seed}")
    names = [path.relative_to(FIXTURES / corpus) for path in (FIXTURES / corpus).iterdir()]
    for name in names:
        content = b"".join(random_line(dice, dice.choice(HEADS[corpus])) + dice.choice([b"\n", b"\n", b"\r\n"]) for _ in range(150))
        (folder / name).write_bytes(content)
    return check_corpus(corpus, folder, output)


def check_csv(folder, dice):
    """Python's csv module over the same file; rows that have not three columns with text end in an error that names the line."""
    table, templates, output = folder / "x.tsv", folder / "templates.yaml", folder / "x.jsonl"
    templates.write_text("[{instruction: '{question}', output: '{answer}|{chain_of_thought}'}]")
    good = bad = 0
    for _ in range(120):
        def field():
            text = "".join(dice.choices(["a", "b", "\\n", "é", '"', '""', " "], k=dice.randrange(1, 6)))
            if dice.random() < 0.4:
                inner = text.replace('"', '""' if dice.random() < 0.9 else '"')
                text = '"' + inner + dice.choice(["", "\t", "\n", "\r\n", "\n\n"]) + 'z"' + dice.choice(["", "", "y"])
            return text
        count = dice.randrange(1, 6)
        content = "".join("\t".join(field() for _ in range(3)) + dice.choice(["\n", "\n", "\r\n"]) for _ in range(count))
        if dice.random() < 0.2:
            content = content.rstrip("\r\n")
        table.write_bytes(content.encode())
        with open(table, encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter="\t"))
        done = run("format", "cot", table, "--templates", templates, "--compat", "alpaca-cot", "--output", output)
        if all(len(row) == 3 and all(row) for row in rows):
            assert done.returncode == 0, (content, done.stderr)
            records = [json.loads(line) for line in output.read_bytes().decode().split("\n")[:-1]]
            assert records == [{"instruction": q, "input": "", "output": f"{a}|{c}"} for q, a, c in rows], (content, rows, records)
            good += 1
        else:
            assert done.returncode == 1 and "x.tsv:" in done.stderr, (content, done)
            bad += 1
    assert good > 30 and bad > 10, (good, bad)
    print(f"csv: {good} files read as Python does, {bad} refused")


def choice(seed, name, row, count):
    """choose_cot, from Philox and FNV-1a."""
    drawn = words(seed, fnv1a(name) ^ row)
    while True:
        value = next(drawn) << 32 | next(drawn)
        if value < LONG - LONG % count:
            return value % count


def check_choice(folder):
    table, templates, output = folder / "y.tsv", folder / "seven.json", folder / "y.jsonl"
    table.write_text("".join(f"q{i}\ta{i}\tone\\ntwo \"{i}\"\n" for i in range(300)))
    forms = [{"instruction": f"{k}: {{question}}", "output": "{chain_of_thought} {answer}"} for k in range(7)]
    templates.write_text(json.dumps({"aqua": forms}))
    assert run("format", "cot", table, "--set", "aqua", "--templates", templates, "--seed", 5, "--output", output).returncode == 0
    records = [json.loads(line) for line in output.read_text().splitlines()]
    assert records == [{"instruction": f"{choice(5, 'aqua', i, 7)}: q{i}", "input": "", "output": f'one\ntwo "{i}" a{i}'} for i in range(300)]
    print("choice: as Philox says")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        check_fixtures(folder / "out.tsv")
        for corpus in ROWS:
            (folder / corpus).mkdir()
            kept = sum(check_random(corpus, folder / corpus, folder / "out.tsv", seed) for seed in range(3))
            assert kept > 20, (corpus, kept)
            print(f"{corpus}: {kept} pairs of random files")
        check_csv(folder, random.Random(1))
        check_choice(folder)


if __name__ == "__main__":
    sys.exit(main())
