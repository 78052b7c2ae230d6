"""herd model: folders in every form against transformers and against Meta's layout as this file makes it with torch alone."""

import json
import shutil
import unittest

from herd_probe import ASSETS, ask, load_llama, random_ids, random_llama
from model_folders import Folders, herd

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM
from transformers.dynamic_module_utils import get_class_from_dynamic_module

LOGITS = 1e-4  # fp32, absolute, of the order of 1 to 10; as in llama_test.py


def meta_state(model):
    """A LLaMA's tensors as Meta names and orders them: each head's rotary pairs side by side (Touvron et al., model.py: view_as_complex of
    neighbours; transformers rotates halves)."""
    config, state = model.config, model.state_dict()
    pairs = lambda w, heads: w.view(heads, 2, -1, w.shape[1]).transpose(1, 2).reshape(w.shape)
    out = {"tok_embeddings.weight": state["model.embed_tokens.weight"], "norm.weight": state["model.norm.weight"], "output.weight": state["lm_head.weight"],
           "rope.freqs": torch.ones(4)}
    for i in range(config.num_hidden_layers):
        of = lambda name: state[f"model.layers.{i}.{name}.weight"]
        out.update({f"layers.{i}.{name}.weight": w for name, w in {
            "attention.wq": pairs(of("self_attn.q_proj"), config.num_attention_heads), "attention.wk": pairs(of("self_attn.k_proj"), config.num_key_value_heads),
            "attention.wv": of("self_attn.v_proj"), "attention.wo": of("self_attn.o_proj"), "feed_forward.w1": of("mlp.gate_proj"),
            "feed_forward.w2": of("mlp.down_proj"), "feed_forward.w3": of("mlp.up_proj"), "attention_norm": of("input_layernorm"),
            "ffn_norm": of("post_attention_layernorm")}.items()})
    return {name: w.contiguous() for name, w in out.items()}


def meta_shards(state, count, embedding_dim):
    """Cut as Meta's tensor-parallel ranks hold it: ColumnParallelLinear by rows, RowParallelLinear by columns, norms whole."""
    def cut(name, w, rank):
        if "norm" in name or name == "rope.freqs":
            return w
        dim = 1 if name.endswith(("wo.weight", "w2.weight")) else embedding_dim if name.startswith("tok") else 0
        return w.chunk(count, dim)[rank].contiguous()
    return [{name: cut(name, w, rank) for name, w in state.items()} for rank in range(count)]


def write_meta(folder, model, count=1, embedding_dim=1):
    folder.mkdir()
    c = model.config
    params = dict(dim=c.hidden_size, n_layers=c.num_hidden_layers, n_heads=c.num_attention_heads, n_kv_heads=c.num_key_value_heads, norm_eps=c.rms_norm_eps,
                  vocab_size=-1, multiple_of=16)
    (folder / "params.json").write_text(json.dumps(params))
    for rank, shard in enumerate(meta_shards(meta_state(model), count, embedding_dim)):
        torch.save(shard, folder / f"consolidated.{rank:02}.pth")


class Meta(Folders):
    def test_in_whole_and_in_shards(self):
        model = random_llama(max_position_embeddings=4096, vocab_size=98)
        tokens, _ = random_ids(2, 20)
        expected = model(input_ids=tokens).logits
        for count, embedding_dim in ((1, 1), (2, 1), (2, 0)):
            with self.subTest(f"{count} shards, embedding cut along {embedding_dim}"):
                folder = self.folder / f"meta-{count}-{embedding_dim}"
                write_meta(folder, model, count, embedding_dim)
                self.assertLess((ask(folder, tokens)["logits"] - expected).abs().max(), LOGITS)
                self.run_herd("convert", folder, f"{folder}-hf")
                self.assert_same(load_file(f"{folder}-hf/model.safetensors"), model.state_dict())
                self.loaded_without_a_word(f"{folder}-hf")

    def test_out_is_what_meta_has(self):
        model = self.saved(max_position_embeddings=2048)
        self.run_herd("convert", self.folder / "hf", self.folder / "meta", "--format", "meta")
        expected = meta_state(model)
        del expected["rope.freqs"]
        self.assert_same(torch.load(self.folder / "meta/consolidated.00.pth", weights_only=True), expected)
        params = json.loads((self.folder / "meta/params.json").read_text())
        plain, multiple = int(2 * 4 * params["dim"] / 3), params["multiple_of"]  # the feed-forward width as Meta's model makes it
        width = int(params.get("ffn_dim_multiplier", 1) * plain)
        self.assertEqual(multiple * ((width + multiple - 1) // multiple), model.config.intermediate_size)
        self.assertEqual((params["dim"], params["n_layers"], params["n_heads"], params["n_kv_heads"], params["vocab_size"]), (48, 3, 4, 2, 97))
        self.run_herd("convert", self.folder / "meta", self.folder / "back")
        self.assert_same(load_file(self.folder / "back/model.safetensors"), model.state_dict())

    def test_out_in_the_words_of_transformers_5(self):
        self.saved(max_position_embeddings=2048)
        file = self.folder / "hf/config.json"
        config = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("rope_theta", "rope_scaling")}
        rope = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
        file.write_text(json.dumps({**config, "rope_parameters": rope}))
        self.run_herd("convert", self.folder / "hf", self.folder / "meta", "--format", "meta")
        params = json.loads((self.folder / "meta/params.json").read_text())
        self.assertEqual((params["rope_theta"], params["use_scaled_rope"], params["rope_scaling_factor"]), (500000.0, True, 8.0))
        file.write_text(json.dumps({**config, "num_key_value_heads": 4, "rope_parameters": dict(rope_type="default", rope_theta=500000.0)}))
        self.assertIn("rope_theta", self.refused("convert", self.folder / "hf", self.folder / "baichuan", "--family", "baichuan"))

    def test_what_meta_cannot_say(self):
        for words, options in (("attention_bias", dict(attention_bias=True)), ("head_dim", dict(head_dim=20)), ("rope_scaling", dict(rope_scaling=dict(rope_type="linear", factor=2.0)))):
            shutil.rmtree(self.folder / "hf", ignore_errors=True)
            self.saved(**options)
            self.assertIn(words, self.refused("convert", self.folder / "hf", self.folder / "meta", "--format", "meta"))
            self.assertFalse((self.folder / "meta").exists())

    def test_broken_folders(self):
        model = random_llama()
        write_meta(self.folder / "meta", model, 2)
        (self.folder / "meta/consolidated.01.pth").rename(self.folder / "meta/consolidated.02.pth")
        self.assertIn("consolidated.01.pth: no such file", self.refused("inspect", self.folder / "meta"))
        shutil.rmtree(self.folder / "meta")
        write_meta(self.folder / "meta", model, 1)
        state = torch.load(self.folder / "meta/consolidated.00.pth")
        state["layers.0.attention.wz.weight"] = state.pop("layers.0.attention.wq.weight")
        torch.save(state, self.folder / "meta/consolidated.00.pth")
        text = self.refused("convert", self.folder / "meta", self.folder / "out")
        self.assertIn("1 missing: model.layers.0.self_attn.q_proj.weight", text)
        self.assertIn("1 unexpected: layers.0.attention.wz.weight", text)

    def test_a_scalar_is_told_like_any_other_tensor(self):
        for count in (1, 2):
            for name, words in (("layers.0.attention.wv.weight", "v_proj.weight"), ("layers.0.attention.wq.weight", "whole heads"), ("norm.weight", "norm.weight"),
                                ("layers.1.feed_forward.w2.weight", "down_proj.weight"), ("extra", "1 unexpected: extra")):
                with self.subTest(f"{name} of {count} files"):
                    shutil.rmtree(self.folder / "meta", ignore_errors=True)
                    write_meta(self.folder / "meta", random_llama(), count)
                    for file in (self.folder / "meta").glob("*.pth"):
                        torch.save({**torch.load(file), name: torch.tensor(2.5)}, file)
                    for command in (("inspect", self.folder / "meta", "--check"), ("convert", self.folder / "meta", self.folder / "out")):
                        said = self.refused(*command)
                        self.assertRegex(said, words if count == 1 or name in ("norm.weight", "extra") else name)
                        self.assertNotRegex(said, "c10|Exception|_M_range_check|terminate")

    def test_how_far_rope_is_stretched_goes_with_the_model(self):
        write_meta(self.folder / "meta", random_llama())
        file = self.folder / "meta/params.json"
        params = {**json.loads(file.read_text()), "rope_theta": 500000.0, "use_scaled_rope": True}
        file.write_text(json.dumps(params))
        for command in ("inspect", "convert"):
            said = self.refused(command, self.folder / "meta", *([self.folder / "out"] if command == "convert" else []))
            self.assertRegex(said, "params.json: 'use_scaled_rope'.*width 48 and 3 layers")
            self.assertIn("rope_scaling_factor", said)
        file.write_text(json.dumps({**params, "rope_scaling_factor": 32}))
        self.run_herd("convert", self.folder / "meta", self.folder / "out")
        self.assertEqual(json.loads((self.folder / "out/config.json").read_text())["rope_scaling"]["factor"], 32)

    def test_real_files(self):
        if not ASSETS.exists():
            self.skipTest(f"no {ASSETS}")
        folder = self.folder / "stories"
        folder.mkdir()
        (folder / "consolidated.00.pth").symlink_to(ASSETS / "models/stories260k/stories260K.pt")
        (folder / "params.json").write_text(json.dumps(dict(dim=64, n_layers=5, n_heads=8, n_kv_heads=4, norm_eps=1e-5, max_seq_len=512)))
        self.run_herd("convert", folder, self.folder / "hf")
        self.assertEqual(json.loads((self.folder / "hf/config.json").read_text())["intermediate_size"], 172)
        found, expected = load_file(self.folder / "hf/model.safetensors"), load_file(ASSETS / "models/stories260k/model.safetensors")
        for name in found:
            if name in expected:
                self.assertTrue(torch.equal(found[name], expected[name]), name)
        self.assertLessEqual(expected.keys() - found.keys(), {"lm_head.weight", "model.embed_tokens.weight"})  # tied
        folder = self.folder / "random"
        folder.mkdir()
        (folder / "consolidated.00.pth").symlink_to(ASSETS / "models/meta-random/demo_rand_params.pth")
        (folder / "params.json").write_text((ASSETS / "models/meta-random/demo_config.json").read_text())
        self.assertIn("every tensor that config.json describes is there", self.run_herd("inspect", folder, "--check"))


class Convert(Folders):
    def test_families_of_llamas_graph_become_llama(self):
        """Logits before and after, 40 tokens: beyond the 16 that the dynamic RoPE was trained for."""
        tokens, _ = random_ids(1, 40)
        for title, words, options in (("mistral", dict(sliding_window=None, max_position_embeddings=None), {}),
                                      ("internlm", dict(bias=True, rotary=dict(base=700, type="origin")), dict(attention_bias=True, num_key_value_heads=4)),
                                      ("internlm", dict(bias=True, rotary=dict(base=10000, type="dynamic")),
                                       dict(attention_bias=True, num_key_value_heads=4, max_position_embeddings=16))):
            with self.subTest(title, words=words):
                shutil.rmtree(self.folder, ignore_errors=True)
                self.saved(title, **options)
                file = self.folder / title / "config.json"
                config = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("attention_bias", "rope_theta", "rope_scaling", "rope_parameters")}
                file.write_text(json.dumps({k: v for k, v in {**config, "model_type": title, **words}.items() if v is not None or k == "sliding_window"}))
                self.run_herd("convert", self.folder / title, self.folder / "llama", "--family", "llama")
                before, after = (ask(self.folder / name, tokens)["logits"] for name in (title, "llama"))
                self.assertTrue(torch.equal(before, after))
                theirs = AutoModelForCausalLM.from_pretrained(self.folder / "llama", attn_implementation="eager")
                self.assertLess((theirs(tokens).logits - after).abs().max(), 1e-4)
                self.assertEqual(theirs.config.max_position_embeddings, {"mistral": 131072}.get(title, options.get("max_position_embeddings", 64)))

    def test_a_mistral_with_a_window_stays_one(self):
        self.saved("mistral", max_position_embeddings=8192)
        file = self.folder / "mistral/config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "model_type": "mistral"}))  # 4096 where it says nothing
        self.assertIn("sliding_window", self.refused("convert", self.folder / "mistral", self.folder / "llama", "--family", "llama"))

    def test_number_formats_and_shards_load_in_transformers(self):
        model = self.saved()
        tokens, _ = random_ids(2, 20)
        for word, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            out = self.folder / word
            self.run_herd("convert", self.folder / "hf", out, "--dtype", word, "--shard-size", "40KB")
            self.assertGreater(len(list(out.glob("*.safetensors"))), 2)
            again = self.loaded_without_a_word(out, dtype)
            self.assert_same(again.state_dict(), {k: v.to(dtype) for k, v in model.state_dict().items()})
        self.assertTrue(torch.equal(self.loaded_without_a_word(self.folder / "fp32")(input_ids=tokens).logits, model(input_ids=tokens).logits))

    def test_torch_files_in(self):
        model = self.saved()
        folder = self.folder / "bin"
        shutil.copytree(self.folder / "hf", folder)
        (folder / "model.safetensors").unlink()
        state = model.state_dict()
        state["model.layers.0.mlp.down_proj.weight"] = state["model.layers.0.mlp.down_proj.weight"].t().contiguous().t()  # laid transposed
        torch.save(state, folder / "pytorch_model.bin")
        self.run_herd("convert", folder, self.folder / "out")
        self.assert_same(load_file(self.folder / "out/model.safetensors"), model.state_dict())

    def test_baichuan_as_llama(self):
        model = self.saved(num_key_value_heads=4)
        (self.folder / "baichuan").mkdir()
        state = model.state_dict()
        packed = {k: v for k, v in state.items() if "q_proj" not in k and "k_proj" not in k and "v_proj" not in k}
        for i in range(3):
            packed[f"model.layers.{i}.self_attn.W_pack.weight"] = torch.cat([state[f"model.layers.{i}.self_attn.{x}_proj.weight"] for x in "qkv"])
        save_file(packed, self.folder / "baichuan/model.safetensors")
        config = json.loads((self.folder / "hf/config.json").read_text())
        config.update(model_type="baichuan", architectures=["BaiChuanForCausalLM"], auto_map={"AutoConfig": "x"})
        del config["num_key_value_heads"]
        (self.folder / "baichuan/config.json").write_text(json.dumps(config))
        self.run_herd("convert", self.folder / "baichuan", self.folder / "llama", "--family", "llama")
        again = self.loaded_without_a_word(self.folder / "llama")
        self.assertIsInstance(again, LlamaForCausalLM)
        self.assert_same(again.state_dict(), state)

    def test_the_real_baichuan_golden(self):
        golden = ASSETS / "goldens/one-layer/baichuan7b"
        if not golden.exists():
            self.skipTest(f"no {golden}")
        shutil.copytree(golden, self.folder / "baichuan")
        weights = load_file(golden / "model.safetensors")
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()  # the golden has no head
        save_file(weights, self.folder / "baichuan/model.safetensors")
        self.run_herd("convert", self.folder / "baichuan", self.folder / "llama", "--family", "llama")
        model = load_llama(self.folder / "llama").model
        steps = json.loads((golden / "golden.json").read_text())["steps"]
        ids = torch.tensor([sum((step["ids"] for step in steps), [])])
        expected = torch.tensor(sum((step["hidden"] for step in steps), []))
        self.assertLess((model(input_ids=ids).last_hidden_state[0] - expected).abs().max(), 1e-5)

    def test_refusals(self):
        model = self.saved()
        source, out = self.folder / "hf", self.folder / "out"
        self.assertIn("no conversion", self.refused("convert", source, out, "--family", "bloom"))
        self.assertIn("as many as query heads", self.refused("convert", source, out, "--family", "baichuan"))
        self.assertIn("something there already", self.refused("convert", source, source))
        state = model.state_dict()
        state["model.layers.1.mlp.up_proj.weight"][3, 5] = float("nan")
        state["model.norm.weight"][2] = float("inf")
        save_file(state, source / "model.safetensors")
        self.assertIn("'model.layers.1.mlp.up_proj.weight': NaN", self.refused("convert", source, out))
        self.assertFalse(out.exists())
        text = self.refused("inspect", source, "--check")
        self.assertIn("'model.layers.1.mlp.up_proj.weight': NaN", text)
        self.assertIn("'model.norm.weight': infinity", text)
        self.assertIn("every tensor that config.json describes", self.run_herd("inspect", source))  # reads no values

    def test_peak_memory_is_a_piece(self):
        sizes = "hidden_size=1024 intermediate_size=4096 num_hidden_layers=3 num_attention_heads=16 vocab_size=8000".split()
        self.run_herd("init", self.folder / "a", "family=llama", *sizes)
        size = (self.folder / "a/model.safetensors").stat().st_size
        self.assertGreater(size, 250e6)
        idle = herd("list")[3]
        for words in (["--dtype", "bf16"], ["--format", "meta"]):
            code, _, err, peak = herd("convert", self.folder / "a", self.folder / words[-1], *words)
            self.assertEqual((code, err), (0, ""))
            # The largest tensor's pages (33 MB) while it is read, twice where it is written beside, and a piece of 16 MB.
            self.assertLess(peak - idle, 110e6, words)


class RemoteCode(Folders):
    """Folders that bring the code of their model along, as ChatGLM's, Baichuan's, InternLM's and MOSS's do."""

    def setUp(self):
        super().setUp()
        self.source = self.folder / "baichuan"
        self.run_herd("init", self.source, "family=baichuan", *"hidden_size=32 intermediate_size=48 num_hidden_layers=1 num_attention_heads=4 vocab_size=50 max_position_embeddings=64".split())
        (self.source / "configuration_own.py").write_text("from transformers import PretrainedConfig\n\nclass OwnConfig(PretrainedConfig):\n    model_type = 'baichuan'\n")
        (self.source / "modeling_own.py").write_text("from transformers import PreTrainedModel\nfrom .configuration_own import OwnConfig\nfrom .parts import NAME\n\n"
                                                     "class OwnForCausalLM(PreTrainedModel):\n    config_class = OwnConfig\n    name = NAME\n")
        (self.source / "parts.py").write_text("NAME = 'own'\n")
        self.map = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
        self.rewrite(auto_map=self.map)

    def rewrite(self, **words):
        config = {**self.config(self.source), **words}
        (self.source / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    def config(self, folder):
        return json.loads((folder / "config.json").read_text())

    def exported(self, *options):
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self.run_herd("convert", self.source, self.folder / "out", *options)
        return self.folder / "out"

    def test_it_comes_along(self):
        out = self.exported()
        self.assertEqual(sorted(p.name for p in out.glob("*.py")), ["configuration_own.py", "modeling_own.py", "parts.py"])
        self.assertEqual(self.config(out)["auto_map"], self.map)
        self.assertEqual(type(AutoConfig.from_pretrained(out, trust_remote_code=True)).__name__, "OwnConfig")
        self.assertEqual(get_class_from_dynamic_module("modeling_own.OwnForCausalLM", out).name, "own")

    def test_what_is_not_there_is_not_named(self):
        (self.source / "modeling_own.py").unlink()
        self.assertEqual(self.config(self.exported())["auto_map"], {"AutoConfig": "configuration_own.OwnConfig"})
        self.rewrite(auto_map={"AutoModel": "modeling_own.OwnForCausalLM"})
        self.assertNotIn("auto_map", self.config(self.exported()))
        elsewhere = {"AutoModel": "org/name--modeling_own.OwnForCausalLM", "AutoTokenizer": ["configuration_own.OwnConfig", None]}
        self.rewrite(auto_map=elsewhere)
        self.assertEqual(self.config(self.exported())["auto_map"], elsewhere)

    def test_as_another_family_it_stays_behind_unless_the_tokenizer_names_it(self):
        out = self.exported("--family", "llama")
        self.assertFalse(list(out.glob("*.py")))
        self.assertNotIn("auto_map", self.config(out))
        (self.source / "tokenizer_config.json").write_text(json.dumps(dict(auto_map={"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]})))
        (self.source / "tokenization_own.py").write_text("")
        self.assertTrue((self.exported("--family", "llama") / "tokenization_own.py").exists())

    def test_both_baichuans_are_named_as_they_name_themselves(self):
        self.assertEqual(self.config(self.exported())["architectures"], ["BaiChuanForCausalLM"])
        self.rewrite(max_position_embeddings=None, model_max_length=4096)
        self.assertEqual(self.config(self.exported())["architectures"], ["BaichuanForCausalLM"])
        self.assertIn("baichuan (BaichuanForCausalLM)", self.run_herd("inspect", self.source))


class Look(Folders):
    def test_list(self):
        out = self.run_herd("list")
        for word in ("llama", "LlamaForCausalLM", "num_key_value_heads", "tested against transformers", "baichuan to llama"):
            self.assertIn(word, out)

    def test_init_is_a_model_of_transformers(self):
        words = "hidden_size: 32\nintermediate_size: 48\nnum_hidden_layers: 2\nnum_attention_heads: 4\n"
        (self.folder / "shape.yaml").write_text(words)
        self.run_herd("init", self.folder / "a", self.folder / "shape.yaml", "vocab_size=50", "dtype=bf16", "seed=7", "num_key_value_heads=2")
        model = self.loaded_without_a_word(self.folder / "a", torch.bfloat16)
        self.assertEqual((model.config.num_key_value_heads, model.config.vocab_size, model.model.layers[1].mlp.up_proj.weight.shape), (2, 50, (48, 32)))
        self.assertAlmostEqual(model.lm_head.weight.float().std().item(), 0.02, delta=0.002)
        self.run_herd("init", self.folder / "b", self.folder / "shape.yaml", "vocab_size=50", "dtype=bf16", "seed=7", "num_key_value_heads=2")
        self.assertEqual((self.folder / "a/model.safetensors").read_bytes(), (self.folder / "b/model.safetensors").read_bytes())
        self.assertIn("did you mean 'hidden_size'", self.refused("init", self.folder / "c", "hiden_size=3"))
        self.assertIn("vocab_size", self.refused("init", self.folder / "c", self.folder / "shape.yaml"))

    def test_inspect(self):
        model = self.saved(tie_word_embeddings=True, attention_bias=True)
        out = self.run_herd("inspect", self.folder / "hf")
        total = sum(p.numel() for p in model.parameters())
        for word in ("llama (LlamaForCausalLM)", f"{total:,}:", "F32", "self_attn × 3", "model.safetensors", "none that can be read"):
            self.assertIn(word, out)
        state = load_file(self.folder / "hf/model.safetensors")
        state["extra"] = torch.ones(1)
        state["model.layers.2.mlp.up_proj.weight"] = state["model.layers.2.mlp.up_proj.weight"].t().contiguous()
        del state["model.norm.weight"]
        save_file(state, self.folder / "hf/model.safetensors")
        out = self.refused("inspect", self.folder / "hf")
        for word in ("1 missing: model.norm.weight", "1 unexpected: extra", "up_proj.weight [48, 80], not [80, 48]", "herd would not load it"):
            self.assertIn(word, out)
        config = json.loads((self.folder / "hf/config.json").read_text())
        (self.folder / "hf/config.json").write_text(json.dumps({**config, "model_type": "lama"}))
        self.assertIn("did you mean 'llama'?", self.refused("inspect", self.folder / "hf"))

    def test_a_tied_head_that_differs(self):
        model = self.saved(tie_word_embeddings=True)
        state = {k: v.clone() for k, v in load_file(self.folder / "hf/model.safetensors").items()}  # else they lie in the file that is written over
        state["lm_head.weight"] = model.lm_head.weight.detach().clone()
        save_file(state, self.folder / "hf/model.safetensors")
        self.run_herd("inspect", self.folder / "hf")
        save_file({**state, "lm_head.weight": state["lm_head.weight"].double()}, self.folder / "hf/model.safetensors")
        self.run_herd("inspect", self.folder / "hf")  # the same numbers
        state["lm_head.weight"][7, 3] += 1
        save_file(state, self.folder / "hf/model.safetensors")
        for command in (("inspect", self.folder / "hf"), ("convert", self.folder / "hf", self.folder / "out")):
            self.assertIn("a lm_head.weight that differs from model.embed_tokens.weight", self.refused(*command))

    def test_a_damaged_torch_file_is_told_by_its_checksums(self):
        model = self.saved()
        torch.save(model.state_dict(), self.folder / "hf/pytorch_model.bin")
        (self.folder / "hf/model.safetensors").unlink()
        self.assertIn("all are finite", self.run_herd("inspect", self.folder / "hf", "--check"))
        whole = bytearray((self.folder / "hf/pytorch_model.bin").read_bytes())
        whole[len(whole) // 2] ^= 1
        (self.folder / "hf/pytorch_model.bin").write_bytes(whole)
        self.assertIn("do not fit their checksum", self.refused("inspect", self.folder / "hf", "--check"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
