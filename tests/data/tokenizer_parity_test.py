"""herd's tokenizers against Hugging Face's, SentencePiece and tiktoken over small vocabularies trained here, one for each form and option:
ids and decodes of the same strings must be equal. Real vocabularies: tokenizer_assets_parity_test.py."""

import base64
import json
import pathlib
import re
import sys
import tempfile

from tokenizer_oracles import SOURCES, Baichuan, ChatGlm, ChatGlm2, Fast, Library, Probe, Slow, Tiktoken, check_extension, code_strings, compare, compare_ids, odd_strings

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GPT2Tokenizer


def corpus():
    return [p.read_text(encoding="utf-8") for p in SOURCES[::4]] + ["the cat sat on the mat 123 4567 你好，世界 안녕 don't we'll " * 20]


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


BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def trained():
    split, qwen, bloom = (pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
                          for p in (LLAMA3, LLAMA3.replace("{1,3}", ""), BLOOM))
    yield "gpt2 words", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    yield "qwen style", byte_level(qwen, normalizer=normalizers.NFC())
    yield "bloom style", byte_level(bloom)
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
    check_piece_families(probe, folder, texts[::2])
    check_bloom(probe, folder, texts)
    check_vocab_and_merges(probe, folder, texts[::2])
    check_tiktoken(probe, folder, texts)


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
        compare(probe, place.name, place, Slow(place), texts[::2], random_ids=150)


def write_config(place, **config):
    (place / "tokenizer_config.json").write_text(json.dumps(config))


def check_bloom(probe, folder, texts):
    """A vocabulary of BLOOM's shape: its split, its special tokens at 0 to 3, its class's configuration."""
    place = folder / "bloom"
    place.mkdir()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(BLOOM), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder, tokenizer.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<unk>", "<s>", "</s>", "<pad>"], show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.save(str(place / "tokenizer.json"))
    write_config(place, tokenizer_class="BloomTokenizer", add_prefix_space=False, padding_side="left", bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    compare(probe, "bloom", place, Fast(place), texts, random_ids=150)
    assert probe.ask(folder=str(place)) == {"vocab_size": 1500, "bos": 1, "eos": 2, "pad": 3}


def check_vocab_and_merges(probe, folder, texts):
    """MOSS's shape: GPT-2's files, and added tokens in a file of their own. And Qwen2's: its split, NFC, no bos."""
    place = folder / "moss"
    place.mkdir()
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.model.save(str(place))
    vocabulary = json.loads((place / "vocab.json").read_text())
    end = len(vocabulary)
    (place / "vocab.json").write_text(json.dumps(vocabulary | {"<|endoftext|>": end}))
    extra = ["<eoh>", "<eoa>", "<eoc>", "<eom>", "<|Human|>:", "<|MOSS|>:"]
    (place / "added_tokens.json").write_text(json.dumps({token: end + 1 + i for i, token in enumerate(extra)}))
    write_config(place, tokenizer_class="MossTokenizer", eos_token="<eom>", pad_token="<eom>")
    texts = texts + ["<|Human|>: hi<eoh>\n<|MOSS|>: good day<eom>\n", "<|endoftext|> a<eoc>b"]
    oracle = GPT2Tokenizer.from_pretrained(place, eos_token="<eom>", pad_token="<eom>")
    compare(probe, "moss", place, Slow(place, lambda _: oracle, spaces_between_special_tokens=False), texts, random_ids=150)
    known = probe.ask(folder=str(place))
    assert (known["eos"], known["pad"], known["bos"]) == (end + 4, end + 4, end), known

    place = folder / "qwen2"
    place.mkdir()
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    byte_level(split, normalizer=normalizers.NFC()).model.save(str(place))
    added_tokens = {str(900 + i): {"content": t, "special": True, "normalized": False} for i, t in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])}
    write_config(place, tokenizer_class="Qwen2Tokenizer", eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token=None, add_bos_token=False, added_tokens_decoder=added_tokens)
    compare(probe, "qwen2 in files", place, Fast(place), texts + ["<|im_start|>user\nhi<|im_end|>\n"], random_ids=150)


def check_tiktoken(probe, folder, texts):
    """Ranks are the ids of a trained vocabulary: its bytes, then what was merged, best first. Its special tokens: a configuration's."""
    place = folder / "tiktoken"
    place.mkdir()
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    vocabulary = {t: i for t, i in byte_level(split).get_vocab(with_added_tokens=False).items()}
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    characters = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}
    lines = [base64.b64encode(bytes(characters[c] for c in token)) + b" %d\n" % rank for token, rank in sorted(vocabulary.items(), key=lambda item: item[1])]
    (place / "tokenizer.model").write_bytes(b"".join(lines))
    added_tokens = {str(len(vocabulary) + i): {"content": t, "special": True} for i, t in enumerate(["<s>", "</s>", "<mask>"])}
    write_config(place, bos_token="<s>", eos_token="</s>", add_bos_token=True, added_tokens_decoder=added_tokens)
    compare(probe, "tiktoken", place, Tiktoken(place / "tokenizer.model", LLAMA3, ["<s>", "</s>", "<mask>"], ["<s>"]), texts, random_ids=150)


BLANKS = ["<n>", "<|tab|>", *(f"<|blank_{n}|>" for n in range(2, 81))]


def check_piece_families(probe, folder, texts):
    """Models of the shapes of ChatGLM, ChatGLM2, Baichuan and InternLM, each against its class's rules; and options that they leave out against the library."""
    def train(name, file="tokenizer.model", **options):
        place = folder / name
        place.mkdir()
        options = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False) | options
        sentencepiece.SentencePieceTrainer.train(input=str(folder / "corpus.txt"), model_prefix=str(place / "m"), vocab_size=1200, minloglevel=2, **options)
        (place / "m.model").rename(place / file)
        return place

    place = train("chatglm", "ice_text.model", model_type="unigram", normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True, user_defined_symbols=BLANKS,
                  pad_id=3, control_symbols=["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>"])
    write_config(place, tokenizer_class="ChatGLMTokenizer", num_image_tokens=0)
    blanks = [" " * n + "x" for n in range(2, 90)] + ["a\t\tb\n\n  c   ", "<n>", "<|blank_3|>", "<|blank_03|><|blank_81|>", "[gMASK] <sop>y<eop>", "x<sop>"]
    oracle = Slow(place, lambda _: ChatGlm(place / "ice_text.model"))
    compare(probe, "chatglm", place, oracle, texts + blanks, random_ids=150)
    plain = oracle.encode(texts, False)
    write_config(place, tokenizer_class="ChatGLMTokenizer")  # without the key: 20000 image tokens before the pieces
    assert probe.ask(folder=str(place))["vocab_size"] == 21200
    compare_ids(probe, "chatglm with image tokens", texts, [[20000 + i for i in ids] for ids in plain])

    place = train("chatglm2")
    for name, roles in (("chatglm2", []), ("chatglm3", ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"])):
        write_config(place, tokenizer_class="ChatGLMTokenizer", name_or_path=f"THUDM/{name}-6b")
        more = ["[gMASK]sop a", "a</s>b", "<|user|>\nhi"]
        compare(probe, name, place, Slow(place, lambda _: ChatGlm2(place / "tokenizer.model", roles)), texts + more, random_ids=150)

    for name, options in {"baichuan": dict(user_defined_symbols=["\n", "\t", "<reserved_102>", "<h2>", "<h2/>"]), "internlm": dict(user_defined_symbols=["<eoh>", "<eoa>"])}.items():
        place = train(name, add_dummy_prefix=False, **options)
        write_config(place, tokenizer_class="BaichuanTokenizer" if name == "baichuan" else "InternLMTokenizer")
        compare(probe, name, place, Slow(place, lambda _: Baichuan(place / "tokenizer.model")), texts + ["<reserved_102>hi<h2><h2/>", " x", "<eoh>\n<eoa>"], random_ids=150)

    texts = [t for t in texts if not any(s in t for s in ("<s>", "</s>", "<unk>"))]
    base = train("base")
    write_config(base, tokenizer_class="LlamaTokenizer", legacy=True, add_bos_token=True)
    more = train("more", model_type="unigram", byte_fallback=False, normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True)
    check_extension(probe, "extended", base, more / "tokenizer.model", folder / "extended", texts)
    for name, options in {"unknown": dict(byte_fallback=False, character_coverage=0.98), "blanks-behind": dict(treat_whitespace_as_suffix=True), "one-blank": dict(remove_extra_whitespaces=True),
                          "rewritten": dict(normalization_rule_name="nfkc"), "words": dict(model_type="char"), "overlapping": dict(user_defined_symbols=["ab", "abc", "▁▁", "x ", "你好", "t"])}.items():
        place = train(f"library-{name}", **options)
        probe.ask(folder=str(place))
        compare_ids(probe, name, texts, Library(place / "tokenizer.model").encode(texts))


def main():
    probe = Probe(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        check_trained(probe, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
