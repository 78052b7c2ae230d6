"""ChatGLM-6B, ChatGLM2 and Baichuan as plain functions of their named tensors, written from their papers with dense masks: transformers has none of
them. Each takes tokens [t] of one text and gives logits [t, vocab]."""

import math

import torch
import torch.nn.functional as F


def attend(q, k, v, seen, bias=0.0):
    """q [t, h, e], k and v [t, k, e], seen [t, t] -> [t, h * e]."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = torch.einsum("the,she->hts", q, k) / math.sqrt(q.shape[-1]) + bias
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hts,she->the", weights, v).flatten(1)


def causal(t):
    return torch.ones(t, t, dtype=torch.bool).tril()


def angles(positions, dim, theta=10000.0):
    return positions[:, None] * theta ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)


def turn(x, angle, neighbours):
    """x [t, h, e] by angle [t, e/2], as complex numbers."""
    pairs = x.unflatten(-1, (-1, 2)) if neighbours else x.unflatten(-1, (2, -1)).transpose(-1, -2)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angle), angle)[:, None])
    return turned.flatten(-2) if neighbours else turned.transpose(-1, -2).flatten(-2)


def rms(x, w, eps):
    return w * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def chatglm(p, c, tokens):
    t, h, d = len(tokens), c["num_attention_heads"], c["hidden_size"]
    ids, eps, alpha = tokens.tolist(), c["layernorm_epsilon"], math.sqrt(2 * c["num_layers"])
    sop = ids.index(c["bos_token_id"])
    mask_at = ids.index(c["gmask_token_id"] if c["gmask_token_id"] in ids else c["mask_token_id"])
    position = torch.arange(t).where(torch.arange(t) < sop, torch.tensor(mask_at))
    block = (torch.arange(t) - sop + 1).clamp_min(0)
    seen = causal(t)
    seen[:, :sop] = True
    quarter = d // h // 2
    turns = [angles(x.float(), quarter) for x in (position, block)]
    both = lambda x: torch.cat([turn(half, angle, False) for half, angle in zip(x.split(quarter, -1), turns)], -1)
    norm = lambda x, name: F.layer_norm(x, (d,), p[name + ".weight"], p[name + ".bias"], eps)
    linear = lambda x, name: F.linear(x, p[name + ".weight"], p[name + ".bias"])
    x = p["transformer.word_embeddings.weight"][tokens]
    for i in range(c["num_layers"]):
        at = f"transformer.layers.{i}."
        a = norm(x, at + "input_layernorm")
        q, k, v = linear(a, at + "attention.query_key_value").view(t, h, -1).chunk(3, -1)
        x = alpha * a + linear(attend(both(q), both(k), v, seen), at + "attention.dense")
        m = norm(x, at + "post_attention_layernorm")
        x = alpha * m + linear(F.gelu(linear(m, at + "mlp.dense_h_to_4h"), approximate="tanh"), at + "mlp.dense_4h_to_h")
    return norm(x, "transformer.final_layernorm") @ p["transformer.word_embeddings.weight" if c.get("tie_word_embeddings") else "lm_head.weight"].T


def chatglm2(p, c, tokens):
    t, h, eps = len(tokens), c["num_attention_heads"], c["layernorm_epsilon"]
    k_heads, e = c["multi_query_group_num"] if c["multi_query_attention"] else h, c["kv_channels"]
    ratio = c.get("rope_ratio", 1)  # the second release's code divides positions by it, the third's multiplies theta
    second = "chatglm2" in c.get("_name_or_path", "")
    angle = angles(torch.arange(t) / ratio, e // 2) if second else angles(torch.arange(t).float(), e // 2, 10000.0 * ratio)
    half = lambda x: torch.cat([turn(x[..., :e // 2], angle, True), x[..., e // 2:]], -1)
    linear = lambda x, name: F.linear(x, p[name + ".weight"], p.get(name + ".bias"))
    x = p["transformer.embedding.word_embeddings.weight"][tokens]
    for i in range(c["num_layers"]):
        at = f"transformer.encoder.layers.{i}."
        qkv = linear(rms(x, p[at + "input_layernorm.weight"], eps), at + "self_attention.query_key_value")
        q, k, v = (y.view(t, -1, e) for y in qkv.split([h * e, k_heads * e, k_heads * e], -1))
        x = x + linear(attend(half(q), half(k), v, causal(t)), at + "self_attention.dense")
        gate, up = linear(rms(x, p[at + "post_attention_layernorm.weight"], eps), at + "mlp.dense_h_to_4h").chunk(2, -1)
        x = x + linear(F.silu(gate) * up, at + "mlp.dense_4h_to_h")
    return rms(x, p["transformer.encoder.final_layernorm.weight"], eps) @ p["transformer.output_layer.weight"].T


def baichuan(p, c, tokens):
    t, h, d, eps = len(tokens), c["num_attention_heads"], c["hidden_size"], c["rms_norm_eps"]
    bias, rotate = 0.0, lambda x: turn(x, angles(torch.arange(t).float(), d // h), False)
    if "max_position_embeddings" not in c:  # 13B: ALiBi, its slopes written down for the heads that the tests have
        slopes = {1: [1 / 256], 3: [1 / 16, 1 / 256, 1 / 4], 4: [1 / 4, 1 / 16, 1 / 64, 1 / 256], 5: [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2],
                  6: [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]}[h]
        bias, rotate = torch.tensor(slopes)[:, None, None] * torch.arange(t), lambda x: x
    x = p["model.embed_tokens.weight"][tokens]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        q, k, v = (y.view(t, h, -1) for y in (rms(x, p[at + "input_layernorm.weight"], eps) @ p[at + "self_attn.W_pack.weight"].T).chunk(3, -1))
        x = x + attend(rotate(q), rotate(k), v, causal(t), bias) @ p[at + "self_attn.o_proj.weight"].T
        m = rms(x, p[at + "post_attention_layernorm.weight"], eps)
        x = x + (F.silu(m @ p[at + "mlp.gate_proj.weight"].T) * (m @ p[at + "mlp.up_proj.weight"].T)) @ p[at + "mlp.down_proj.weight"].T
    return rms(x, p["model.norm.weight"], eps) @ p["lm_head.weight"].T
