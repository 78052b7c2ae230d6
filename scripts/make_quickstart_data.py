#!/usr/bin/env python3
"""Writes the quickstart's instruction records and its tokenizer. Standard library only; the same files on every machine.

    make_quickstart_data.py RUN_FOLDER

writes RUN_FOLDER/data/{pretrain,pretrain_heldout,lora,lora_heldout}.json and RUN_FOLDER/tokenizer/. Stage 1 trains on every category but
one; stage 2 on that one, counting letters step by step. No word or number of a held-out question occurs in a training record of the
same category, and no word of the last category's held-out questions in any training record at all.
"""
import json
import pathlib
import random
import sys

# No letter comes twice in a word, here and in name(): then the letter before says which comes next, and spelling is a skill that a small model
# learns in minutes.
WORDS = """basket beach bird blanket boat branch bread bridge bucket cabin candle carpet castle cat chair city cloud coat corn cousin
crown cup daughter dog dragon dream drum duck earth farm father field finger fire fish flag flower forest fox friend frog garden gate
ghost gold grape hat honey horse hotel house ice island jacket key kitchen knife lake lamp leaf lemon lion map market meadow milk monkey
mother mouse music nest night north ocean orange oven owl pearl pencil piano planet plate pocket pond prince rain ring road rocket rope
rose sailor salt sand shadow ship shoe silver snow soap spring star stone storm sugar sun table tailor tea thunder tiger tower train tulip
uncle wagon water whistle wind winter wolf yard zebra""".split()
COLOURS = {"红色": "red", "蓝色": "blue", "绿色": "green", "黄色": "yellow", "黑色": "black", "白色": "white", "紫色": "purple", "灰色": "grey",
           "橙色": "orange", "棕色": "brown"}
NOUNS = {"猫": "cat", "狗": "dog", "鱼": "fish", "鸟": "bird", "马": "horse", "书": "book", "船": "boat", "花": "flower", "树": "tree", "月亮": "moon",
         "太阳": "sun", "房子": "house", "山": "hill", "河": "river", "星星": "star", "门": "door", "羊": "sheep", "桌子": "table", "椅子": "chair",
         "杯子": "cup"}
DIGITS = "零一二三四五六七八九"

# The constant text of the Alpaca template, one added token a piece: in single bytes it would be four fifths of every row.
TEMPLATE = ["Below is an instruction that describes a task, paired with an input that provides further context. "
            "Write a response that appropriately completes the request.\n\n### Instruction:\n",
            "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n",
            "\n\n### Input:\n", "\n\n### Response:"]
SPECIAL = ["<|bos|>", "<|eos|>", "<|pad|>"]


class Chance:
    """Draws from random.random() alone, whose sequence Python promises to keep."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


def name(c):
    """A word that is in no dictionary: what is learnt on such words is the skill, not the words."""
    consonants, vowels = c.shuffled("bcdfghjklmnprstvwz"), c.shuffled("aeiou")
    syllables = c.between(1, 4)
    letters = "".join(consonants[i] + vowels[i] for i in range(syllables))
    return letters + (consonants[syllables] if syllables == 1 or c.below(2) else "")


def word(c):
    return c.pick(WORDS) if c.below(4) == 0 else name(c)


def words(c, low=2, high=5):
    return [word(c) for _ in range(c.between(low, high))]


def numbered(items):
    return " ".join(f"{i}-{item}" for i, item in enumerate(items, 1))


# One function a category: (instruction, input, output). English and Chinese by turns where both make sense; short, for each letter is a token.
def repeat(c):
    w = " ".join(words(c, 1, 5))
    return c.pick(["Repeat.", "重复。"]), w, w


def spell(c):
    w = word(c)
    return c.pick(["Spell the word.", "拼写。"]), w, "-".join(w)


def upper(c):
    w = word(c)
    return c.pick(["Write capitals.", "大写。"]), w, w.upper()


def double(c):
    w = word(c)
    return "Double the letters.", w, "".join(letter * 2 for letter in w)


def backwards(c):
    w = name(c)[:5]
    return c.pick(["Write backwards.", "倒写。"]), w, f"{'-'.join(w)}, so {w[::-1]}"


def initials(c):
    w = words(c)
    return "First letters?", " ".join(w), " ".join(x[0] for x in w)


def count_words(c):
    w = words(c, 1, 6)
    return c.pick(["How many words?", "几个词？"]), " ".join(w), f"{numbered(w)}, so {len(w)}"


def pick_word(c):
    w = words(c, 2, 5)
    k = c.between(1, len(w))
    return c.pick([f"Word {k}?", f"第{k}个词？"]), " ".join(w), f"{numbered(w)}, so {w[k - 1]}"


def add(c):
    a, b = c.between(10, 99), c.between(10, 99)
    ones = a % 10 + b % 10
    tens = a // 10 + b // 10 + ones // 10
    carry = f" carry {ones // 10}," if ones > 9 else ""
    return f"{a}+{b}?", "", f"{a % 10}+{b % 10}={ones},{carry} {a // 10}+{b // 10}{'+1' if ones > 9 else ''}={tens}, so {a + b}"


def compare(c):
    a, b = c.between(10, 99), c.between(10, 99)
    sign = ">" if a > b else "<" if a < b else "="
    return c.pick(["Which is greater?", "哪个大？"]), f"{a} {b}", f"{a}{sign}{b}, so {max(a, b)}"


def read_digits(c):
    n = [c.below(10) for _ in range(c.between(2, 6))]
    chinese, arabic = "".join(DIGITS[d] for d in n), "".join(map(str, n))
    return c.pick([("用中文写。", arabic, chinese), ("Write figures.", chinese, arabic)])


def translate(c):
    colour, noun = c.pick(list(COLOURS)), c.pick(list(NOUNS))
    english, chinese = f"{COLOURS[colour]} {NOUNS[noun]}", f"{colour}的{noun}"
    return c.pick([("翻译成中文。", english, chinese), ("Translate.", chinese, english)])


def count_letters(c):
    w = word(c)
    return c.pick(["How many letters?", "几个字母？"]), w, f"{numbered(w)}, so {len(w)}"


# Records for training a category; the simple copying that everything else builds on has the largest share.
STAGE_1 = {repeat: 900, spell: 800, upper: 300, double: 400, backwards: 400, initials: 300, count_words: 500, pick_word: 500, add: 400,
           compare: 200, read_digits: 400, translate: 150}
STAGE_2 = {count_letters: 900}


def draw(category, count, chance, taken):
    """`count` records with inputs that are not in `taken`, a set that grows by them; fewer where the category has no more."""
    records = []
    for _ in range(50 * count):
        instruction, text, output = category(chance)
        key = (category.__name__, text or instruction)
        if key not in taken:
            taken.add(key)
            records.append({"instruction": instruction, "input": text, "output": output})
            if len(records) == count:
                break
    return records


def make_records():
    chance, taken = Chance(20), set()
    lora_heldout = draw(count_letters, 240, chance, taken)
    hidden = {record["input"] for record in lora_heldout}
    lora = [r for category, n in STAGE_2.items() for r in draw(category, n, chance, taken)]

    def drawn(category, n):
        return [r for r in draw(category, n, chance, taken) if not hidden & set(r["input"].split())]

    heldout = [r for category in STAGE_1 for r in drawn(category, 12)]
    train = [r for category, n in STAGE_1.items() for r in drawn(category, n)]
    return {"pretrain": chance.shuffled(train), "pretrain_heldout": chance.shuffled(heldout), "lora": lora, "lora_heldout": lora_heldout}


def byte_symbols():
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    symbols, extra = {}, 256
    for byte in range(256):
        symbols[byte] = chr(byte) if byte in plain else chr(extra)
        extra += byte not in plain
    return symbols


def learn_merges(texts, symbols):
    """Byte-pair merges inside the Chinese characters, most frequent first: each becomes one token, and Latin letters stay single."""
    counts = {}
    for character in "".join(texts):
        if ord(character) > 0x2E7F:
            pieces = tuple(symbols[byte] for byte in character.encode())
            counts[pieces] = counts.get(pieces, 0) + 1
    merges = []
    while True:
        pairs = {}
        for pieces, count in counts.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] = pairs.get(pair, 0) + count
        if not pairs:
            return merges
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = {}
        for pieces, count in counts.items():
            out, i = [], 0
            while i < len(pieces):
                step = 2 if pieces[i:i + 2] == best else 1
                out.append("".join(pieces[i:i + step]))
                i += step
            merged[tuple(out)] = merged.get(tuple(out), 0) + count
        counts = merged


def make_tokenizer(records):
    symbols = byte_symbols()
    merges = learn_merges([r[key] for part in records.values() for r in part for key in ("instruction", "input", "output")], symbols)
    tokens = [symbols[byte] for byte in range(256)] + ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    added = [{"id": len(vocab) + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": content in SPECIAL} for i, content in enumerate(SPECIAL + TEMPLATE)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(pair) for pair in merges]}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level, "model": model}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[2],
              "clean_up_tokenization_spaces": False, "model_max_length": 512}
    return tokenizer, config


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    records = make_records()
    for part, items in records.items():
        write(folder / "data" / f"{part}.json", items)
        print(f"{folder}/data/{part}.json: {len(items)} records")
    tokenizer, config = make_tokenizer(records)
    write(folder / "tokenizer" / "tokenizer.json", tokenizer)
    write(folder / "tokenizer" / "tokenizer_config.json", config)
    print(f"{folder}/tokenizer: {len(tokenizer['model']['vocab']) + len(tokenizer['added_tokens'])} tokens")


if __name__ == "__main__":
    main()
