"""Writes tests/runtime/quantised_golden.json: a matrix and what bitsandbytes makes of it. Run once, by hand:

    pip install torch==2.11.0 bitsandbytes==0.50.2
    python tests/support/quantised_golden.py tests/runtime/quantised_golden.json

Its kernels in tensor operations are asked, not its CPU library: that one looks 8-bit codes up in a coarse table and misses the nearest of them in
0.15 % of the cases, where its GPU kernels and its own tensor operations do not.
"""

import ctypes
import json
import os
import sys
import zlib

os.environ["TORCH_COMPILE_DISABLE"] = "1"


def no_library(*_):
    raise OSError("left out on purpose")


ctypes.cdll.LoadLibrary = no_library

import torch  # noqa: E402
import bitsandbytes.functional as F  # noqa: E402

OUT, IN, ROWS = 100, 96, 6


def hexed(x):
    return x.contiguous().view(torch.uint8).numpy().tobytes().hex()


def crc(x):
    return zlib.crc32(x.contiguous().view(torch.uint8).numpy().tobytes())


def four_bit(weight, method, block, double):
    codes, state = F.quantize_4bit(weight, blocksize=block, compress_statistics=double, quant_type=method)
    case = {"method": method, "block_size": block, "double_quant": double, "codes": crc(codes)}
    if double:
        case |= {"absmax": crc(state.absmax), "nested": crc(state.state2.absmax), "offset": hexed(state.offset.view(1))}
    else:
        case["absmax"] = crc(state.absmax)
    values = F.dequantize_4bit(codes, state)
    return case | {"fp32": crc(values), "bf16": crc(values.bfloat16())}


def int8(weight, inputs, threshold):
    codes, absmax, _ = F.int8_vectorwise_quant(weight.clone())
    x_codes, x_absmax, columns = F.int8_vectorwise_quant(inputs.clone(), threshold=threshold)
    product = torch.ops.bitsandbytes.int8_mixed_scaled_mm(inputs, x_codes, codes, x_absmax, absmax, columns)[0]
    values = F.int8_vectorwise_dequant(codes, absmax)
    return {"threshold": threshold, "codes": crc(codes), "absmax": crc(absmax), "fp32": crc(values), "product": hexed(product), "outliers": columns.tolist()}


def main():
    generator = torch.Generator().manual_seed(6)
    # Whole multiples of 2⁻¹³: a file holds them in four digits each, and fp32 and a format of 16 bits without loss.
    weight = (torch.randn(OUT, IN, generator=generator) * 700).round().to(torch.int16)
    weight[3] *= 9
    weight[7, :64] = 0
    inputs = torch.randn(ROWS, IN, generator=generator)
    inputs[:, [5, 40]] = 7 + torch.rand(ROWS, 2, generator=generator)
    w = weight.float() / 8192
    golden = {
        "out": OUT, "in": IN, "weight": hexed(weight), "inputs": hexed(inputs), "dynamic": hexed(F.create_dynamic_map()),
        "four_bit": [four_bit(w, m, b, d) for m in ("nf4", "fp4") for b, d in ((32, True), (64, True), (64, False), (128, False))],
        "int8": int8(w, inputs, 6.0),
    }
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main()
