"""A Llama of random weights as a GGUF file, in seconds: blocks of each type are made once and
repeated. For measuring speed; pare and llama.cpp both run it.

usage: random_llama.py OUT SHAPE TYPE     SHAPE: 1b, 8b or tiny; TYPE: Q4_K_M, Q4_0, Q8_0 or F16
"""

from __future__ import annotations

import struct
import sys

import numpy as np

# width, blocks, FFN, heads, kv heads, vocabulary, context, rope base
SHAPES = {
    "1b": (2048, 22, 5632, 32, 4, 32000, 8192, 10000.0),
    "8b": (4096, 32, 14336, 32, 8, 128256, 8192, 500000.0),
    "tiny": (256, 4, 512, 4, 2, 512, 2048, 10000.0),
}
# GGUF type, columns and bytes of a block
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34),
         "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210)}
SIGMA = 0.02  # of the weights, about
BLOCKS = 1 << 15
RNG = np.random.default_rng(1)


def halves(values) -> np.ndarray:
    return np.asarray(values, np.float16).view(np.uint8).reshape(-1, 2)


def q4_k_head(d: np.ndarray) -> np.ndarray:
    """d, dmin and equal scale and minimum codes: levels 0 to 15 become values around 0."""
    head = np.zeros((len(d), 16), np.uint8)
    head[:, 0:2] = halves(d)
    head[:, 2:4] = halves(d.astype(np.float16).astype(np.float32) * 7.5)
    code = RNG.integers(20, 64, (len(d), 8)).astype(np.uint8)
    packed = head[:, 4:]
    for i in range(4):
        packed[:, i] = packed[:, i + 4] = code[:, i] | (code[:, i + 4] >> 4) << 6
        packed[:, i + 8] = (code[:, i + 4] & 15) | (code[:, i + 4] & 15) << 4
    return head


def some_blocks(name: str) -> bytes:
    """Bytes of many blocks, to be repeated."""
    if name == "F16":
        return halves(RNG.standard_normal(1 << 22).astype(np.float32) * SIGMA).tobytes()
    blocks = RNG.integers(0, 256, (BLOCKS, TYPES[name][2]), dtype=np.uint8)
    scale = RNG.choice([-1.0, 1.0], BLOCKS) * RNG.uniform(0.7, 1.3, BLOCKS) * SIGMA
    if name == "Q4_0":
        blocks[:, :2] = halves(scale / 4.6)
    elif name == "Q8_0":
        blocks[:, :2] = halves(scale / 73)
    elif name == "Q4_K":
        blocks[:, :16] = q4_k_head(np.abs(scale) / 4.6 / 40)
    elif name == "Q6_K":
        blocks[:, 192:208] = RNG.integers(40, 100, (BLOCKS, 16)).astype(np.uint8)
        blocks[:, 208:] = halves(scale / 18.5 / 70)
    return blocks.tobytes()


def tensors(shape: str, kind: str) -> list[tuple[str, tuple[int, ...], str]]:
    width, blocks, ffn, heads, kv_heads, vocabulary, _, _ = SHAPES[shape]
    kv = width // heads * kv_heads
    most = "Q4_K" if kind == "Q4_K_M" else kind
    found = [("token_embd.weight", (vocabulary, width), most)]
    for i in range(blocks):
        # llama.cpp's mixture: v and down in more bits in some blocks.
        special = i < blocks // 8 or i >= 7 * blocks // 8 or (i - blocks // 8) % 3 == 2
        better = "Q6_K" if kind == "Q4_K_M" and special else most
        for name, size, codec in (
                ("attn_norm", (width,), "F32"), ("attn_q", (width, width), most),
                ("attn_k", (kv, width), most), ("attn_v", (kv, width), better),
                ("attn_output", (width, width), most), ("ffn_norm", (width,), "F32"),
                ("ffn_gate", (ffn, width), most), ("ffn_up", (ffn, width), most),
                ("ffn_down", (width, ffn), better)):
            found.append((f"blk.{i}.{name}.weight", size, codec))
    output = "Q6_K" if kind in ("Q4_K_M", "Q4_0") else most
    return found + [("output_norm.weight", (width,), "F32"),
                    ("output.weight", (vocabulary, width), output)]


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def metadata(shape: str, kind: str) -> list[bytes]:
    width, blocks, ffn, heads, kv_heads, vocabulary, context, base = SHAPES[shape]
    number = lambda key, value: text(key) + struct.pack("<II", 4, value)
    real = lambda key, value: text(key) + struct.pack("<If", 6, value)
    string = lambda key, value: text(key) + struct.pack("<I", 8) + text(value)
    array = lambda key, element, data: text(key) + struct.pack("<IIQ", 9, element, vocabulary) + data
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + ["\u2581"]
    words += [f"\u2581w{i}" for i in range(vocabulary - len(words))]
    kinds = np.array([2, 3, 3] + [6] * 256 + [1] * (vocabulary - 259), np.int32)
    return [
        string("general.architecture", "llama"),
        string("general.name", f"random {shape} {kind}"),
        number("general.file_type", {"Q4_K_M": 15, "Q4_0": 2, "Q8_0": 7, "F16": 1}[kind]),
        number("llama.block_count", blocks),
        number("llama.context_length", context),
        number("llama.embedding_length", width),
        number("llama.feed_forward_length", ffn),
        number("llama.attention.head_count", heads),
        number("llama.attention.head_count_kv", kv_heads),
        real("llama.attention.layer_norm_rms_epsilon", 1e-5),
        number("llama.rope.dimension_count", width // heads),
        real("llama.rope.freq_base", base),
        number("llama.vocab_size", vocabulary),
        string("tokenizer.ggml.model", "llama"),
        array("tokenizer.ggml.tokens", 8, b"".join(text(word) for word in words)),
        array("tokenizer.ggml.scores", 6, (-np.arange(vocabulary)).astype(np.float32).tobytes()),
        array("tokenizer.ggml.token_type", 5, kinds.tobytes()),
        number("tokenizer.ggml.bos_token_id", 1),
        number("tokenizer.ggml.eos_token_id", 2),
    ]


def write(path: str, shape: str, kind: str) -> None:
    listed, infos, at = tensors(shape, kind), [], 0
    keys = metadata(shape, kind)
    sizes = []
    for name, dims, codec in listed:
        number, columns, size = TYPES[codec]
        sizes.append(int(np.prod(dims)) // columns * size)
        infos.append(text(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *reversed(dims)) +
                     struct.pack("<IQ", number, at))
        at += (sizes[-1] + 31) // 32 * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(keys)) + b"".join(keys + infos)
    repeated = {}
    with open(path, "wb", buffering=1 << 22) as file:
        file.write(head + bytes(-len(head) % 32))
        for (_, _, codec), size in zip(listed, sizes):
            if codec == "F32":
                file.write(np.ones(size // 4, np.float32).tobytes())
            else:
                piece = repeated.setdefault(codec, None) or some_blocks(codec)
                repeated[codec] = piece
                for begin in range(0, size, len(piece)):
                    file.write(piece[:min(len(piece), size - begin)])
            file.write(bytes(-size % 32))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in SHAPES:
        sys.exit(__doc__)
    write(*sys.argv[1:])
