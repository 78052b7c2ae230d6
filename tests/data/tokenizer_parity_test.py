"""herd's tokenizers against Hugging Face's and SentencePiece: ids and decodes of the same strings must be equal.

Real vocabularies and more than 10,000 real strings come from ../shared/assets where that is there. The forms of tokenizer.json are
also covered by small vocabularies that this test trains itself, so that nothing goes untested without the assets."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import unicodedata

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASSETS = ROOT.parent / "shared" / "assets"
SOURCES = [p for folder in ("data", "runtime", "tests") for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".cpp", ".h", ".py")]


class Probe:
    """The test program tokenizer_probe: one JSON line a question, one a reply."""

    def __init__(self, binaries):
        self.process = subprocess.Popen([f"{binaries}/tokenizer_probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        if "error" in reply:
            raise RuntimeError(f"{str(request)[:300]}: {reply['error']}")
        return reply


class Fast:
    """transformers' fast tokenizer of a folder, or the bare tokenizers library where the folder has no configuration."""

    def __init__(self, folder):
        config = folder / "tokenizer_config.json"
        if not config.exists():
            self.backend = Tokenizer.from_file(f"{folder}/tokenizer.json")
        elif "tokenizer_class" in json.loads(config.read_text()):
            self.backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        else:
            self.backend = PreTrainedTokenizerFast.from_pretrained(folder).backend_tokenizer
        self.size = 1 + max(self.backend.get_vocab(with_added_tokens=True).values())

    def encode(self, texts, special):
        return [e.ids for e in self.backend.encode_batch(texts, add_special_tokens=special)]

    def decode(self, batches, skip):
        return self.backend.decode_batch(batches, skip_special_tokens=skip)


class Slow:
    """transformers' LlamaTokenizer over a tokenizer.model."""

    def __init__(self, folder):
        self.tokenizer = LlamaTokenizer.from_pretrained(folder)
        self.size = 1 + max(self.tokenizer.get_vocab().values())

    def encode(self, texts, special):
        return [self.tokenizer.encode(t, add_special_tokens=special) for t in texts]

    def decode(self, batches, skip):
        return [self.tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False) for ids in batches]


def assert_same(what, name, subject, ours, theirs):
    if ours != theirs:
        raise SystemExit(f"FAILED {name}: {what} of {subject!r}\n  herd   {ours!r}\n  oracle {theirs!r}")


def compare(probe, name, folder, oracle, texts, random_ids=300):
    start = time.time()
    loaded = probe.ask(folder=str(folder))
    assert_same("vocab_size", name, str(folder), loaded["vocab_size"], oracle.size)
    with_special = oracle.encode(texts, True)
    plain = oracle.encode(texts[::10], False)
    decoded, skipped = oracle.decode(with_special, False), oracle.decode(with_special, True)
    for i, ours in enumerate(probe.ask(texts=texts)["results"]):
        assert_same("ids", name, texts[i], ours["ids"], with_special[i])
        if i % 10 == 0:
            assert_same("ids without special tokens", name, texts[i], ours["plain"], plain[i // 10])
        check_decode(name, texts[i], ours, decoded[i], skipped[i])
    rng = random.Random(7)
    batches = [[rng.randrange(min(oracle.size, rng.choice([300, 10**9]))) for _ in range(rng.randrange(1, 30))] for _ in range(random_ids)]
    decoded, skipped = oracle.decode(batches, False), oracle.decode(batches, True)
    for i, ours in enumerate(probe.ask(batches=batches)["results"]):
        check_decode(name, batches[i], ours, decoded[i], skipped[i])
    print(f"{name}: {len(texts)} strings, {random_ids} random id lists, {time.time() - start:.1f} s", flush=True)


def check_decode(name, subject, ours, decoded, skipped):
    assert_same("decode", name, subject, ours["decoded"], decoded)
    assert_same("decode without special tokens", name, subject, ours["skipped"], skipped)
    assert_same("streamed decode", name, subject, ours["streamed"], ours["skipped"])


# --- strings ---------------------------------------------------------------------------------------------------------


def real_strings(limit=300):
    """Questions, answers and instructions in English and Chinese; long ones are cut, as whole-text merging is slow in the oracle."""
    data, out = ASSETS / "data", []
    for file in sorted((data / "cot-tsv").glob("*.tsv")):
        out += [line[:limit] for line in file.read_text(encoding="utf-8").splitlines()[:1050]]
    for file in ["instructions/alpaca_en_demo.json", "instructions/alpaca_zh_demo.json", "instructions/short-instructions-1100.json"]:
        for record in json.loads((data / file).read_text(encoding="utf-8")):
            out += [record["instruction"][:limit], record["output"][:limit]]
    for record in json.loads((data / "cot-formatted/creak_train.json").read_text(encoding="utf-8"))[:500]:
        out.append(record["instruction"][:limit])
    out += [line[:limit] for line in (data / "instructions/wiki_demo.txt").read_text(encoding="utf-8").splitlines()[:200]]
    return [t for t in out if t]


def code_strings():
    return [chunk for p in SOURCES for chunk in re.findall(r"(?s).{1,500}", p.read_text(encoding="utf-8"))][:300]


def odd_strings(specials=()):
    rng = random.Random(3)
    emoji = "😀👍🏽👨‍👩‍👧‍👦🇩🇪❤️🤷🏻‍♀️✨"
    blanks = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n ", "\v", "\f", "\x85", "\u00a0", "\u2003", "\u2028", "\u3000", "\u200b", "\ufeff", "\x1c", "\x1f", "\u180e"]
    controls = [chr(c) for c in range(32)] + ["\x7f", "\x80", "\x9f", "\u200d", "\ufffd", "\u2581", "\uffff", "\U0010ffff"]
    words = ["I'm", "WE'LL", "it'ſ", "don’t", "e\u0301a\u0308", "\u1e9b\u0323", "ﬁ", "İstanbul", "ΟΔΟΣ", "123456", "١٢٣", "Ⅷ½²", "नमस्ते", "สวัสดี", "안녕", "你好", "שלום", "x_y", "<0x41>", "<0xE4>", "'s", "''s"]
    alphabet = words + blanks + list(emoji) + controls + list(specials) * 3 + list("abcXYZ019.,;:!?-_()[]{}<>|\\/'\"#")
    out = ["", " ", *blanks, *controls, *words, emoji, *specials, *(f" {s} " for s in specials), *(f"a{s}b" for s in specials)]
    out += ["".join(rng.choices(alphabet, k=rng.randrange(1, 25))) for _ in range(1500)]
    # Only code points that this Python's Unicode (at most 15) knows: the libraries' tables differ beyond.
    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    out += ["".join(rng.choices(known, k=rng.randrange(1, 16))) for _ in range(800)]
    return out + [" " * 700, "\n" * 300, "a" * 700, "ab " * 200, "你" * 200, "\U0001f600" * 90]


# --- vocabularies trained here -----------------------------------------------------------------------------------------


def corpus():
    return [p.read_text(encoding="utf-8") for p in SOURCES] + ["the cat sat on the mat 123 4567 你好，世界 안녕 don't we'll " * 20]


def added(tokenizer):
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True), AddedToken("<n>", normalized=True)])
    tokenizer.add_tokens([AddedToken("word", single_word=True, normalized=False), AddedToken("Right", rstrip=True), AddedToken("<<", normalized=False), "<<<"])
    return tokenizer


def framed(tokenizer, more=()):
    ids = {s: tokenizer.token_to_id(s) for s in ("<s>", "</s>")}
    template = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B </s>", special_tokens=list(ids.items()))
    tokenizer.post_processor = processors.Sequence([*more, template]) if more else template
    return tokenizer


def byte_level(pre, decoder=None, normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre, decoder or decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return framed(added(tokenizer), [processors.ByteLevel(trim_offsets=False)])


def sentencepiece_style(pre=None, decoder=None, normalizer=None, byte_tokens=True, alphabet=200, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    tokenizer.normalizer = normalizer or normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    # Training needs words; the tokenizer itself then takes the text whole where `pre` is none, as LLaMA's does.
    tokenizer.pre_tokenizer = pre or pre_tokenizers.Split("▁", "merged_with_next")
    specials = ["<unk>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_tokens else [])
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=1000, special_tokens=specials, limit_alphabet=alphabet, show_progress=False))
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = spec["added_tokens"][:1]  # byte tokens are no added tokens
    if pre is None:
        spec["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.decoder = decoder or decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return framed(added(tokenizer))


def only_bytes():
    """As the quickstart writes it: 256 byte tokens, special tokens, no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
    return framed(added(tokenizer))


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def trained():
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "gpt2 style", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    yield "llama3 style", byte_level(split, ignore_merges=True)
    yield "nfkc, lower case, strip", byte_level(split, normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()]))
    for form in (normalizers.NFC(), normalizers.NFD(), normalizers.NFKD(), normalizers.Strip(left=False), normalizers.Replace(Regex(r"\s+"), "_")):
        yield f"normalizer {form}", byte_level(split, normalizer=form)
    for behavior in ("isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next"):
        for invert in (False, True):
            parts = [pre_tokenizers.Split(Regex(r"\d|[aeiou]+"), behavior, invert), pre_tokenizers.Digits(individual_digits=invert), pre_tokenizers.ByteLevel(add_prefix_space=invert, use_regex=False)]
            yield f"split {behavior}{' inverted' if invert else ''}", byte_level(pre_tokenizers.Sequence(parts))
    yield "sub-word prefix and suffix", byte_level(split, continuing_subword_prefix="##", end_of_word_suffix="</w>")
    yield "llama style", sentencepiece_style(byte_fallback=True, fuse_unk=True)
    yield "tinystories style", sentencepiece_style(byte_fallback=True, fuse_unk=True, byte_tokens=False, alphabet=60)
    yield "unknown not fused", sentencepiece_style(fuse_unk=False, byte_tokens=False, alphabet=60)
    for scheme in ("always", "first", "never"):
        for whole in (True, False):
            meta = dict(prepend_scheme=scheme, split=whole)
            yield f"metaspace {meta}", sentencepiece_style(pre_tokenizers.Metaspace(**meta), decoders.Metaspace(**meta), normalizers.NFC(), byte_fallback=True)
    yield "bytes alone", only_bytes()


def check_trained(probe, folder):
    specials = ["<s>", "</s>", "<mask>", "<n>", "word", "Right", "<<", "<<<", "<unk>"]
    texts = odd_strings(specials)
    texts = texts[:400:2] + texts[400:1000] + texts[-6:] + code_strings()[:30]
    for name, tokenizer in trained():
        place = folder / re.sub(r"\W+", "-", name)
        place.mkdir()
        tokenizer.save(str(place / "tokenizer.json"))
        compare(probe, name, place, Fast(place), texts, random_ids=150)
    check_trained_sentencepiece(probe, folder, texts)


def check_trained_sentencepiece(probe, folder, texts):
    source = folder / "corpus.txt"
    source.write_text("\n".join(corpus()), encoding="utf-8")
    for legacy in (True, False):
        place = folder / f"sentencepiece-{legacy}"
        place.mkdir()
        sentencepiece.SentencePieceTrainer.train(input=str(source), model_prefix=str(place / "tokenizer"), model_type="bpe", vocab_size=1000, byte_fallback=True,
                                                 normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
        config = {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_eos_token": not legacy, "added_tokens_decoder": {
            "1000": {"content": "<mask>", "special": True}, "1001": {"content": "word", "special": False, "normalized": False}}, "pad_token": "<mask>"}
        (place / "tokenizer_config.json").write_text(json.dumps(config))
        compare(probe, place.name, place, Slow(place), texts, random_ids=150)


# --- vocabularies of the assets ------------------------------------------------------------------------------------------


def folder_of(base, name, files):
    place = base / name
    place.mkdir()
    for target, source in files.items():
        (place / target).symlink_to(ASSETS / source)
    return place


def check_assets(probe, base):
    odd, real, code = odd_strings(["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|start_story|>"]), real_strings(), code_strings()
    print(f"{len(real)} real strings, {len(code)} of code, {len(odd)} odd ones", flush=True)
    assert len(real) >= 10_000
    llama = {n: f"tokenizers/llama/{n}" for n in ("tokenizer_config.json", "special_tokens_map.json")}
    small = "tokenizers/small/"
    fast = {
        "llama": {"tokenizer.json": "tokenizers/llama/tokenizer.json", **llama},
        "gpt2": {"tokenizer.json": "tokenizers/gpt2/tokenizer.json"},
        "qwen2": {n: f"tokenizers/qwen2/{n}" for n in ("tokenizer.json", "tokenizer_config.json")},
        "small-llama3": {"tokenizer.json": small + "tokenizer.json", "tokenizer_config.json": small + "tokenizer_config.json"},
        "small-qwen": {"tokenizer.json": small + "tiny_bpe_tokenizer.json"},
        "tinystories": {n: f"models/tinystories-656k-f32/{n}" for n in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")},
    }
    for name, files in fast.items():
        place = folder_of(base, name, files)
        compare(probe, name, place, Fast(place), real + code + odd)
    slow = {
        "llama-sentencepiece": {"tokenizer.model": "tokenizers/llama/tokenizer.model", **llama},
        "stories260k": {n: f"models/stories260k/{n}" for n in ("tokenizer.model", "tokenizer_config.json")},
        "babyllama": {n: f"models/babyllama-105/{n}" for n in ("tokenizer.model", "tokenizer_config.json")},
    }
    for name, files in slow.items():
        place = folder_of(base, name, files)
        compare(probe, name, place, Slow(place), real[::60] + code[::10] + odd[::3])
        compare_ids_with_sentencepiece(probe, name, place, real + code)


def compare_ids_with_sentencepiece(probe, name, place, texts):
    """All strings against the library itself; the slow tokenizer above is asked about a part, as it is slow."""
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(place / "tokenizer.model"))
    texts = [t for t in texts if not any(s in t for s in ("<s>", "</s>", "<unk>"))]
    for text, ids, ours in zip(texts, oracle.encode(texts), probe.ask(texts=texts)["results"]):
        assert_same("ids", f"{name} (library)", text, ours["plain"], ids)


def main():
    probe = Probe(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        check_trained(probe, pathlib.Path(scratch))
        if not ASSETS.exists():
            print("no ../shared/assets: real vocabularies not compared")
            return
        base = pathlib.Path(scratch) / "assets"
        base.mkdir()
        check_assets(probe, base)


if __name__ == "__main__":
    main()
