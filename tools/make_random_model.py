#!/usr/bin/env python3
"""Makes a model of random weights as a Hugging Face directory, without torch.

For tests of whole programs (every architecture, tiny) and for speed measurements (any size:
tensors are made one at a time and streamed into shards). The same arguments give the same bytes.

Examples:
  make_random_model.py --arch qwen3 --out models/tiny-qwen3
  make_random_model.py --arch llama --size 1.1b --dtype bf16 --out models/llama-1.1b
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import zlib

import numpy as np

import hf_files


@dataclasses.dataclass
class Size:
    hidden: int = 256
    layers: int = 2
    ffn: int = 512
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    vocab: int = 1024
    context: int = 512

    @property
    def q_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim


SIZES = {"tiny": Size(),
         "1.1b": Size(hidden=2048, layers=22, ffn=5632, heads=32, kv_heads=4, head_dim=64,
                      vocab=32000, context=2048)}

Shapes = dict[str, tuple[int, ...]]


def decoder(s: Size, norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm"), *,
            qkv_bias: bool = False, qk_norm: bool = False, fused: bool = False,
            untied: bool = True) -> Shapes:
    """Tensors of the Llama family, in the order in which `transformers` stores a layer."""
    shapes: Shapes = {"model.embed_tokens.weight": (s.vocab, s.hidden)}
    for i in range(s.layers):
        p = f"model.layers.{i}."
        shapes |= {p + n + ".weight": (s.hidden,) for n in norms}
        a, m = p + "self_attn.", p + "mlp."
        if fused:
            shapes[a + "qkv_proj.weight"] = (s.q_width + 2 * s.kv_width, s.hidden)
            shapes[m + "gate_up_proj.weight"] = (2 * s.ffn, s.hidden)
        else:
            for name, rows in (("q", s.q_width), ("k", s.kv_width), ("v", s.kv_width)):
                shapes[a + name + "_proj.weight"] = (rows, s.hidden)
                if qkv_bias:
                    shapes[a + name + "_proj.bias"] = (rows,)
            shapes[m + "gate_proj.weight"] = (s.ffn, s.hidden)
            shapes[m + "up_proj.weight"] = (s.ffn, s.hidden)
        if qk_norm:
            shapes[a + "q_norm.weight"] = shapes[a + "k_norm.weight"] = (s.head_dim,)
        shapes[a + "o_proj.weight"] = (s.hidden, s.q_width)
        shapes[m + "down_proj.weight"] = (s.hidden, s.ffn)
    shapes["model.norm.weight"] = (s.hidden,)
    if untied:
        shapes["lm_head.weight"] = (s.vocab, s.hidden)
    return shapes


def gpt2(s: Size) -> Shapes:
    """GPT-2 keeps its matrices as [in, out]."""
    shapes: Shapes = {"wte.weight": (s.vocab, s.hidden), "wpe.weight": (s.context, s.hidden)}
    for i in range(s.layers):
        p = f"h.{i}."
        for name, rows, columns in (("attn.c_attn", s.hidden, 3 * s.hidden),
                                    ("attn.c_proj", s.hidden, s.hidden),
                                    ("mlp.c_fc", s.hidden, 4 * s.hidden),
                                    ("mlp.c_proj", 4 * s.hidden, s.hidden)):
            shapes[p + name + ".weight"] = (rows, columns)
            shapes[p + name + ".bias"] = (columns,)
        for name in ("ln_1", "ln_2"):
            shapes[p + name + ".weight"] = shapes[p + name + ".bias"] = (s.hidden,)
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = (s.hidden,)
    return shapes


GEMMA_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
               "post_feedforward_layernorm")

# Architecture -> (class, model_type, what config.json adds, tensors).
ARCHITECTURES = {
    "llama": ("LlamaForCausalLM", "llama", {}, lambda s: decoder(s)),
    "mistral": ("MistralForCausalLM", "mistral", {"sliding_window": None}, lambda s: decoder(s)),
    "qwen2": ("Qwen2ForCausalLM", "qwen2", {"use_sliding_window": False},
              lambda s: decoder(s, qkv_bias=True)),
    "qwen3": ("Qwen3ForCausalLM", "qwen3", {"use_sliding_window": False},
              lambda s: decoder(s, qk_norm=True)),
    "gemma2": ("Gemma2ForCausalLM", "gemma2",
               {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 64,
                "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
                "sliding_window": 128, "tie_word_embeddings": True},
               lambda s: decoder(s, GEMMA_NORMS, untied=False)),
    "gemma3": ("Gemma3ForCausalLM", "gemma3_text",
               {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 64,
                "rope_local_base_freq": 10000.0, "rope_theta": 1000000.0,
                "sliding_window": 128, "sliding_window_pattern": 2,
                "tie_word_embeddings": True},
               lambda s: decoder(s, GEMMA_NORMS, qk_norm=True, untied=False)),
    "phi3": ("Phi3ForCausalLM", "phi3", {"sliding_window": None, "pad_token_id": 0},
             lambda s: decoder(s, fused=True)),
    "gpt2": ("GPT2LMHeadModel", "gpt2", {}, gpt2),
}


def config(arch: str, s: Size, dtype: str) -> dict:
    cls, model_type, extra, _ = ARCHITECTURES[arch]
    common = {"architectures": [cls], "model_type": model_type, "bos_token_id": 0,
              "eos_token_id": 0, "torch_dtype": hf_files.TORCH_NAMES[dtype],
              "vocab_size": s.vocab, "tie_word_embeddings": False}
    if arch == "gpt2":
        return common | {"n_embd": s.hidden, "n_layer": s.layers, "n_head": s.heads,
                         "n_positions": s.context, "n_ctx": s.context, "n_inner": None,
                         "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new",
                         "tie_word_embeddings": True}
    return common | {"hidden_size": s.hidden, "num_hidden_layers": s.layers,
                     "intermediate_size": s.ffn, "num_attention_heads": s.heads,
                     "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim,
                     "max_position_embeddings": s.context, "rms_norm_eps": 1e-5,
                     "rope_theta": 10000.0, "rope_scaling": None, "hidden_act": "silu",
                     "attention_bias": arch == "qwen2"} | extra


def random_tensor(name: str, shape: tuple[int, ...], arch: str, seed: int) -> np.ndarray:
    """Each tensor has its own generator, so that the bytes do not depend on the order."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        values *= np.float32(0.02)
    else:
        values *= np.float32(0.1)
        gemma = arch.startswith("gemma")  # adds 1 to its norm weights itself
        if name.endswith("weight") and not gemma:
            values += 1
    return values


def byte_characters() -> list[str]:
    """The printable stand-ins for the 256 bytes that byte-level BPE uses, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


def random_tokenizer(vocab: int, seed: int) -> dict[str, dict]:
    """A working byte-level BPE: one special token, the bytes, and random merges of pairs whose
    result is new."""
    rng = np.random.default_rng([seed, 0x70])
    special = "<|endoftext|>"
    tokens = [special, *byte_characters()]
    if vocab < len(tokens):
        raise ValueError(f"a byte-level vocabulary needs {len(tokens)} tokens, not {vocab}")
    known, merges = set(tokens), []
    while len(tokens) < vocab:
        left, right = (tokens[i] for i in rng.integers(1, len(tokens), 2))
        if len(left + right) > 12 or left + right in known:
            continue
        merges.append(f"{left} {right}")
        tokens.append(left + right)
        known.add(left + right)
    added = {"id": 0, "content": special, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {
        "tokenizer.json": {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [added],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}},
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer", "bos_token": special, "eos_token": special,
            "unk_token": special, "add_prefix_space": False,
            "clean_up_tokenization_spaces": False}}


def shards_of(shapes: Shapes, dtype: str, limit: int) -> list[Shapes]:
    shards, size = [{}], 0
    for name, shape in shapes.items():
        bytes_ = int(np.prod(shape)) * (4 if dtype == "f32" else 2)
        if shards[-1] and size + bytes_ > limit:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += bytes_
    return shards


def write_model(folder: pathlib.Path, arch: str, s: Size, dtype: str, seed: int,
                shard_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    hf_files.write_json(folder / "config.json", config(arch, s, dtype))
    hf_files.write_json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 0})
    for name, content in random_tokenizer(s.vocab, seed).items():
        hf_files.write_json(folder / name, content)
    shapes = ARCHITECTURES[arch][3](s)
    shards = shards_of(shapes, dtype, shard_bytes)
    weight_map = {}
    for i, shard in enumerate(shards):
        file = ("model.safetensors" if len(shards) == 1 else
                f"model-{i + 1:05}-of-{len(shards):05}.safetensors")
        hf_files.write_safetensors(folder / file, dtype, shard,
                                   lambda name: random_tensor(name, shapes[name], arch, seed))
        weight_map |= dict.fromkeys(shard, file)
    if len(shards) > 1:
        total = sum(int(np.prod(shape)) for shape in shapes.values()) * (4 if dtype == "f32" else 2)
        hf_files.write_json(folder / "model.safetensors.index.json",
                            {"metadata": {"total_size": total}, "weight_map": weight_map})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHITECTURES, default="llama")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--dtype", choices=("bf16", "f16", "f32"), default="bf16")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard-bytes", type=int, default=1 << 30)
    for field in dataclasses.fields(Size):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int,
                            help=f"in place of the size's; tiny has {field.default}")
    args = parser.parse_args()
    given = {f.name: getattr(args, f.name) for f in dataclasses.fields(Size)
             if getattr(args, f.name) is not None}
    size = dataclasses.replace(SIZES[args.size], **given)
    write_model(args.out, args.arch, size, args.dtype, args.seed, args.shard_bytes)
    parameters = sum(int(np.prod(shape)) for shape in ARCHITECTURES[args.arch][3](size).values())
    print(f"{args.out}: {args.arch}, {parameters:,} parameters, {args.dtype}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
