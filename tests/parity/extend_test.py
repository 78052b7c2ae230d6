"""A longer vocabulary, herd model extend and model.extend_vocab, against the Python way: SentencePiece's protocol buffers merged, transformers' embeddings
resized, new rows begun as means; runs with the key against runs on the extended base, on 1 to 4 ranks."""

import filecmp
import json
import pathlib
import random
import shutil
import tempfile
import unittest
import warnings

from herd_probe import ASSETS, Scratch, ask, load_llama, random_llama
from herd_run import quickstart_data, run

import sentencepiece
import torch
from peft import PeftModel
from safetensors.torch import load_file
from sentencepiece import sentencepiece_model_pb2
from transformers import LlamaForCausalLM, LlamaTokenizer

warnings.filterwarnings("ignore", category=UserWarning, module="peft")

LOGITS = 1e-4  # fp32, absolute, of the order of 1 to 10; as in llama_test.py
LOSSES = 1e-5  # relative: sums over ranks run in another order than over rows of one, as in spread_test.py
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
UNMOVED = ["train.learning_rate=1e-30", "train.max_steps=1"]  # a step far below the last bit of any weight
WORDS = "今天 天气 很好 我们 一起 学习 中文 模型 词表 训练 问题 回答 世界 你好 北京 上海 大学 老师 学生 喜欢 看书 吃饭 工作 时间 怎么 什么 为什么 因为 所以 可以".split()


def chinese(count):
    rng = random.Random(4)
    return ["".join(rng.choices(WORDS, k=rng.randrange(3, 9))) + rng.choice("。？！") for _ in range(count)]


def train_pieces(file, texts, vocab_size, **options):
    options = dict(model_type="bpe", normalization_rule_name="identity", character_coverage=1.0) | options
    with open(file, "wb") as out:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=out, vocab_size=vocab_size, minloglevel=2, **options)


def proto(file):
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(file.read_bytes())
    return model


def merge(first, second):
    """As Chinese-LLaMA did it. @return the merged model, and each new piece's ids under the first."""
    model, known = proto(first), {p.piece for p in proto(first).pieces}
    bare = proto(first)
    bare.normalizer_spec.add_dummy_prefix = False
    bare = sentencepiece.SentencePieceProcessor(model_proto=bare.SerializeToString())
    new = [p.piece for p in proto(second).pieces if p.type == 1 and p.piece not in known]
    for piece in new:
        model.pieces.add(piece=piece, score=0)
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()), bare.encode(new)


def mean(rows):
    """In fp32, one after the other."""
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total / len(rows)


def resized(base, means):
    """The fp32 model with rows for new pieces."""
    model = load_llama(base)
    old = [e.weight.detach().clone() for e in (model.get_input_embeddings(), model.get_output_embeddings())]
    first = len(sentencepiece.SentencePieceProcessor(str(base / "tokenizer.model")))
    model.resize_token_embeddings(max(len(old[0]), first + len(means)), mean_resizing=False)
    with torch.no_grad():
        for matrix, rows in zip((model.get_input_embeddings().weight, model.get_output_embeddings().weight), old):
            matrix[first : first + len(means)] = torch.stack([mean(rows[ids]) for ids in means])
    return model


class Extension(Scratch):
    def herd(self, *arguments, ranks=0):
        done = run(*arguments, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        return done.output

    def refused(self, *arguments, ranks=0, code=2):
        done = run(*arguments, ranks=ranks)
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.output.count("error: "), 1, done.output)
        return done.output

    def extend(self, base, second, name, *more):
        out = self.folder / name
        self.herd("model", "extend", base, "--with", second, "--output", out, *more)
        return out

    def assert_tensors(self, found, expected, dtype=torch.float32):
        expected = {name: w.to(dtype) for name, w in expected.items() if name in found}
        self.assertEqual(found.keys(), expected.keys())
        for name, w in expected.items():
            self.assertTrue(found[name].dtype == dtype and torch.equal(found[name], w), name)


class Small(Extension):
    @classmethod
    def setUpClass(cls):
        scratch = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="herd-extend-"))
        cls.shared = pathlib.Path(scratch)
        cls.records = quickstart_data.make_records()["pretrain"][:24]
        texts = chinese(60)
        cls.records += [{"instruction": a, "input": "", "output": b} for a, b in zip(texts[::2], texts[1::2])]
        (cls.shared / "data.json").write_text(json.dumps(cls.records, ensure_ascii=False))
        english = [value for record in quickstart_data.make_records()["pretrain"] for value in record.values() if value.isascii()]
        cls.base, cls.second = cls.shared / "base", cls.shared / "more.model"
        cls.base.mkdir()
        train_pieces(cls.base / "tokenizer.model", english, 360, byte_fallback=True, remove_extra_whitespaces=False)
        (cls.base / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="LlamaTokenizer", legacy=True, add_bos_token=True)))
        train_pieces(cls.second, chinese(500), 180)
        cls.tokens = len(sentencepiece.SentencePieceProcessor(str(cls.base / "tokenizer.model")))
        cls.sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, max_position_embeddings=512, vocab_size=cls.tokens)
        random_llama(**cls.sizes).save_pretrained(cls.base)
        cls.merged, cls.means = merge(cls.base / "tokenizer.model", cls.second)
        cls.rows = cls.tokens + len(cls.means)
        cls.longer = cls.shared / "longer"
        done = run("model", "extend", cls.base, "--with", cls.second, "--output", cls.longer)
        assert done.code == 0, done

    def job(self, model, name, *overrides):
        return ["train", f"model.path={model}", "model.threads=1", f"data.sets=[{self.shared}/data.json]", "data.max_tokens=512", "train.global_batch_size=8",
                "train.micro_batch_size=2", "train.learning_rate=1e-3", f"run.folder={self.folder}", f"run.name={name}", "run.plot=false",
                "run.tensorboard=false", *overrides]

    def train(self, name, *overrides, model=None, ranks=1):
        self.herd(*self.job(model or self.base, name, *overrides), ranks=ranks)
        return self.folder / name

    def key(self):
        return f"model.extend_vocab={self.second}"

    def test_the_folder_is_what_python_makes(self):
        for tied in (False, True):
            base = self.folder / f"base-{tied}"
            shutil.copytree(self.base, base)
            random_llama(tie_word_embeddings=tied, **self.sizes).save_pretrained(base)
            for dtype in ("fp32", "bf16") if tied else DTYPES:
                with self.subTest(dtype, tied=tied):
                    out = self.extend(base, self.second, f"{dtype}-{tied}", "--dtype", dtype)
                    oracle = resized(base, self.means)
                    self.assert_tensors(load_file(out / "model.safetensors"), oracle.state_dict(), DTYPES[dtype])
                    self.assertEqual(json.loads((out / "config.json").read_text())["vocab_size"], self.rows)
                    with self.assertNoLogs("transformers", "WARNING"):
                        _, said = LlamaForCausalLM.from_pretrained(out, dtype=DTYPES[dtype], output_loading_info=True)
                    self.assertFalse(any(said.values()), said)
            tokens = torch.randint(0, self.rows, (2, 20), generator=torch.Generator().manual_seed(1))
            self.assertLess((ask(self.folder / f"fp32-{tied}", tokens)["logits"] - oracle(input_ids=tokens).logits).abs().max(), LOGITS)

    def test_its_tokenizer_is_read_alike(self):
        tokenizer = LlamaTokenizer.from_pretrained(self.longer)
        texts = chinese(50) + [record["output"] for record in self.records]
        for text, ids in zip(texts, self.merged.encode(texts)):
            self.assertEqual(tokenizer(text).input_ids, [1, *ids], text)
        self.assertEqual(sentencepiece.SentencePieceProcessor(str(self.longer / "tokenizer.model")).encode(texts), self.merged.encode(texts))
        self.assertLess(len(self.merged.encode(texts[0])), len(LlamaTokenizer.from_pretrained(self.base)(texts[0]).input_ids) / 2)
        self.assertIn(f"{self.rows} tokens", self.herd("model", "inspect", self.longer, "--check"))

    def test_a_run_begins_as_the_folder_on_any_number_of_ranks(self):
        for strategy, ranks in (("ddp", 1), ("zero3", 2), ("zero3", 3), ("zero3", 4)):
            with self.subTest(strategy, ranks=ranks):
                run_folder = self.train(f"{strategy}-{ranks}", self.key(), *UNMOVED, f"parallel.strategy={strategy}", ranks=ranks)
                names = ["model.safetensors", "tokenizer.model", "tokenizer_config.json"]
                self.assertEqual(filecmp.cmpfiles(run_folder / "model", self.longer, names, shallow=False), (names, [], []))
                self.assertEqual(json.loads((run_folder / "model/config.json").read_text())["vocab_size"], self.rows)
        bf16 = self.train("bf16", self.key(), *UNMOVED, "model.dtype=bf16", "parallel.strategy=zero3", ranks=2)
        self.assert_tensors(load_file(bf16 / "model/model.safetensors"), resized(self.base, self.means).state_dict(), torch.bfloat16)

    def losses(self, run_folder):
        return [line["loss"] for line in map(json.loads, (run_folder / "metrics.jsonl").read_text().splitlines()) if "loss" in line]

    def test_a_run_with_the_key_is_a_run_on_the_folder(self):
        steps = ["train.max_steps=4", "checkpoint.every=2 steps"]
        whole = self.train("whole", self.key(), *steps)
        self.assertIn("new ones of", (whole / "log.txt").read_text())
        on_folder = self.train("on-folder", *steps, model=self.longer)
        spread = self.train("spread", self.key(), *steps, "parallel.strategy=zero3", ranks=2)
        self.assertTrue(filecmp.cmp(whole / "model/model.safetensors", on_folder / "model/model.safetensors", shallow=False))
        for found, expected in zip(self.losses(spread), self.losses(whole), strict=True):
            self.assertLess(abs(found - expected), LOSSES * expected)

        with self.subTest("resumed"):
            shutil.rmtree(whole / "checkpoints/step-4")
            shutil.copytree(whole, self.folder / "resumed")
            resumed = self.train("resumed", self.key(), *steps, f"resume={self.folder}/resumed/checkpoints/step-2")
            self.assertTrue(filecmp.cmp(whole / "model/model.safetensors", resumed / "model/model.safetensors", shallow=False))
        with self.subTest("not resumed with another extension"):
            other = self.folder / "other.model"
            train_pieces(other, chinese(500), 170)
            said = self.refused(*self.job(self.base, "resumed", f"model.extend_vocab={other}", *steps, f"resume={self.folder}/resumed/checkpoints/step-2"), ranks=2)
            self.assertIn("another", said)
        with self.subTest("consolidated"):
            self.herd("checkpoint", "consolidate", spread, self.folder / "consolidated")
            files = sorted(path.name for path in (spread / "model").iterdir())
            self.assertEqual(filecmp.cmpfiles(spread / "model", self.folder / "consolidated", files, shallow=False), (files, [], []))
        with self.subTest("generated from"):
            self.generates_as_transformers(whole / "model")
        with self.subTest("not extended again"):
            said = self.refused(*self.job(whole / "model", "again", self.key()), code=1)
            self.assertIn("no piece that the tokenizer of", said)

    def generates_as_transformers(self, folder):
        prompt = chinese(1)[0]
        model, tokenizer = load_llama(folder), LlamaTokenizer.from_pretrained(folder)
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        answer = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        done = self.herd("generate", "--model", folder, "--prompt", prompt, "--max-new-tokens", 12)
        self.assertIn(tokenizer.decode(answer, skip_special_tokens=True).strip(), done)

    def test_what_it_will_take_is_told_before(self):
        plan = lambda *more: json.loads(self.herd("plan", *self.job(self.base, "plan", *more)[1:], "--ranks", 2, "--json"))
        parameters = sum(w.numel() for w in load_file(self.longer / "model.safetensors").values())
        self.assertEqual(plan(self.key())["parameters"], parameters)
        self.assertEqual(plan()["parameters"], parameters - 2 * 32 * len(self.means))
        tokens = lambda *more: plan(*more)["tokens"]
        self.assertLess(tokens(self.key()), tokens())
        self.assertIn(chinese(1)[0][:2], self.herd("data", "audit", *self.job(self.base, "audit", self.key())[1:]))

    def test_adapters_want_the_folder(self):
        for overrides in (["peft.method=lora"], ["peft.method=lora", "peft.modules_to_save=[embed_tokens, lm_head]"]):
            with self.subTest(overrides):
                said = self.refused(*self.job(self.base, "lora", self.key(), *overrides), ranks=2 if len(overrides) == 2 else 0)
                self.assertIn(f"herd model extend {self.base} --with {self.second} --output DIR", said)
                self.assertFalse((self.folder / "lora").exists())
        lora = ["peft.method=lora", "peft.r=4", "peft.modules_to_save=[embed_tokens, lm_head]", "train.max_steps=3"]
        adapter = self.train("lora", *lora, model=self.longer) / "adapter"
        merged = self.folder / "merged"
        self.herd("merge", "--model", self.longer, "--adapter", adapter, "--output", merged)
        self.assertTrue(filecmp.cmp(merged / "tokenizer.model", self.longer / "tokenizer.model", shallow=False))
        tokens = torch.randint(0, self.rows, (2, 20), generator=torch.Generator().manual_seed(1))
        peft = PeftModel.from_pretrained(load_llama(self.longer), adapter).eval()(input_ids=tokens).logits
        self.assertLess((load_llama(merged)(input_ids=tokens).logits - peft).abs().max(), LOGITS)
        self.assertGreater((load_llama(self.longer)(input_ids=tokens).logits - peft).abs().max(), 10 * LOGITS)

    def test_what_cannot_be_extended_is_refused_on_every_rank(self):
        other = self.folder / "other"
        shutil.copytree(self.base, other)
        (other / "tokenizer.model").unlink()
        tokenizer, config = quickstart_data.make_tokenizer(quickstart_data.make_records())
        (other / "tokenizer.json").write_text(json.dumps(tokenizer))
        shorter = self.folder / "shorter"
        shutil.copytree(self.base, shorter)
        random_llama(**{**self.sizes, "vocab_size": self.tokens - 1}).save_pretrained(shorter)
        cases = {
            "no tokenizer.model": (other, self.second, "expected the tokenizer.model of a SentencePiece vocabulary"),
            "a folder": (self.base, self.longer, f"name {self.longer}/tokenizer.model"),
            "no SentencePiece model": (self.base, self.base / "config.json", "not a SentencePiece model"),
            "nothing new": (self.base, self.base / "tokenizer.model", "no piece that the tokenizer of"),
            "a tokenizer that is not the model's": (shorter, self.second, f"{self.tokens} tokens; expected those of the model"),
        }
        for name, (base, second, message) in cases.items():
            with self.subTest(name):
                code = 2 if base == shorter else 1
                self.assertIn(message, self.refused("model", "extend", base, "--with", second, "--output", self.folder / "out", code=code))
                self.assertFalse((self.folder / "out").exists())
                if name in ("nothing new", "no tokenizer.model"):
                    self.assertIn(message, self.refused(*self.job(base, "run", f"model.extend_vocab={second}"), ranks=2, code=code))

    def test_tokens_behind_the_pieces_of_chatglm2_move(self):
        tokenizer, base = self.folder / "tokenizer", self.folder / "glm"
        tokenizer.mkdir()
        shutil.copy(self.base / "tokenizer.model", tokenizer)
        (tokenizer / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="ChatGLMTokenizer", name_or_path="THUDM/chatglm2-6b")))
        self.herd("model", "init", base, "family=chatglm2", "hidden_size=32", "intermediate_size=48", "num_hidden_layers=1", "num_attention_heads=4",
                  "num_key_value_heads=2", "head_dim=8", f"vocab_size={self.tokens + 9}", f"tokenizer={tokenizer}")
        out = self.extend(base, self.second, "longer-glm")
        old, new = (load_file(folder / "model.safetensors") for folder in (base, out))
        for name in ("transformer.embedding.word_embeddings.weight", "transformer.output_layer.weight"):
            moved = old[name][self.tokens : self.tokens + 5]
            self.assertTrue(torch.equal(new[name], torch.cat([old[name][: self.tokens], torch.stack([mean(old[name][ids]) for ids in self.means]), moved])), name)
        self.assertEqual(json.loads((out / "config.json").read_text())["padded_vocab_size"], self.rows + 5)


@unittest.skipUnless(ASSETS.exists(), "no ../shared/assets")
class Real(Extension):
    def test_llama_by_chinese_pieces(self):
        base = self.folder / "base"
        random_llama(hidden_size=16, intermediate_size=16, num_hidden_layers=1, vocab_size=32000).save_pretrained(base)
        for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(ASSETS / "tokenizers/llama" / name, base)
        second = ASSETS / "tokenizers/chinese-llama-sp/chinese_sp.model"
        out = self.extend(base, second, "longer")
        _, means = merge(base / "tokenizer.model", second)
        self.assertEqual(len(means), 17953)
        self.assert_tensors(load_file(out / "model.safetensors"), resized(base, means).state_dict())
        self.assertFalse((out / "tokenizer.json").exists())


if __name__ == "__main__":
    unittest.main()
