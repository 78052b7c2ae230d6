"""Folders of GPTQ in every published layout, packed here bit by bit, against transformers with the dequantised matrices; and herd quantize, block by block,
against the paper's update by another way (tests/support/gptq_golden.py) on transformers' own activations."""

import json
import re
import unittest

from herd_probe import Refused, Scratch, ask, load_llama, random_ids, random_llama, reference, relative
from herd_run import Job, run

import numpy as np
import torch
from gptq_golden import gptq, pack, published
from safetensors.torch import load_file, save_file
from transformers import BloomConfig, BloomForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

LOGITS = 1e-4  # fp32, relative to the greatest: sums in another order through a few blocks
CODES = 0.995  # of the codes: activations differ by fp32's roundings, which a number half-way between two codes feels
TOKENS = 64


def quantise(weight, bits, group_size, act_order, seed=0):
    """weight [out, in] and the four tensors that GPTQ makes of it, of made-up inputs; and what they stand for."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(2 * weight.shape[1], weight.shape[1])) * random.uniform(0.3, 2, weight.shape[1])
    codes, scales, zeros, g_idx = gptq(weight.double().numpy(), inputs, bits, group_size, act_order, False, 0.01)
    dense = scales[:, g_idx] * (codes - zeros[:, g_idx])
    return {name: torch.from_numpy(x) for name, x in published(codes, scales, zeros, g_idx, bits).items()}, torch.from_numpy(dense).float()


def quantised(model, layers, bits, group_size, act_order, turned=False):
    """The model's tensors with those layers quantised; the model gets what they stand for. turned: matrices lie [in, out]."""
    tensors = {name: x.detach().clone() for name, x in model.state_dict().items()}
    for seed, (name, layer) in enumerate((n, m) for n, m in model.named_modules() if n.endswith(layers)):
        del tensors[name + ".weight"]
        weight = layer.weight.detach().T if turned else layer.weight.detach()
        parts, dense = quantise(weight, bits, group_size, act_order, seed)
        tensors |= {f"{name}.{part}": x for part, x in parts.items()}
        layer.weight.data.copy_(dense.T if turned else dense)
    return {name: x.contiguous() for name, x in tensors.items()}


LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def small_llama():
    model = random_llama(hidden_size=64, intermediate_size=96, num_hidden_layers=2)
    # Groups without negative numbers: their zero point is 0, of which one less is the greatest code.
    model.model.layers[0].mlp.up_proj.weight.data.abs_()
    return model


class Folders(Scratch):
    def write(self, model, tensors, settings, file="model.safetensors", beside=False):
        """settings as quantization_config, or beside it as AutoGPTQ's own file; None: neither."""
        config = json.loads(model.config.to_json_string())
        if settings and beside:
            (self.folder / "quantize_config.json").write_text(json.dumps(settings))
        elif settings:
            config["quantization_config"] = {"quant_method": "gptq", **settings}
        (self.folder / "config.json").write_text(json.dumps(config))
        if file.endswith(".safetensors"):
            save_file({name: x.clone() for name, x in tensors.items()}, self.folder / file)
        else:
            torch.save(tensors, self.folder / file)

    def compare(self, model, tokens):
        self.assertLess(relative(ask(self.folder, tokens)["logits"], reference(model, tokens)["logits"]), LOGITS)

    def test_every_number_of_bits(self):
        for bits in (2, 3, 4, 8):
            for group_size in (-1, 32):
                with self.subTest(bits=bits, group_size=group_size):
                    model = small_llama()
                    tensors = quantised(model, LLAMA, bits, group_size, act_order=group_size == 32)
                    self.write(model, tensors, {"bits": bits, "group_size": group_size, "desc_act": group_size == 32})
                    self.compare(model, random_ids(2, 20)[0])

    def test_every_layout(self):
        settings = {"bits": 3, "group_size": 32, "desc_act": False}
        plain = small_llama()
        tensors = quantised(plain, LLAMA, 3, 32, False)
        old = {name: x for name, x in tensors.items() if not name.endswith("g_idx")}
        for name in [name for name in old if name.endswith("qweight")]:  # GPTQ-for-LLaMa's layers all have a bias
            old[name.replace("qweight", "bias")] = torch.zeros(old[name].shape[1], dtype=torch.half)
        second = dict(tensors)
        for name in [name for name in tensors if name.endswith("qzeros")]:  # whose zero points are as they are
            rows = tensors[name].numpy().view(np.uint32)
            stream = [sum(int(word) << (32 * i) for i, word in enumerate(row)) for row in rows]
            zeros = np.array([[(((number >> (3 * i)) & 7) + 1) % 8 for i in range(rows.shape[1] * 32 // 3)] for number in stream])
            second[name] = torch.from_numpy(pack(zeros.T, 3).T.copy())
        tokens = random_ids(2, 20)[0]
        for title, these, words in (("Hugging Face", tensors, dict(settings=settings)),
                                    ("pickled", tensors, dict(settings=settings, file="pytorch_model.bin")),
                                    ("AutoGPTQ", tensors, dict(settings=settings, file="gptq_model-3bit-32g.safetensors", beside=True)),
                                    ("GPTQ-for-LLaMa", old, dict(settings=None, file="llama7b-3bit-32g.pt")),
                                    ("without g_idx", old, dict(settings=settings)),
                                    ("second format", second, dict(settings=settings | {"checkpoint_format": "gptq_v2"}))):
            with self.subTest(title):
                for file in self.folder.iterdir():
                    file.unlink()
                self.write(plain, these, **words)
                self.compare(plain, tokens)

    def test_families_whose_matrices_are_fused_or_lie_transposed(self):
        tokens = random_ids(2, 20)[0]
        torch.manual_seed(2)
        bloom = BloomForCausalLM(BloomConfig(vocab_size=97, hidden_size=64, n_layer=2, n_head=4, initializer_range=0.15)).eval()
        self.write(bloom, quantised(bloom, ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"), 4, 32, True), {"bits": 4, "group_size": 32})
        self.compare(bloom, tokens)
        gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=64, n_layer=2, n_head=4, n_positions=64, initializer_range=0.15)).eval()
        tensors = quantised(gpt2, ("c_attn", "c_proj", "c_fc"), 4, 32, True, turned=True)
        self.write(gpt2, {name: x for name, x in tensors.items() if name != "lm_head.weight"}, {"bits": 4, "group_size": 32})
        self.compare(gpt2, tokens)

    def test_what_is_refused(self):
        model = small_llama()
        good = quantised(model, LLAMA, 4, 32, True)
        settings = {"bits": 4, "group_size": 32}
        layer = "model.layers.1.mlp.up_proj"

        def changed(part, value):
            tensors = dict(good)
            if value is None:
                del tensors[f"{layer}.{part}"]
            else:
                tensors[f"{layer}.{part}"] = value
            return tensors

        far = good[f"{layer}.g_idx"].clone()
        far[3] = 2
        for tensors, words, said in (
            (good, settings | {"bits": 5}, ("config.json", "2, 3, 4 or 8")),
            (good, settings | {"bits": 8}, ("qweight", "8 bits, as its config says")),
            (good, settings | {"group_size": 48}, ("64 inputs in groups of 48", "divides")),
            (good, settings | {"group_size": 0}, ("group_size", "at least 1")),
            (good, settings | {"quant_method": "awq"}, ("awq", "unquantised")),
            (good, settings | {"checkpoint_format": "marlin"}, ("marlin", "gptq_v2")),
            (changed("qzeros", None), settings, (layer, "no qzeros")),
            (changed("scales", None), settings, (layer, "no scales")),
            (changed("qweight", good[f"{layer}.qweight"][:-1].clone()), settings, (layer + ".qweight", "64 inputs")),
            (changed("qweight", good[f"{layer}.qweight"].float()), settings, (layer + ".qweight", "I32")),
            (changed("qzeros", good[f"{layer}.qzeros"][:, 1:].clone()), settings, (layer + ".qzeros", "[2, 12]")),
            (changed("scales", good[f"{layer}.scales"][:1].clone()), settings, (layer + ".scales", "[2, 96]")),
            (changed("g_idx", far), settings, (layer + ".g_idx", "groups 0 to 2")),
            (changed("g_idx", good[f"{layer}.g_idx"][1:].clone()), settings, (layer + ".g_idx", "[64]")),
            (changed("bias", torch.ones(96)), settings, ("unexpected", layer + ".bias")),
            (dict(model.state_dict()), settings, ("no linear layer's qweight",)),
        ):
            with self.subTest(said=said):
                self.write(model, tensors, words)
                with self.assertRaises(Refused) as refused:
                    ask(self.folder, random_ids(1, 4)[0])
                for words_of_error in said:
                    self.assertIn(words_of_error, str(refused.exception))


def windows_of(job, texts, samples):
    """What herd quantize looks at, and what it measures on."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(job.folder / "tokenizer/tokenizer.json"))
    ids = [token for text in texts for token in tokenizer.encode(text)]
    kept = max(TOKENS, len(ids) // 10)
    shown, rest = ids[:-kept], ids[-kept:]
    starts = [(len(shown) - TOKENS) * i // (samples - 1) for i in range(samples)]
    return torch.tensor([shown[start:start + TOKENS] for start in starts]), torch.tensor([rest[i:i + TOKENS] for i in range(0, len(rest) - TOKENS + 1, TOKENS)][:samples])


def perplexity(model, windows):
    with torch.no_grad():
        logits = model(windows).logits[:, :-1].double()
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).exp())


def inputs_of(model, block, windows):
    """Each of the block's linear layers' inputs [n, in]."""
    seen, hooks = {}, []
    for name, layer in model.model.layers[block].named_modules():
        if isinstance(layer, torch.nn.Linear):
            hooks.append(layer.register_forward_pre_hook(lambda _, x, name=name: seen.__setitem__(name, x[0].flatten(0, -2).double().numpy())))
    with torch.no_grad():
        model(windows)
    for hook in hooks:
        hook.remove()
    return seen


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job(records=48)
        cls.addClassCleanup(cls.job.close)
        cls.base = cls.job.made_model(12)

    def test_codes_are_the_papers_on_transformers_activations(self):
        for title, words, options in (("plain", [], dict(act_order=False, symmetric=False)), ("ordered", ["--act-order", "--symmetric"], dict(act_order=True, symmetric=True))):
            with self.subTest(title):
                output = self.job.folder / title
                done = run("quantize", self.base, output, "--calibration", self.job.folder / "data.json", "--group-size", 16, "--samples", 12, "--tokens", TOKENS, *words)
                self.assertEqual(done.code, 0, done)
                texts = ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in self.job.records]
                shown, held_out = windows_of(self.job, texts, 12)
                errors = {name: float(error) for name, error in re.findall(r"(\S+) +error (\d\.\d+)", done.output)}
                model = load_llama(self.base)
                before, found = perplexity(model, held_out), load_file(output / "model.safetensors")
                for block in range(len(model.model.layers)):
                    inputs = inputs_of(model, block, shown)
                    for name, x in inputs.items():
                        layer = model.model.layers[block].get_submodule(name)
                        codes, scales, zeros, g_idx = gptq(layer.weight.detach().double().numpy(), x, 4, 16, damp=0.01, **options)
                        stored = {part: found[f"model.layers.{block}.{name}.{part}"].numpy() for part in ("qweight", "qzeros", "scales", "g_idx")}
                        np.testing.assert_array_equal(stored["g_idx"], g_idx, err_msg=name)
                        theirs = np.stack([(stored["qweight"].view(np.uint32) >> (4 * i)) & 15 for i in range(8)], 1).reshape(codes.T.shape).T
                        self.assertGreater((theirs == codes).mean(), CODES, name)
                        zero = (np.stack([(stored["qzeros"].view(np.uint32) >> (4 * i)) & 15 for i in range(8)], 2).reshape(zeros.T.shape).T + 1) % 16
                        dense, weight = stored["scales"].astype(np.float64).T[:, g_idx] * (theirs.astype(int) - zero[:, g_idx].astype(int)), layer.weight.detach().double().numpy()
                        error = np.linalg.norm(x @ (weight - dense).T) / np.linalg.norm(x @ weight.T)
                        self.assertAlmostEqual(errors[f"model.layers.{block}.{name}"], error, delta=1e-4, msg=name)
                        self.assertGreater(error, 1e-3)
                        layer.weight.data.copy_(torch.from_numpy(dense))
                told = re.search(r"perplexity ([\d.]+) before, ([\d.]+) after", done.output)
                self.assertAlmostEqual(float(told[1]), before, delta=1e-3 * before)
                self.assertAlmostEqual(float(told[2]), perplexity(model, held_out), delta=1e-3 * before)
                self.assertEqual(len(errors), 14)
                # The folder is loaded again, and answers as transformers' model of the same numbers does.
                self.assertLess(relative(ask(output, shown[:2])["logits"], reference(model, shown[:2])["logits"]), LOGITS)
                settings = json.loads((output / "quantize_config.json").read_text())
                self.assertEqual(json.loads((output / "config.json").read_text())["quantization_config"], settings)
                self.assertEqual((settings["bits"], settings["group_size"], settings["desc_act"], settings["sym"]), (4, 16, options["act_order"], options["symmetric"]))
                self.assertTrue((output / "tokenizer.json").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
