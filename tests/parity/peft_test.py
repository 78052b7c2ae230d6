"""Methods against PEFT: the same adapter gives the same logits and gradients, either reads what the other wrote; merged folders in transformers."""

import json
import pathlib
import subprocess
import tempfile
import unittest
import warnings

from herd_probe import ASSETS, BINARIES, Refused, Runs, Scratch, ask, load_llama, random_ids, random_llama, reference, relative
from reference_adapters import adapt

import torch
import transformers
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from peft.utils import constants
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

warnings.filterwarnings("ignore", category=UserWarning, module="peft")

# Each bound with its reason.
LOGITS = 1e-4  # fp32, absolute, as the issue asks; logits here are of the order of 1 to 10
LOSS = 1e-5  # fp32, absolute, a mean of some 30 terms of the order of 5
GRADIENT = 1e-5  # fp32, greatest deviation over a tensor's greatest element, as the issue asks
SAME = 1e-5  # fp32, absolute: PEFT with a folder that went through herd unchanged, against PEFT before
LOW_PRECISION = 1.5  # bf16: neither side is right. Distance (rms) from the fp32 answer of the same weights, over PEFT's own distance

BIASES = dict(attention_bias=True, mlp_bias=True)
# name: (the base's options, the adapter's)
ADAPTERS = {
    "two projections": ({}, dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "a pattern, rank-stabilised": ({}, dict(r=5, lora_alpha=3, use_rslora=True,
                                            target_modules=r".*\.(0|1)\.(self_attn\.[ko]|mlp\.(up|down))_proj")),
    "all linear layers": (dict(tie_word_embeddings=True), dict(r=2, lora_alpha=2.5, target_modules="all-linear")),
    "every bias": (BIASES, dict(r=4, bias="all", target_modules=["q_proj", "down_proj"])),
    "biases of updated layers": (BIASES, dict(r=4, bias="lora_only", target_modules=["q_proj", "down_proj"])),
    "whole modules": ({}, dict(r=4, target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head", "norm"])),
    "the head": ({}, dict(r=4, target_modules=["v_proj", "lm_head"])),
    "DoRA": ({}, dict(r=4, lora_alpha=6, use_dora=True, target_modules=["q_proj", "down_proj", "lm_head"])),
    "DoRA with biases, rank-stabilised": (BIASES, dict(r=3, lora_alpha=4, use_dora=True, use_rslora=True, target_modules="all-linear")),
    "ranks and scales by layer": ({}, dict(r=4, lora_alpha=6, rank_pattern={"q_proj": 2, r".*\.1\.mlp\.down_proj": 6, "layers.0.mlp.down_proj": 3},
                                           alpha_pattern={"v_proj": 12, "model.layers.1.self_attn.q_proj": 5.5},
                                           target_modules=["q_proj", "v_proj", "down_proj"])),
    "some blocks": ({}, dict(r=4, layers_to_transform=[1], target_modules=["q_proj", "down_proj"])),
    "some blocks by name": ({}, dict(r=4, layers_to_transform=[0], layers_pattern=["layers"], target_modules=["q_proj", "down_proj"])),
    "IA3": ({}, dict(method="ia3")),
    "IA3 with biases": (BIASES, dict(method="ia3", target_modules=["q_proj", "o_proj", "up_proj"], feedforward_modules=["up_proj"])),
    "IA3 by patterns": ({}, dict(method="ia3", target_modules=r".*\.[01]\.mlp\.\w+_proj", feedforward_modules=r".*(up|gate)_proj",
                                 modules_to_save=["embed_tokens"])),
}
# The same on GPT-2, whose matrices lie as [in, out].
TRANSPOSED = {
    "the fused one": ({}, dict(r=4, lora_alpha=8, target_modules=["c_attn"])),
    "every matrix and bias": ({}, dict(r=3, bias="all", target_modules=["c_attn", "c_proj", "c_fc"])),
    "whole modules": ({}, dict(r=2, target_modules=["c_attn"], modules_to_save=["c_fc", "ln_f", "wpe"])),
    "an untied head": (dict(tie_word_embeddings=False), dict(r=2, target_modules=["mlp.c_proj"], modules_to_save=["lm_head"])),
}


def random_gpt2(**options):
    torch.manual_seed(11)
    sizes = dict(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=64, initializer_range=0.15)
    model = GPT2LMHeadModel(GPT2Config(**{**sizes, **options})).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:  # transformers' zeros and ones would hide a bias or a norm that is left out
                p.normal_(0.0 if name.endswith("bias") else 1.0, 0.3)
    return model


def config_of(method="lora", **options):
    if method == "ia3":
        return IA3Config(task_type="CAUSAL_LM", init_ia3_weights=False, **options)
    return LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options)


def adapted(base, **options):
    """A PEFT model whose trained parameters have all moved."""
    model = get_peft_model(base, config_of(**options)).eval()
    torch.manual_seed(12)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    return model


def plain_names(answers):
    """PEFT's live names as in its files, where the adapter's own name is left out."""
    plain = lambda name: name.replace(".modules_to_save.default", "").replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")
    return {plain(name): x for name, x in answers.items()}


class Adapters(Scratch):
    adapters = ADAPTERS
    random = staticmethod(lambda **options: random_llama(**{"num_hidden_layers": 2, **options}))
    load = staticmethod(load_llama)

    def setUp(self):
        super().setUp()
        self.base, self.adapter = self.folder / "base", self.folder / "adapter"
        self.tokens, self.labels = random_ids(3, 15, supervised=0.7)

    def write(self, base_options=None, **options):
        """Writes base and adapter with transformers and PEFT; the PEFT model."""
        self.random(**(base_options or {})).save_pretrained(self.base)
        model = adapted(self.load(self.base), **options)
        model.save_pretrained(self.adapter)
        return model

    def loaded(self, folder, dtype=torch.float32, trainable=False):
        return PeftModel.from_pretrained(self.load(self.base, dtype), folder, is_trainable=trainable).eval()

    def assert_near(self, found, expected, bound):
        self.assertLess(float((found - expected).abs().max()), bound)


class Exchange(Adapters):
    def test_peft_to_herd_and_back(self):
        for title, (base_options, options) in self.adapters.items():
            with self.subTest(title):
                self.write(base_options, **options)
                model = self.loaded(self.adapter, trainable=True)
                expected = plain_names(reference(model, self.tokens, self.labels))
                found = ask(self.base, self.tokens, self.labels, adapter=self.adapter, save_adapter=self.folder / "again")
                self.assertEqual(found.keys(), expected.keys())
                self.assert_near(found["logits"], expected["logits"], LOGITS)
                self.assertGreater(float((reference(self.load(self.base), self.tokens)["logits"] - expected["logits"]).abs().max()), 0.1)
                self.assert_near(found["loss"], expected["loss"], LOSS)
                for name in expected:
                    if name.startswith("grad."):
                        self.assertLess(relative(found[name], expected[name]), GRADIENT, name)
                again = reference(self.loaded(self.folder / "again"), self.tokens)["logits"]
                self.assert_near(again, expected["logits"], SAME)
                self.assert_same_config(self.folder / "again")

    def assert_same_config(self, folder):
        ours, theirs = (json.loads((f / "adapter_config.json").read_text()) for f in (folder, self.adapter))
        for config in (ours, theirs):
            config.pop("init_lora_weights", None), config.pop("init_ia3_weights", None)
            for key in ("target_modules", "feedforward_modules"):
                if isinstance(config.get(key), list):
                    config[key].sort()
        self.assertEqual(ours, theirs)

    def test_herds_own_adapter_in_peft(self):
        for title, (base_options, options) in self.adapters.items():
            with self.subTest(title):
                self.write(base_options, **options)
                found = ask(self.base, self.tokens, new_adapter=self.adapter, save_adapter=self.folder / "new")
                stored = load_file(self.folder / "new" / "adapter_model.safetensors")
                written = set(load_file(self.adapter / "adapter_model.safetensors"))
                written.discard("base_model.model.lm_head.base_layer.weight")  # a copy of the base's
                extra = {name for name in stored if name.endswith("base_layer.bias")} if options.get("bias") == "lora_only" else set()
                self.assertEqual(set(stored) - extra, written)
                self.assert_near(reference(self.loaded(self.folder / "new"), self.tokens)["logits"], found["logits"], LOGITS)


class OnLlama(Exchange):
    def test_biases_that_peft_leaves_out_come_through_herd(self):
        """PEFT 0.18 trains 'lora_only' biases and does not save them; herd saves them under names that PEFT reads."""
        self.write(BIASES, **ADAPTERS["biases of updated layers"][1])
        ask(self.base, adapter=self.adapter, save_adapter=self.folder / "again")
        file = self.folder / "again" / "adapter_model.safetensors"
        tensors = load_file(file)
        name = "base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias"
        tensors[name] = tensors[name] + 1
        save_file(tensors, file, {"format": "pt"})
        found = ask(self.base, self.tokens, adapter=self.folder / "again")["logits"]
        self.assert_near(reference(self.loaded(self.folder / "again"), self.tokens)["logits"], found, LOGITS)
        self.assertGreater(float((found - ask(self.base, self.tokens, adapter=self.adapter)["logits"]).abs().max()), 0.01)

    def test_bf16(self):
        self.write({}, **ADAPTERS["a pattern, rank-stabilised"][1])
        rounded = load_llama(self.base, torch.bfloat16)
        rounded.float().save_pretrained(self.base)  # one set of weights, exact in both formats
        exact = reference(self.loaded(self.adapter), self.tokens)["logits"]
        theirs = reference(self.loaded(self.adapter, torch.bfloat16), self.tokens)["logits"]
        ours = ask(self.base, self.tokens, adapter=self.adapter, dtype="bf16")["logits"]
        distance = [(x - exact).square().mean().sqrt() for x in (ours, theirs)]
        self.assertLess(distance[0], LOW_PRECISION * distance[1])

    def test_a_pickle_that_calls_is_refused(self):
        self.write(r=4)
        ran = self.folder / "ran"
        (self.adapter / "adapter_model.safetensors").unlink()
        torch.save({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": Runs(ran)}, self.adapter / "adapter_model.bin")
        with self.assertRaisesRegex(Refused, "(?s)adapter_model.bin.*'posix.system'.*nothing of it has been run"):
            ask(self.base, self.tokens, adapter=self.adapter)
        self.assertFalse(ran.exists())

    def test_what_herd_does_not_compute_is_refused(self):
        self.write({}, r=4, target_modules=["q_proj"], lora_bias=True)
        with self.assertRaisesRegex(Refused, "lora_bias"):
            ask(self.base, self.tokens, adapter=self.adapter)


class Gpt2:
    adapters = {title: (base, dict(options, fan_in_fan_out=True)) for title, (base, options) in TRANSPOSED.items()}
    random = staticmethod(random_gpt2)
    load = staticmethod(lambda folder, dtype=torch.float32: GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager"))


class OnGpt2(Gpt2, Exchange):
    def test_an_adapter_that_does_not_say_so_is_the_same(self):
        model = self.write({}, **self.adapters["the fused one"][1])
        file = self.adapter / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "fan_in_fan_out": False}))
        self.assert_near(ask(self.base, self.tokens, adapter=self.adapter)["logits"], reference(model, self.tokens)["logits"], LOGITS)

    def test_a_real_one(self):
        given = ASSETS / "adapters/gpt2-lora"
        if not given.exists():
            self.skipTest("no ../shared/assets/adapters/gpt2-lora")
        self.random(n_embd=768, n_layer=12, n_head=12, n_inner=8, initializer_range=0.02).save_pretrained(self.base)
        with self.assertRaisesRegex(Refused, "(?s)task_type.*SEQ_CLS.*CAUSAL_LM"):
            ask(self.base, self.tokens, adapter=given)
        self.adapter.mkdir()  # the same of a language model: without the classifier that it was trained with
        tensors = {name: x for name, x in load_file(given / "adapter_model.safetensors").items() if "score" not in name}
        save_file(tensors, self.adapter / "adapter_model.safetensors", {"format": "pt"})
        config = json.loads((given / "adapter_config.json").read_text())
        (self.adapter / "adapter_config.json").write_text(json.dumps({**config, "task_type": "CAUSAL_LM"}))
        expected = reference(self.loaded(self.adapter), self.tokens)["logits"]
        found = ask(self.base, self.tokens, adapter=self.adapter, save_adapter=self.folder / "again")["logits"]
        self.assert_near(found, expected, LOGITS)
        self.assertGreater(float((reference(self.load(self.base), self.tokens)["logits"] - expected).abs().max()), 10 * LOGITS)
        again = load_file(self.folder / "again" / "adapter_model.safetensors")
        self.assertEqual(again.keys(), tensors.keys())
        self.assertTrue(all(torch.equal(again[name], tensors[name]) for name in tensors))
        self.assertIs(json.loads((self.folder / "again" / "adapter_config.json").read_text())["fan_in_fan_out"], True)
class Starts(Adapters):
    """Starts from the base's weights: PEFT takes a part out of the base, herd leaves the base alone and counts from the start."""

    def begun(self, init, **options):
        random_llama(num_hidden_layers=2).save_pretrained(self.base)
        torch.manual_seed(3)
        config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=init, r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], **options)
        model = get_peft_model(load_llama(self.base), config).eval()
        model.peft_config["default"].init_lora_weights = True  # as PEFT asks for it before the first save
        model.save_pretrained(self.folder / "first")
        model.peft_config["default"].init_lora_weights = init
        return model

    def test_begin_as_pefts(self):
        for init in ("pissa", "olora"):
            with self.subTest(init):
                expected = plain_names(reference(self.begun(init), self.tokens, self.labels))
                found = ask(self.base, self.tokens, self.labels, new_adapter=self.folder / "first", init=init, save_adapter=self.folder / "ours")
                self.assertEqual(found.keys(), expected.keys())
                self.assert_near(found["logits"], expected["logits"], LOGITS)
                for name in expected:
                    if name.startswith("grad."):
                        self.assertLess(relative(found[name], expected[name]), 10 * GRADIENT, name)  # the factors come out of another LAPACK call
                # On the base as it was, twice the rank.
                self.assert_near(reference(self.loaded(self.folder / "ours"), self.tokens)["logits"], found["logits"], LOGITS)
                self.assertEqual(json.loads((self.folder / "ours/adapter_config.json").read_text())["r"], 8)

    def test_adapters_that_peft_trained(self):
        """As PEFT saves them by default, which begins anew from the base at each loading, and converted to plain LoRA."""
        for init in ("pissa", "olora"):
            with self.subTest(init):
                model = self.begun(init)
                torch.manual_seed(12)
                with torch.no_grad():
                    for p in model.parameters():
                        if p.requires_grad:
                            p.add_(0.1 * torch.randn_like(p))
                expected = reference(model, self.tokens)["logits"]
                model.save_pretrained(self.adapter)
                found = ask(self.base, self.tokens, adapter=self.adapter, save_adapter=self.folder / "again")
                self.assert_near(found["logits"], expected, LOGITS)
                self.assert_near(reference(self.loaded(self.folder / "again"), self.tokens)["logits"], expected, LOGITS)
                model.save_pretrained(self.folder / "plain", path_initial_model_for_weight_conversion=str(self.folder / "first"))
                self.assert_near(ask(self.base, self.tokens, adapter=self.folder / "plain")["logits"], expected, LOGITS)


class Bottlenecks(Adapters):
    """Against the formulas, in folders as the fork of 2023 left them."""

    KINDS = {
        "adapter_h": dict(places=dict(gate_proj="before", up_proj="before", down_proj="after"), activation="tanh", scaling=1.0),
        "adapter_p": dict(places=dict(down_proj="after"), activation="relu", scaling=0.5),
        "adapter_parallel": dict(places=dict(q_proj="beside", k_proj="beside", v_proj="beside"), activation="gelu", scaling="learned"),
    }

    def test_logits_gradients_and_folders(self):
        for method, kind in self.KINDS.items():
            with self.subTest(method):
                random_llama(num_hidden_layers=2, **BIASES).save_pretrained(self.base)
                model = load_llama(self.base)
                torch.manual_seed(7)
                parameters = adapt(model, size=6, **kind)
                with torch.no_grad():
                    for p in parameters.values():
                        p.add_(0.3 * torch.randn_like(p))
                config = {"peft_type": "BOTTLENECK", "task_type": "CAUSAL_LM", "base_model_name_or_path": "llama", "inference_mode": True, "bottleneck_size": 6,
                          "non_linearity": kind["activation"], "adapter_dropout": 0.0, "target_modules": list(kind["places"]), "scaling": kind["scaling"],
                          "use_parallel_adapter": method == "adapter_parallel", "use_adapterp": method == "adapter_p", "bias": "none",
                          "init_weights": "bert", "modules_to_save": None}
                self.adapter.mkdir(exist_ok=True)
                (self.adapter / "adapter_config.json").write_text(json.dumps(config))
                torch.save({name: p.detach() for name, p in parameters.items()}, self.adapter / "adapter_model.bin")
                expected = reference(model, self.tokens, self.labels)
                found = ask(self.base, self.tokens, self.labels, adapter=self.adapter, save_adapter=self.folder / "again")
                self.assert_near(found["logits"], expected["logits"], LOGITS)
                self.assertEqual({name for name in found if name.startswith("grad.")}, {f"grad.{name}" for name in parameters})
                for name, p in parameters.items():
                    self.assertLess(relative(found[f"grad.{name}"], p.grad), GRADIENT, name)
                again = load_file(self.folder / "again" / "adapter_model.safetensors")
                self.assertEqual(again.keys(), parameters.keys())
                self.assertTrue(all(torch.equal(again[name], p) for name, p in parameters.items()))
                written = json.loads((self.folder / "again" / "adapter_config.json").read_text())
                self.assertEqual({key: value for key, value in config.items() if key not in ("target_modules", "base_model_name_or_path", "init_weights")},
                                 {key: written[key] for key in config if key not in ("target_modules", "base_model_name_or_path", "init_weights")})


class Defaults(Adapters):
    def test_target_modules_are_pefts(self):
        models = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gpt2": "GPT2", "phi": "Phi", "bloom": "Bloom", "codegen": "CodeGen"}
        small = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, head_dim=12)
        sizes = {"bloom": dict(vocab_size=97, hidden_size=48, n_layer=1, n_head=4), "gpt2": dict(vocab_size=97, n_embd=48, n_layer=1, n_head=4),
                 "codegen": dict(vocab_size=97, n_embd=48, n_layer=1, n_head=4, rotary_dim=8, n_positions=64)}
        lora, ia3 = constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
        feedforward = constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING
        for family, name in models.items():
            with self.subTest(family):
                config = getattr(transformers, name + "Config")(**sizes.get(family, small))
                getattr(transformers, name + ("LMHeadModel" if family == "gpt2" else "ForCausalLM"))(config).save_pretrained(self.base)
                for kind, table in (("LORA", lora), ("IA3", ia3)):
                    if family not in table:
                        continue
                    self.adapter.mkdir(exist_ok=True)
                    (self.adapter / "adapter_config.json").write_text(json.dumps({"peft_type": kind, "target_modules": None}))
                    ask(self.base, new_adapter=self.adapter, save_adapter=self.folder / "written")
                    written = json.loads((self.folder / "written/adapter_config.json").read_text())
                    self.assertEqual(sorted(written["target_modules"]), sorted(table[family]))
                    if kind == "IA3":
                        self.assertEqual(sorted(written["feedforward_modules"]), sorted(feedforward[family]))


class Merge(Adapters):
    def merge(self, *arguments):
        folders = ["--model", self.base, "--adapter", self.adapter, "--output", self.folder / "merged"]
        command = [str(a) for a in (BINARIES / "herd", "merge", *folders, *arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    def test_merged_folder_in_transformers(self):
        for title, (base_options, options) in self.adapters.items():
            with self.subTest(title), tempfile.TemporaryDirectory() as scratch:
                self.folder = pathlib.Path(scratch)
                self.base, self.adapter = self.folder / "base", self.folder / "adapter"
                self.write(base_options, **options)
                (self.base / "tokenizer.json").write_text("{}")
                (self.adapter / "herd.json").write_text('{"template": "alpaca"}')
                expected = reference(self.loaded(self.adapter), self.tokens)["logits"]
                done = self.merge()
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, r"greatest logit deviation \S+ of \S+ \(\S+ relative, bound 0.0001\)")
                self.assert_near(reference(self.load(self.folder / "merged"), self.tokens)["logits"], expected, LOGITS)
                self.assertEqual((self.folder / "merged" / "tokenizer.json").read_text(), "{}")
                self.assertIn("alpaca", (self.folder / "merged" / "herd.json").read_text())
                self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["adapter", "base", "merged"])


class MergeIntoLlama(Merge):
    def test_bf16_and_refusals(self):
        self.write({}, **ADAPTERS["all linear layers"][1])
        expected = reference(self.loaded(self.adapter), self.tokens)["logits"]
        before = sorted(p.name for p in self.folder.iterdir())
        refused = self.merge("--dtype", "bf16", "--max-deviation", "1e-5")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("at most 1e-05 relative", refused.stderr)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), before)  # nothing left half-written
        done = self.merge("--dtype", "bf16")
        self.assertEqual(done.returncode, 0, done.stderr)
        merged = load_llama(self.folder / "merged", torch.bfloat16)
        self.assertEqual(load_file(self.folder / "merged" / "model.safetensors")["lm_head.weight"].dtype, torch.bfloat16)
        self.assertLess(relative(reference(merged.float(), self.tokens)["logits"], expected), 0.05)
        self.assertIn("something there already", self.merge().stderr)


class MergeIntoGpt2(Gpt2, Merge):
    pass


def load_tests(loader, *_):
    """What Exchange and Merge ask is asked of their heirs."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in (OnLlama, OnGpt2, MergeIntoLlama, MergeIntoGpt2))


if __name__ == "__main__":
    unittest.main()
