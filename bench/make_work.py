"""Writes the work of the training benchmark: a LLaMA folder with random weights, a tokenizer of its vocabulary, and records that fill rows."""
import json
import pathlib
import random
import subprocess
import sys

VOCABULARY = 32_000
SHAPES = {  # the hub's names; the 61M one is the target's
    "61m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 9, "num_key_value_heads": 3,
            "vocab_size": VOCABULARY, "tie_word_embeddings": True, "max_position_embeddings": 2048},
    "1.1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4,
             "vocab_size": VOCABULARY, "tie_word_embeddings": False, "max_position_embeddings": 2048},  # TinyLlama's, for a GPU
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "vocab_size": VOCABULARY, "tie_word_embeddings": True, "max_position_embeddings": 2048},
}


def byte_symbols():
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + i) for i, byte in enumerate(rest)}}


def write_tokenizer(folder):
    """All bytes, and one added token for each other id, so that records can be written id by id."""
    vocab = {symbol: byte for byte, symbol in byte_symbols().items()}
    special = ["<bos>", "<eos>"]
    added = special + [f"<{i}>" for i in range(len(vocab) + len(special), VOCABULARY)]
    entries = [{"id": 256 + i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": text in special} for i, text in enumerate(added)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": entries, "normalizer": None, "pre_tokenizer": byte_level,
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<bos>", "eos_token": "<eos>", "clean_up_tokenization_spaces": False}))


def write_records(path, rows, tokens):
    """Each record is longer than a row: cut to it, every row has exactly `tokens`."""
    draw = random.Random(1)
    records = [{"instruction": "Go on.", "input": "", "output": "".join(f"<{draw.randrange(300, VOCABULARY)}>" for _ in range(tokens))}
               for _ in range(rows)]
    path.write_text(json.dumps(records))


def write_model(folder, shape):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], bos_token_id=256, eos_token_id=257))
    model.save_pretrained(folder)


def make_work(folder, shape, rows, tokens):
    folder = pathlib.Path(folder)
    model = folder / f"model-{shape}"
    if not (model / "tokenizer_config.json").exists():
        model.mkdir(parents=True, exist_ok=True)
        # A process of its own: what one starts counts its starter's memory in its own peak.
        subprocess.run([sys.executable, __file__, model, shape], check=True)
        write_tokenizer(model)
    records = folder / f"records-{rows}x{tokens}.json"
    if not records.exists():
        write_records(records, rows, tokens)
    return model, records


if __name__ == "__main__":
    write_model(pathlib.Path(sys.argv[1]), sys.argv[2])
