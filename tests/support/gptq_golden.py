"""Writes tests/runtime/gptq_golden.json: a matrix, inputs of it, and the codes that GPTQ gives them. Run once, by hand:

    python tests/support/gptq_golden.py tests/runtime/gptq_golden.json

Written from the paper (Frantar et al. 2023), by another way than herd's: the update of optimal brain quantisation (its equations 2 and 3) with the whole
inverse Hessian, from which each column is eliminated once it is done. No Cholesky factor, no blocks, fp64, one row of loops a column.
`pack` is the published layout bit by bit, from integers without end.
"""

import json
import sys

import numpy as np

OUT, IN, ROWS = 32, 192, 60


def grid(w, bits, symmetric):
    """Scale (as fp16 has it) and zero point of each row's numbers."""
    most = 2**bits - 1
    low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
    if symmetric:
        high = np.maximum(-low, high)
        low = -high
    scale = np.maximum(((high - low) / most).astype(np.float16).astype(np.float64), 2.0**-24)
    zero = np.full_like(scale, (most + 1) / 2) if symmetric else np.clip(np.round(-low / scale), 0, most)
    return scale, zero


def gptq(weight, inputs, bits, group_size, act_order, symmetric, damp):
    w, most = weight.copy(), 2**bits - 1
    columns = w.shape[1]
    group_size = columns if group_size == -1 else group_size
    hessian = 2 / len(inputs) * inputs.T @ inputs
    dead = np.diag(hessian) == 0
    hessian[dead, dead] = 1
    w[:, dead] = 0
    order = np.argsort(-np.diag(hessian), kind="stable") if act_order else np.arange(columns)
    inverse = np.linalg.inv(hessian + damp * np.mean(np.diag(hessian)) * np.eye(columns))
    codes, g_idx, scales, zeros = np.zeros(w.shape, int), np.zeros(columns, int), [], []
    for turn, j in enumerate(order):
        if turn % group_size == 0:
            scale, zero = grid(w[:, order[turn:turn + group_size]], bits, symmetric)
            scales.append(scale), zeros.append(zero)
        g_idx[j] = turn // group_size
        codes[:, j] = np.clip(np.round(w[:, j] / scale) + zero, 0, most)
        error = (w[:, j] - scale * (codes[:, j] - zero)) / inverse[j, j]
        w -= np.outer(error, inverse[j])  # what is done has zeros in the inverse by now, but for this column, which is not looked at again
        inverse -= np.outer(inverse[:, j], inverse[j]) / inverse[j, j]
        inverse[j, :] = inverse[:, j] = 0
    return codes, np.stack(scales, 1), np.stack(zeros, 1).astype(int), g_idx


def pack(codes, bits):
    """codes [n, m] → int32 [n · bits / 32, m]: each column is one number, its first code lowest, cut into words."""
    words = np.zeros((codes.shape[0] * bits // 32, codes.shape[1]), np.uint32)
    for column in range(codes.shape[1]):
        number = sum(int(code) << (bits * place) for place, code in enumerate(codes[:, column]))
        for word in range(len(words)):
            words[word, column] = (number >> (32 * word)) & 0xFFFFFFFF
    return words.view(np.int32)


def published(codes, scales, zeros, g_idx, bits):
    """The four tensors of a folder, in its first format: zero points less one."""
    less_one = (zeros.T - 1) % 2**bits
    return {"qweight": pack(codes.T, bits), "qzeros": pack(less_one.T, bits).T.copy(), "scales": scales.T.astype(np.float16), "g_idx": g_idx.astype(np.int32)}


def main():
    random = np.random.default_rng(6)
    # Whole numbers over powers of two: a file holds them in a few digits, and the Hessian is the same in any order of sums.
    weight = np.round(random.normal(size=(OUT, IN)) * 256).astype(int)
    mixed = random.normal(size=(ROWS, 12)) @ random.normal(size=(12, IN)) / 3 + random.normal(size=(ROWS, IN)) * random.uniform(0.2, 2, IN)
    inputs = np.round(mixed * 64).astype(int)
    inputs[:, 17] = 0
    cases = []
    for bits, group_size, act_order, symmetric, damp in ((4, 32, False, False, 0.01), (4, -1, True, True, 0.01), (3, 32, True, False, 0.01), (3, 48, False, True, 0.05),
                                                         (2, 16, True, False, 0.1), (8, -1, False, False, 0.01)):
        found = gptq(weight / 256, inputs / 64, bits, group_size, act_order, symmetric, damp)
        tensors = published(*found, bits)
        cases.append({"bits": bits, "group_size": group_size, "act_order": act_order, "symmetric": symmetric, "damp": damp,
                      "qweight": tensors["qweight"].tolist(), "qzeros": tensors["qzeros"].tolist(), "scales": tensors["scales"].view(np.int16).tolist(),
                      "g_idx": tensors["g_idx"].tolist()})
    with open(sys.argv[1], "w") as out:
        json.dump({"weight": weight.tolist(), "inputs": inputs.tolist(), "cases": cases}, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
