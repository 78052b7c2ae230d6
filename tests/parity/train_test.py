"""Whole runs of `herd train` against transformers and PEFT in a plain loop: each loss, and the weights at the end; adapters either way."""

import itertools
import json
import math
import unittest
import warnings

from herd_probe import IGNORE, Scratch, ask, load_llama, reference
from herd_run import Job
from order import steps

import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

warnings.filterwarnings("ignore", category=UserWarning, module="peft")

# Each bound with its reason.
LOSS = 1e-4  # fp32, absolute, each of 20 steps, as the issue asks
WEIGHTS = 1e-3  # fp32, distance over length of a tensor at the end, as the issue asks
MOVED = 1e-2  # fp32, the same distance over how far the tensor went: Adam turns rounding of near-zero gradients into whole steps
LOGITS = 1e-4  # fp32, absolute, as the issue asks
# bf16: neither side is right. Distance (rms over steps and adapters) from the fp32 runs, over the peer's own. A run is one draw of rounding,
# whose traces stay in the weights: single runs lay between 0.8 and 2.1 times the peer's, whichever ranks and micro-batches.
LOW_PRECISION = 2

RECORDS, ROWS, STEPS, LONGEST, SEED = 33, 7, 20, 96, 5  # an epoch's last step is smaller, and some records are cut
RATE, WARMUP, DECAY = 5e-3, 4, 0.05
SIZES = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=192,
             initializer_range=0.15, attention_bias=True, attn_implementation="eager")
ADAPTERS = {
    "two projections": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "every layer, biases, a whole module": dict(r=3, lora_alpha=4, use_rslora=True, target_modules="all-linear", bias="all", modules_to_save=["lm_head"]),
}
PROMPT = ("Below is an instruction that describes a task{}. Write a response that appropriately completes the request.\n\n"
          "### Instruction:\n{}{}\n\n### Response:")


def rows_of(records, tokenizer, end):
    """(ids, first supervised) of each record, as the Alpaca template and docs/data.md say."""
    out = []
    for record in records:
        more = (", paired with an input that provides further context", f"\n\n### Input:\n{record['input']}") if record["input"] else ("", "")
        prompt = PROMPT.format(more[0], record["instruction"], more[1])
        ids, whole = tokenizer.encode(prompt).ids, tokenizer.encode(f"{prompt} {record['output']}").ids
        assert whole[: len(ids)] == ids, "this tokenizer merges across the prompt's end: not for this test"
        out.append(((whole + [tokenizer.token_to_id(end)])[:LONGEST], len(ids)))
    return out


def batch(rows):
    """Padded on the right; ids, labels, attention mask."""
    longest = max(len(ids) for ids, _ in rows)
    tokens, labels = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), IGNORE)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, (ids, first) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        labels[i, first : len(ids)] = tokens[i, first : len(ids)]
        mask[i, : len(ids)] = 1
    return tokens, labels, mask


def learning_rate(step, rate):
    """Linear warm-up, then half a cosine to 0."""
    if step < WARMUP:
        return rate * (step + 1) / WARMUP
    return rate * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def plain_loop(model, batches, rate=RATE, own_loss=False, updated=lambda step: None, optimizer_of=None):
    """The losses of fine-tuning as it is commonly written; bf16 parameters have fp32 masters. `own_loss`: a method's addition is learnt too.
    `optimizer_of`: another optimizer of a model in fp32; the rates of its groups are times of RATE."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    masters = [p.detach().float().requires_grad_() for p in parameters]  # the same memory where it is fp32 already
    optimizer = torch.optim.AdamW([{"params": [p for p in masters if p.dim() > 1], "weight_decay": DECAY},
                                   {"params": [p for p in masters if p.dim() < 2], "weight_decay": 0.0}], lr=RATE)
    if optimizer_of:
        optimizer = optimizer_of(model)
    times = [group["lr"] / RATE for group in optimizer.param_groups]
    losses = []
    for step, (tokens, labels, mask) in enumerate(batches):
        out = model(input_ids=tokens, attention_mask=mask, use_cache=False, labels=labels if own_loss else None)
        logits = out.logits[:, -tokens.shape[1]:][:, :-1]  # behind virtual tokens
        kept = labels[:, 1:] != IGNORE
        loss = torch.nn.functional.cross_entropy(logits[kept].float(), labels[:, 1:][kept])
        model.zero_grad()
        (out.loss if own_loss else loss).backward()
        for p, master in zip(parameters, masters):
            master.grad = p.grad.float()
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        for group, factor in zip(optimizer.param_groups, times):
            group["lr"] = factor * learning_rate(step, rate)
        optimizer.step()
        with torch.no_grad():
            for p, master in zip(parameters, masters):
                p.copy_(master)
        updated(step + 1)
        losses.append(loss.item())
    return losses


def length(x):
    return float(x.double().norm())


class Runs(Scratch):
    @classmethod
    def setUpClass(cls):
        cls.job = Job(RECORDS)
        cls.addClassCleanup(cls.job.close)
        cls.base = cls.job.folder / "tokenizer"  # with a model beside it: a whole Hugging Face folder
        end = json.loads((cls.base / "tokenizer_config.json").read_text())["eos_token"]
        cls.rows = rows_of(cls.job.records, Tokenizer.from_file(str(cls.base / "tokenizer.json")), end)
        assert any(len(ids) == LONGEST for ids, _ in cls.rows) and any(len(ids) < LONGEST for ids, _ in cls.rows)
        torch.manual_seed(3)
        vocabulary = json.loads((cls.base / "tokenizer.json").read_text())["added_tokens"][-1]["id"] + 1
        model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **SIZES)).bfloat16().float()  # exact in both formats
        model.save_pretrained(cls.base)

    def setUp(self):
        super().setUp()
        self.name = self.folder.name

    def load(self, dtype=torch.float32):
        return load_llama(self.base, dtype)

    def adapted(self, folder, dtype=torch.float32, trainable=True):
        return PeftModel.from_pretrained(self.load(dtype), folder, is_trainable=trainable, autocast_adapter_dtype=False)

    def new_adapter(self, seed=4, config=LoraConfig, **options):
        torch.manual_seed(seed)
        folder = self.folder / f"adapter-{seed}"
        get_peft_model(self.load(), config(task_type="CAUSAL_LM", **options)).save_pretrained(folder)
        return folder

    def batches(self, packing=False):
        order = steps([len(ids) for ids, _ in self.rows], SEED, ROWS, LONGEST if packing else None)
        return [batch([self.rows[i] for i in step]) for step in itertools.islice(order, STEPS)]

    def train(self, name, *overrides, ranks):
        done = self.job.train(name, f"model.path={self.base}", "model.config=null", f"data.max_tokens={LONGEST}", "data.held_out=0", f"data.seed={SEED}",
                              f"train.learning_rate={RATE}", f"train.warmup={WARMUP}", f"train.weight_decay={DECAY}", "train.epochs=100",
                              f"train.max_steps={STEPS}", f"train.global_batch_size={ROWS}", "checkpoint.every=never", *overrides, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        losses = self.job.metrics(name)
        self.assertEqual(sorted(losses), list(range(1, STEPS + 1)))
        return [losses[step] for step in sorted(losses)]

    def assert_same_run(self, found, expected, ours, theirs, start):
        """Losses, and weights by name."""
        self.assertLess(max(abs(a - b) for a, b in zip(found, expected, strict=True)), LOSS)
        self.assertLess(min(expected), expected[0] - 0.2, "nothing was learnt: nothing was tested")
        self.assertEqual(ours.keys(), theirs.keys())
        for name, x in theirs.items():
            distance = length(ours[name] - x)
            self.assertLess(distance, WEIGHTS * length(x), name)
            self.assertLess(distance, MOVED * max(length(x - start[name]), 1e-30), name)

    def assert_lora_runs_agree(self, first, *overrides, packing=False, method="lora", ranks=((1, 3), (2, 2)), optimizer_of=None):
        model = self.adapted(first)
        expected = plain_loop(model, self.batches(packing), optimizer_of=optimizer_of)
        theirs = get_peft_model_state_dict(model)
        for ranks, micro_batch in ranks:
            with self.subTest(ranks=ranks):
                name = f"{self.name}-{ranks}"
                found = self.train(name, f"peft.method={method}", f"peft.adapter={first}", f"data.packing={str(packing).lower()}",
                                   f"train.micro_batch_size={micro_batch}", *overrides, ranks=ranks)
                folder = self.job.run_folder(name) / "adapter"
                self.assertRegex((self.job.run_folder(name) / "log.txt").read_text(), rf"going on from adapter {first}, which says what is trained: {method}, ")
                self.assert_same_run(found, expected, load_file(folder / "adapter_model.safetensors"), theirs, load_file(first / "adapter_model.safetensors"))
                self.assert_same_logits(folder)

    def assert_same_logits(self, adapter):
        tokens, labels, _ = batch(self.rows[:1])
        found = ask(self.base, tokens, labels, adapter=adapter)["logits"]
        expected = reference(self.adapted(adapter, trainable=False).eval(), tokens)["logits"]
        self.assertLess(float((found - expected).abs().max()), LOGITS)

    def test_lora(self):
        for title, options in ADAPTERS.items():
            with self.subTest(title):
                self.name = f"lora-{len(options)}"
                self.assert_lora_runs_agree(self.new_adapter(**options))

    def test_dora_and_ia3(self):
        """With weights in parts: the rows' lengths are taken while a block is whole."""
        methods = {"lora": dict(r=4, use_dora=True, target_modules=["q_proj", "down_proj"]), "ia3": dict(config=IA3Config)}
        for method, options in methods.items():
            with self.subTest(method):
                self.name = f"method-{method}"
                self.assert_lora_runs_agree(self.new_adapter(**options), "parallel.strategy=zero3", method=method, ranks=((2, 2),))

    def test_lora_plus(self):
        """PEFT's own optimizer: B's rate is 16 times A's."""
        plus = lambda model: create_loraplus_optimizer(model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=16, loraplus_weight_decay=DECAY)
        first = self.new_adapter(**ADAPTERS["two projections"])
        self.assert_lora_runs_agree(first, "peft.lora_plus_ratio=16", optimizer_of=plus)
        plain = plain_loop(self.adapted(first), self.batches())
        expected = plain_loop(self.adapted(first), self.batches(), optimizer_of=plus)
        self.assertGreater(max(abs(a - b) for a, b in zip(plain, expected)), 100 * LOSS, "the ratio did nothing: nothing was tested")

    def test_lora_packed(self):
        """Packed rows in herd, the same records one a row in the peer."""
        self.assert_lora_runs_agree(self.new_adapter(**ADAPTERS["two projections"]), packing=True)

    def test_an_adapter_that_peft_trained_goes_on_in_herd(self):
        model = self.adapted(self.new_adapter(**ADAPTERS["two projections"]))
        plain_loop(model, self.batches()[:8])
        model.save_pretrained(self.folder / "trained")
        self.assert_lora_runs_agree(self.folder / "trained")

    def test_virtual_tokens_and_prefixes(self):
        rate = 0.1  # such numbers want more than weights do
        for method, config in (("prompt", PromptTuningConfig), ("prefix", PrefixTuningConfig)):
            with self.subTest(method):
                torch.manual_seed(4)
                model = get_peft_model(self.load(), config(task_type="CAUSAL_LM", num_virtual_tokens=5))
                first = self.folder / method
                model.save_pretrained(first)
                expected = plain_loop(model, self.batches(), rate)
                theirs = get_peft_model_state_dict(model)
                for ranks in (1, 2):
                    name = f"{method}-{ranks}"
                    found = self.train(name, f"peft.method={method}", f"peft.adapter={first}", "train.micro_batch_size=2", f"train.learning_rate={rate}", ranks=ranks)
                    folder = self.job.run_folder(name) / "adapter"
                    self.assert_same_run(found, expected, load_file(folder / "adapter_model.safetensors"), theirs, load_file(first / "adapter_model.safetensors"))

    def test_encoders(self):
        """They are in no folder: PEFT's begin with the numbers that herd's begin with, by seed and name."""
        tokens, labels, _ = batch(self.rows[:1])
        for method, config, overrides in (
            ("p_tuning", PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=20), ["peft.encoder_hidden_size=20"]),
            ("p_tuning", PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_reparameterization_type="LSTM", encoder_hidden_size=12),
             ["peft.encoder=lstm", "peft.encoder_hidden_size=12"]),
            ("prefix", PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, prefix_projection=True, encoder_hidden_size=28),
             ["peft.prefix_projection=true", "peft.encoder_hidden_size=28"]),
        ):
            title = "-".join([method, *(word.split("=")[1] for word in overrides)])
            with self.subTest(title):
                model = get_peft_model(self.load(), config)
                first = self.folder / title
                model.save_pretrained(first)
                begun = ask(self.base, tokens, labels, new_adapter=first, values=1)
                encoder = model.prompt_encoder["default"]
                with torch.no_grad():
                    for name, p in encoder.named_parameters():
                        p.copy_(begun[f"value.prompt_encoder.{name}"])
                expected = plain_loop(model, self.batches())
                theirs = get_peft_model_state_dict(model)
                for ranks in (1, 2):
                    name = f"{title}-{ranks}"
                    found = self.train(name, f"peft.method={method}", "peft.num_virtual_tokens=5", *overrides, "model.seed=3", "train.micro_batch_size=2", ranks=ranks)
                    self.assertLess(max(abs(a - b) for a, b in zip(found, expected, strict=True)), LOSS)
                    self.assertLess(min(expected), expected[0] - 0.2, "nothing was learnt: nothing was tested")
                    ours = load_file(self.job.run_folder(name) / "adapter" / "adapter_model.safetensors")
                    self.assertEqual(ours.keys(), theirs.keys())
                    for key, x in theirs.items():
                        self.assertLess(length(ours[key] - x), WEIGHTS * length(x), key)

    def test_adalora(self):
        torch.manual_seed(4)
        config = AdaLoraConfig(task_type="CAUSAL_LM", init_r=4, target_r=2, lora_alpha=16, tinit=3, tfinal=4, deltaT=2, total_step=STEPS,
                               target_modules=["q_proj", "v_proj", "down_proj"])
        model = get_peft_model(self.load(), config)
        first = self.folder / "first"
        model.save_pretrained(first)
        expected = plain_loop(model, self.batches(), own_loss=True, updated=model.base_model.update_and_allocate)
        theirs = get_peft_model_state_dict(model)
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                name = f"adalora-{ranks}"
                found = self.train(name, "peft.method=adalora", f"peft.adapter={first}", "train.micro_batch_size=2", ranks=ranks)
                self.assertLess(max(abs(a - b) for a, b in zip(found, expected, strict=True)), LOSS)
                folder = self.job.run_folder(name) / "adapter"
                stored = json.loads((folder / "adapter_config.json").read_text())
                self.assertEqual(stored["rank_pattern"], model.peft_config["default"].rank_pattern)
                self.assertEqual(stored["total_step"], STEPS)
                ours = load_file(folder / "adapter_model.safetensors")
                self.assertEqual({name: x.shape for name, x in ours.items()}, {name: x.shape for name, x in theirs.items()})
                for name, x in theirs.items():
                    self.assertLess(length(ours[name] - x), WEIGHTS * max(length(x), 1e-30), name)
                self.assert_same_logits(folder)

    def test_full_fine_tuning(self):
        model = self.load()
        expected = plain_loop(model, self.batches())
        theirs = {name: p.detach() for name, p in model.named_parameters()}
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                found = self.train(f"full-{ranks}", "peft.method=none", "train.micro_batch_size=2", ranks=ranks)
                ours = load_file(self.job.run_folder(f"full-{ranks}") / "model/model.safetensors")
                self.assert_same_run(found, expected, ours, theirs, load_file(self.base / "model.safetensors"))

    def test_bf16(self):
        distance = {"ours": 0.0, "theirs": 0.0}
        for seed in (4, 5, 6):
            first = self.new_adapter(seed, **ADAPTERS["two projections"])
            exact = plain_loop(self.adapted(first), self.batches())
            losses = {"ours": self.train(f"bf16-{seed}", "model.dtype=bf16", "peft.method=lora", f"peft.adapter={first}", ranks=2),
                      "theirs": plain_loop(self.adapted(first, torch.bfloat16), self.batches())}
            for side in distance:
                distance[side] += sum((a - b) ** 2 for a, b in zip(losses[side], exact, strict=True))
        self.assertGreater(distance["ours"], 0)
        self.assertLess(distance["ours"], LOW_PRECISION**2 * distance["theirs"])


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
