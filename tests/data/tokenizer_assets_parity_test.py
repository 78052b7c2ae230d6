"""herd's tokenizers against their references over every real vocabulary of ../shared/assets and more than 10,000 real strings, English, Chinese
and code: ids, and decodes of a part. Skipped where the assets are missing."""

import json
import pathlib
import sys
import tempfile

from tokenizer_oracles import (ASSETS, Baichuan, ChatGlm, ChatGlm2, Fast, Library, Probe, Slow, Tiktoken, check_extension, code_strings, compare, compare_ids,
                               odd_strings, real_strings)

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|start_story|>", "<|eot_id|>", "<reserved_102>", "<eoh>", "[gMASK]", "<sop>", "sop", "[INST]"]


class Vocabularies:
    def __init__(self, probe, base):
        self.probe, self.base = probe, base
        self.odd, self.real, self.code = odd_strings(SPECIALS), real_strings(), code_strings()
        print(f"{len(self.real)} real strings, {len(self.code)} of code, {len(self.odd)} odd ones", flush=True)
        assert len(self.real) >= 10_000

    def folder(self, name, *files, config=None):
        """Files of the assets, under their own names or, as "name=file", another."""
        place = self.base / name
        place.mkdir()
        for file in files:
            target, _, source = file.rpartition("=")
            (place / (target or pathlib.Path(source).name)).symlink_to(ASSETS / source)
        if config:
            (place / "tokenizer_config.json").write_text(json.dumps(config))
        return place

    def all_strings(self, name, place, oracle, part=1):
        """Each `part`-th string with its decodes, of all others that are real the ids."""
        few = self.real[::26 * part] + self.code[::8 * part] + self.odd[::2 * part]
        compare(self.probe, name, place, oracle, few, ids_only=self.real + self.code if part == 1 else [])
        return oracle

    def pieces(self, name, place, oracle, file="tokenizer.model"):
        """A slow class is asked about a part only; the library that it wraps about all."""
        self.all_strings(name, place, oracle, part=3)
        texts = [t for t in self.real + self.code if not any(s in t for s in SPECIALS)]
        if file == "tokenizer.model":
            compare_ids(self.probe, name, texts, Library(place / file).encode(texts))


def byte_level(all):
    small = "tokenizers/small/"
    qwen2 = [f"tokenizers/qwen2/{n}" for n in ("tokenizer.json", "tokenizer_config.json")]
    place = all.folder("gpt2", "tokenizers/gpt2/tokenizer.json")
    gpt2 = all.all_strings("gpt2", place, Fast(place))
    place = all.folder("gpt2-files", "tokenizers/gpt2/vocab.json", "tokenizers/gpt2/merges.txt")
    compare(all.probe, "gpt2 as vocab.json and merges.txt", place, gpt2, all.real[::20] + all.odd[::4])
    place = all.folder("qwen2", *qwen2)
    qwen = all.all_strings("qwen2", place, Fast(place))
    place = all.folder("qwen2-files", "tokenizers/qwen2/vocab.json", "tokenizers/qwen2/merges.txt", qwen2[1])
    compare(all.probe, "qwen2 as vocab.json and merges.txt", place, qwen, all.real[::20] + all.odd[::4])
    place = all.folder("small-llama3", small + "tokenizer.json", small + "tokenizer_config.json")
    all.all_strings("small llama3", place, Fast(place))
    place = all.folder("small-qwen", "tokenizer.json=" + small + "tiny_bpe_tokenizer.json")
    oracle = all.all_strings("small qwen", place, Fast(place))
    place = all.folder("small-qwen-files", "vocab.json=" + small + "tiny_bpe_vocab.json", "merges.txt=" + small + "tiny_bpe_merges.txt",
                       config={"tokenizer_class": "Qwen2Tokenizer", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    compare(all.probe, "small qwen as vocab.json and merges.txt", place, oracle, all.real[::20] + all.odd[::4])


def tiktoken(all):
    place = all.folder("qwen-tiktoken", "tokenizers/qwen-tiktoken/qwen.tiktoken")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))]
    all.all_strings("qwen as tiktoken", place, Tiktoken(place / "qwen.tiktoken", QWEN, names, nfc=True))
    place = all.folder("llama3-tiktoken", "tokenizers/llama3-tiktoken/tokenizer.model")
    names = {i: f"<|reserved_special_token_{i - (3 if i < 4 else 8)}|>" for i in range(256)}
    names |= {0: "<|begin_of_text|>", 1: "<|end_of_text|>", 2: "<|reserved_special_token_0|>", 3: "<|reserved_special_token_1|>", 4: "<|finetune_right_pad_id|>",
              5: "<|reserved_special_token_2|>", 6: "<|start_header_id|>", 7: "<|end_header_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>"}
    all.all_strings("llama3 as tiktoken", place, Tiktoken(place / "tokenizer.model", LLAMA3, names.values(), ["<|begin_of_text|>"]))
    place = all.folder("small-tiktoken", "tokenizer.model=tokenizers/small/tiktoken_small.model")
    all.all_strings("small tiktoken", place, Tiktoken(place / "tokenizer.model", LLAMA3))


def sentencepiece(all):
    llama = [f"tokenizers/llama/{n}" for n in ("tokenizer_config.json", "special_tokens_map.json")]
    place = all.folder("llama", "tokenizers/llama/tokenizer.json", *llama)
    all.all_strings("llama", place, Fast(place))
    place = all.folder("tinystories", *(f"models/tinystories-656k-f32/{n}" for n in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")))
    all.all_strings("tinystories", place, Fast(place))
    place = all.folder("llama-sentencepiece", "tokenizers/llama/tokenizer.model", *llama)
    all.pieces("llama's tokenizer.model", place, Slow(place))
    for name in ("stories260k", "babyllama-105"):
        place = all.folder(name, *(f"models/{name}/{n}" for n in ("tokenizer.model", "tokenizer_config.json")))
        all.pieces(name, place, Slow(place))
    for name in ("mistral-v1", "mistral-v3", "small-unigram", "chinese-llama-sp"):
        file = {"small-unigram": "tokenizer.model=tokenizers/small/m.model", "chinese-llama-sp": "tokenizer.model=tokenizers/chinese-llama-sp/chinese_sp.model"}
        place = all.folder(name, file.get(name, f"tokenizers/{name}/tokenizer.model"), config={"tokenizer_class": "LlamaTokenizer", "legacy": True})
        all.pieces(name, place, Slow(place))
    for name, family in (("baichuan2", "BaichuanTokenizer"), ("internlm", "InternLMTokenizer")):
        place = all.folder(name, f"tokenizers/{name}/tokenizer.model", config={"tokenizer_class": family})
        all.pieces(name, place, Slow(place, lambda place: Baichuan(place / "tokenizer.model")))


def extension(all):
    """LLaMA's vocabulary by Chinese-LLaMA's pieces: 49,953 in all, as published for Chinese-LLaMA before its padding token."""
    base = all.folder("base", *(f"tokenizers/llama/{n}" for n in ("tokenizer.model", "tokenizer_config.json")))
    check_extension(all.probe, "chinese-llama", base, ASSETS / "tokenizers/chinese-llama-sp/chinese_sp.model", all.base / "chinese-llama", all.real + all.code)
    assert all.probe.ask(folder=str(all.base / "chinese-llama"))["vocab_size"] == 49953
    for language, expected in {"zh": (277919, 130960), "en": (189256, 186926)}.items():  # docs/tokenizers.md shows these
        records = json.loads((ASSETS / f"data/instructions/alpaca_{language}_demo.json").read_text(encoding="utf-8"))
        texts = [value for record in records for value in (record["instruction"], record["input"], record["output"]) if value]
        found = []
        for place in (base, all.base / "chinese-llama"):
            all.probe.ask(folder=str(place))
            found.append(sum(len(ids) for ids in all.probe.ask(ids_of=texts)["ids"]))
        assert tuple(found) == expected, (language, found)


def chatglm(all):
    place = all.folder("chatglm", *(f"tokenizers/chatglm/{n}" for n in ("ice_text.model", "tokenizer_config.json", "special_tokens_map.json")))
    oracle = Slow(place, lambda place: ChatGlm(place / "ice_text.model"))
    all.pieces("chatglm", place, oracle, "ice_text.model")
    compare_ids(all.probe, "chatglm", all.real, oracle.encode(all.real, False))
    place = all.folder("chatglm2", *(f"tokenizers/chatglm2/{n}" for n in ("tokenizer.model", "tokenizer_config.json")))
    all.pieces("chatglm2", place, Slow(place, lambda place: ChatGlm2(place / "tokenizer.model")))


def main():
    if not ASSETS.exists():
        print("skipped: no ../shared/assets")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as scratch:
        all = Vocabularies(Probe(sys.argv[1]), pathlib.Path(scratch))
        for part in (byte_level, tiktoken, sentencepiece, extension, chatglm):
            part(all)


if __name__ == "__main__":
    main()
