"""The peer: transformers and PEFT in a plain PyTorch loop, as their documentation writes it; under torchrun with FSDP2 over gloo.
Rank 0 prints one JSON line."""
import argparse
import json
import os
import time


def shard(model):
    """Each block on its own, the rest together: PyTorch's FSDP2 tutorial."""
    import torch
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group("gloo")
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)


def quantised(a, dtype):
    """By bitsandbytes, as PEFT's guide to quantisation writes it; recomputation, which that guide's helper turns on, stays off as on the dense model."""
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how = BitsAndBytesConfig(load_in_8bit=True) if a.method == "int8" else BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=a.method, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype, quantization_config=how, device_map={"": a.device})
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--method", choices=["lora", "none", "nf4", "fp4", "int8"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(a.threads))

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    dtype = torch.float32 if a.dtype == "fp32" else torch.bfloat16
    if a.method in ("lora", "none"):
        model = AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype).to(a.device)
    else:
        model = quantised(a, dtype)
    if a.method != "none":
        model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM"))
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        shard(model)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-4)
    ids = torch.randint(300, model.config.vocab_size, (a.steps, a.rows, a.tokens), device=a.device)
    wait = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    times, losses = [], []
    for step in range(a.steps):
        wait()
        start = time.perf_counter()
        loss = model(input_ids=ids[step], labels=ids[step], use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        wait()
        times.append(time.perf_counter() - start)
    if ranks > 1:
        first = torch.distributed.get_rank() == 0
        torch.distributed.destroy_process_group()
        if not first:
            return
    print(json.dumps({"step_s": times, "first_loss": losses[0], "device_bytes": torch.cuda.max_memory_allocated() if a.device == "cuda" else 0}))


if __name__ == "__main__":
    main()
