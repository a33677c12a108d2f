"""A GGUF file of random weights of one type, made in seconds: the shape and tokenizer of another
file, and matrices that repeat a megabyte of random blocks. To measure speed with, which does not
depend on what the weights are."""

from __future__ import annotations

import pathlib

import gguf
import numpy as np

# Where a block holds numbers that must be finite: byte offsets of binary16 numbers.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
          "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
          "IQ4_XS": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0],
          "IQ2_S": [0], "IQ1_S": [0], "TQ1_0": [52], "TQ2_0": [64], "Q1_0": [0]}
# The same for other forms of scales: offset, byte.
BYTES = {"MXFP4": [(0, 121)], "NVFP4": [(0, 40), (1, 40), (2, 40), (3, 40)],
         # IQ1_M's binary16 number is spread over the top nibbles of bytes 49, 51, 53 and 55.
         "IQ1_M": [(49, 0x00), (51, 0x00), (53, 0x00), (55, 0x20)]}
FLOATS = ("F32", "F16", "BF16")
TYPES = [*HALVES, *BYTES, *FLOATS]


def random_blocks(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` blocks as bytes [count, block bytes]."""
    if name in FLOATS:
        values = rng.normal(0, 0.02, count).astype(np.float32)
        if name == "F32":
            return values.view(np.uint8).reshape(count, 4)
        if name == "F16":
            return values.astype(np.float16).view(np.uint8).reshape(count, 2)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(count, 2)
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES.get(name, []):
        scale = rng.uniform(0.0005, 0.002, count).astype(np.float16)
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(count, 2)
    for offset, value in BYTES.get(name, []):
        blocks[:, offset] = value
    return blocks


def make(source: pathlib.Path, target: pathlib.Path, name: str) -> None:
    """`source`: a GGUF file with float weights, from which everything but the matrices comes."""
    reader = gguf.GGUFReader(source)
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    partial = target.with_name("part-" + target.name)
    writer = gguf.GGUFWriter(partial, bytes(reader.fields["general.architecture"].parts[-1]).decode())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture",
                                                            "general.file_type"):
            continue
        if field.name.endswith(".context_length"):
            writer.add_uint32(field.name, 8192)  # room to measure at some depth
            continue
        value_type = field.types[0]
        sub_type = field.types[-1] if value_type == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), value_type, sub_type=sub_type)
    rng = np.random.default_rng(1)
    period = random_blocks(name, max(1, 2**20 // size), rng).reshape(-1)
    for tensor in reader.tensors:
        shape = [int(n) for n in reversed(tensor.shape)]
        if len(shape) < 2:
            writer.add_tensor(tensor.name, np.array(tensor.data))
            continue
        row = shape[1] // block * size
        data = np.resize(period, shape[0] * row).reshape(shape[0], row)
        if name in ("F32", "F16"):
            data = data.view(np.float32 if name == "F32" else np.float16)
            writer.add_tensor(tensor.name, data)
        else:
            writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)
