#!/usr/bin/env python3
"""Writes tests/golden/codecs/: blocks of random bytes and what the `gguf` package decodes them to.

usage: make_codec_golden.py [OUT_DIR]      (needs: pip install gguf numpy)

One file per type, <name>.bin: uint32 number of blocks, the blocks, the decoded floats (little
endian). Scales stored as f16 are drawn finite, all other bytes are random. The package does not
know Q1_0 and Q2_0; their tests write blocks by hand.

digests.txt: per type, a number of blocks and a digest of what they decode to, so that every
entry of every codebook is met without storing it. Those blocks are the bytes of SplitMix64
with the type's id as seed, any scale, NaN and infinity too.
"""
import pathlib
import struct
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# byte offsets of f16 numbers inside a block
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ1_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "IQ1_M": [], "MXFP4": [],
    "NVFP4": [], "BF16": [], "F16": [0],
}
# enough to meet every grid entry now and then, small enough to keep in the repository
BYTES_OF_FLOATS = 3072


def blocks_of(name, rng):
    length, size = GGML_QUANT_SIZES[T[name]]
    count = max(2, BYTES_OF_FLOATS // (4 * length))
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[name]:
        scale = rng.normal(0, 1, count) * 2.0 ** rng.integers(-20, 5, count)
        blocks[:, at:at + 2] = scale.astype(np.float16).reshape(-1, 1).view(np.uint8)
    if name == "IQ1_M":  # d sits in the top nibbles of the four scale words
        d = rng.normal(0, 1, count).astype(np.float16).view(np.uint16)
        for w in range(4):
            top = (d >> (4 * w) & 15).astype(np.uint8)
            blocks[:, 49 + 2 * w] = blocks[:, 49 + 2 * w] & 15 | top << 4
    return blocks


def splitmix_bytes(seed, size):
    words = (size + 7) // 8
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, words + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z ^= z >> np.uint64(31)
    return z.view(np.uint8)[:size]


def digest(values):
    bits = np.where(np.isnan(values), np.uint32(0x7fc00000), values.view(np.uint32))
    factors = np.arange(len(bits), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return int(np.sum(bits.astype(np.uint64) * factors, dtype=np.uint64))


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                       pathlib.Path(__file__).parent.parent / "tests/golden/codecs")
    out.mkdir(parents=True, exist_ok=True)
    digests = []
    for name in HALVES:
        rng = np.random.default_rng(len(name) * 1000 + int(T[name]))
        blocks = blocks_of(name, rng)
        values = dequantize(blocks, T[name]).astype("<f4")
        if name == "NVFP4":
            assert np.isfinite(values).all()
        (out / f"{name}.bin").write_bytes(struct.pack("<I", len(blocks)) + blocks.tobytes() +
                                          values.tobytes())
        length, size = GGML_QUANT_SIZES[T[name]]
        many = 262144 // length
        blocks = splitmix_bytes(int(T[name]), many * size).reshape(many, size)
        with np.errstate(all="ignore"):
            values = dequantize(blocks, T[name]).astype("<f4").ravel()
        digests.append(f"{name} {many} {digest(values):016x}\n")
    (out / "digests.txt").write_text("".join(digests))


main()
