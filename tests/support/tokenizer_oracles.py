"""Tokenizers of other libraries as oracles, strings to try, and their comparison with herd's (the test program tokenizer_probe)."""

import json
import os
import pathlib
import random
import re
import subprocess
import time
import unicodedata

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import sentencepiece
import tiktoken
from tiktoken.load import load_tiktoken_bpe
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizer, PreTrainedTokenizerFast

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
    """A slow tokenizer of transformers: LlamaTokenizer over a tokenizer.model, or another class of the same interface."""

    def __init__(self, folder, make=LlamaTokenizer.from_pretrained, **decoding):
        self.tokenizer, self.decoding = make(folder), decoding
        self.size = 1 + max(self.tokenizer.get_vocab().values())

    def encode(self, texts, special):
        return [self.tokenizer.encode(t, add_special_tokens=special) for t in texts]

    def decode(self, batches, skip):
        return [self.tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False, **self.decoding) for ids in batches]


class Tiktoken:
    """OpenAI's library over a file of ranks. Special tokens come behind them and are looked for in texts."""

    def __init__(self, file, pattern, specials=(), before=(), nfc=False):
        ranks = load_tiktoken_bpe(str(file))
        self.specials = {name: len(ranks) + i for i, name in enumerate(specials)}
        self.encoding = tiktoken.Encoding("oracle", pat_str=pattern, mergeable_ranks=ranks, special_tokens=self.specials)
        self.before, self.nfc = [self.specials[name] for name in before], nfc
        self.size = len(ranks) + len(specials)

    def encode(self, texts, special):
        texts = [unicodedata.normalize("NFC", t) for t in texts] if self.nfc else texts
        return [(self.before if special else []) + ids for ids in self.encoding.encode_batch(texts, num_threads=1, allowed_special="all")]

    def decode(self, batches, skip):
        first = self.size - len(self.specials)
        return [self.encoding.decode([i for i in ids if i < first] if skip else ids, errors="replace") for ids in batches]


class Library:
    """The SentencePiece library alone: no special tokens."""

    def __init__(self, file):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(file))

    def encode(self, texts):
        return self.processor.encode(list(texts))


class PieceTokenizer(PreTrainedTokenizer):
    """What the tokenizer classes that ChatGLM, Baichuan and InternLM bring along have in common, written anew from their description."""

    def __init__(self, file, appended=(), **tokens):
        self.sp = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self.appended = {name: self.sp.vocab_size() + i for i, name in enumerate(appended)}
        super().__init__(**tokens)

    @property
    def vocab_size(self):
        return self.sp.vocab_size() + len(self.appended)

    def get_vocab(self):
        return {self.sp.id_to_piece(i): i for i in range(self.sp.vocab_size())} | self.appended

    def _tokenize(self, text):
        return self.sp.encode(text, out_type=str)

    def _convert_token_to_id(self, token):
        return self.appended.get(token, self.sp.piece_to_id(token))

    def _convert_id_to_token(self, index):
        return self.sp.id_to_piece(index) if index < self.sp.vocab_size() else ""

    def convert_tokens_to_string(self, tokens):
        return self.sp.decode_pieces(tokens)

    def build_inputs_with_special_tokens(self, ids, _=None):
        return ids

    def _decode(self, token_ids, skip_special_tokens=False, **options):
        left_out = {self.pad_token_id} | (set(self.appended.values()) if skip_special_tokens else set())
        return super()._decode([i for i in token_ids if i not in left_out], skip_special_tokens=skip_special_tokens, **options)


class Baichuan(PieceTokenizer):
    """As LLaMA's first tokenizer, but that decoding keeps the first blank of a model without dummy prefix. InternLM's encodes alike."""

    def __init__(self, file):
        super().__init__(file, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    def convert_tokens_to_string(self, tokens):
        text, part, after_special = "", [], False
        for i, token in enumerate(tokens):
            if token in self.all_special_tokens:
                text += ("" if after_special or i == 0 else " ") + self.sp.decode_pieces(part) + token
                part, after_special = [], True
            else:
                part.append(token)
                after_special = False
        return text + self.sp.decode_pieces(part)

    def build_inputs_with_special_tokens(self, ids, _=None):
        return [self.bos_token_id] + ids


class ChatGlm(PieceTokenizer):
    def __init__(self, file):
        super().__init__(file, bos_token="<sop>", eos_token="<eop>", mask_token="[MASK]", pad_token="<pad>", unk_token="<unk>")

    def _tokenize(self, text):
        text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
        for length in range(80, 1, -1):
            text = text.replace(" " * length, f"<|blank_{length}|>")
        return super()._tokenize(text)

    def convert_tokens_to_string(self, tokens):
        text = super().convert_tokens_to_string(tokens).replace("<n>", "\n").replace("<|tab|>", "\t")
        for length in range(2, 81):
            text = text.replace(f"<|blank_{length}|>", " " * length)
        return text

    def build_inputs_with_special_tokens(self, ids, _=None):
        return ids + [self.sp.piece_to_id("[gMASK]"), self.sp.piece_to_id("<sop>")]


class ChatGlm2(PieceTokenizer):
    COMMANDS = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"]

    def __init__(self, file, roles=()):
        super().__init__(file, appended=[*self.COMMANDS, *roles], eos_token="</s>", pad_token="<unk>", unk_token="<unk>")

    def build_inputs_with_special_tokens(self, ids, _=None):
        return [self.appended["[gMASK]"], self.appended["sop"]] + ids


def assert_same(what, name, subject, ours, theirs):
    if ours != theirs:
        raise SystemExit(f"FAILED {name}: {what} of {subject!r}\n  herd   {ours!r}\n  oracle {theirs!r}")


def compare(probe, name, folder, oracle, texts, random_ids=300, ids_only=()):
    """Ids and decodes of `texts` and of random ids; of `ids_only` the ids alone."""
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
    if ids_only:
        compare_ids(probe, name, ids_only, oracle.encode(ids_only, False))
    print(f"{name}: {len(texts) + len(ids_only)} strings, {random_ids} random id lists, {time.time() - start:.1f} s", flush=True)


def compare_ids(probe, name, texts, expected):
    """Of the tokenizer that was asked last."""
    for text, ids, ours in zip(texts, expected, probe.ask(ids_of=texts)["ids"], strict=True):
        assert_same("ids", name, text, ours, ids)


def check_decode(name, subject, ours, decoded, skipped):
    assert_same("decode", name, subject, ours["decoded"], decoded)
    assert_same("decode without special tokens", name, subject, ours["skipped"], skipped)
    assert_same("streamed decode", name, subject, ours["streamed"], ours["skipped"])


# --- strings ---------------------------------------------------------------------------------------------------------


def real_strings(limit=200):
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


def all_records():
    """Whole records, one text each, for timing: some 5 MB."""
    data, out = ASSETS / "data", []
    for file in sorted((data / "cot-tsv").glob("*.tsv")):
        out += file.read_text(encoding="utf-8").splitlines()[:3000]
    for file in ["instructions/alpaca_en_demo.json", "instructions/alpaca_zh_demo.json"]:
        for record in json.loads((data / file).read_text(encoding="utf-8")):
            out += [record["instruction"], record["output"]]
    out += (data / "instructions/wiki_demo.txt").read_text(encoding="utf-8").splitlines()
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


def check_extension(probe, name, folder, extension, target, texts):
    """The merged vocabulary against Chinese-LLaMA's recipe, written anew over the protocol buffer; a folder that transformers loads alike."""
    from sentencepiece import sentencepiece_model_pb2

    model, more = sentencepiece_model_pb2.ModelProto(), sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "tokenizer.model").read_bytes())
    more.ParseFromString(extension.read_bytes())
    old = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    bare = sentencepiece_model_pb2.ModelProto()
    bare.CopyFrom(model)
    bare.normalizer_spec.add_dummy_prefix = False
    bare = sentencepiece.SentencePieceProcessor(model_proto=bare.SerializeToString())
    known = {piece.piece for piece in model.pieces}
    new = [p.piece for p in more.pieces if p.type == 1 and p.piece not in known]
    for piece in new:
        model.pieces.add(piece=piece, score=0)
    done = probe.ask(extend=str(folder), by=str(extension), into=str(target))
    assert_same("old pieces", name, str(folder), done["old_pieces"], old.vocab_size())
    assert_same("new pieces", name, str(extension), done["pieces"], new)
    for piece, ids in zip(new, done["old_ids"], strict=True):
        assert_same("ids under the old vocabulary", name, piece, ids, bare.encode(piece))
    merged = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    model.normalizer_spec.add_dummy_prefix = False
    alone = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()).encode(new)
    unreached = sum(ids != [old.vocab_size() + i] for i, ids in enumerate(alone))
    assert_same("pieces that no text becomes", name, str(extension), done["unreached"], unreached)
    compare(probe, name, target, Slow(target), texts[::20], random_ids=100)
    texts = [t for t in texts if not any(s in t for s in ("<s>", "</s>", "<unk>"))]
    compare_ids(probe, name, texts, merged.encode(texts))
