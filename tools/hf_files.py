"""Model files written without torch: Hugging Face directories and float GGUF files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import gguf
import numpy as np

import twin_math as tm

CONTEXT = 8192
ST_NAMES = {"f16": "F16", "bf16": "BF16", "f32": "F32"}
TORCH_NAMES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32"}


def encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """float64 to the stored form; bf16 as its 16 bits, rounded to nearest even."""
    if dtype == "f16":
        return values.astype(np.float16)
    if dtype == "f32":
        return values.astype(np.float32)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def decode(stored: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return stored.astype(np.float64)


def tokenizer_from_gguf(reader: gguf.GGUFReader) -> dict[str, dict]:
    """tokenizer.json and tokenizer_config.json of a byte-level BPE with single digits (the
    `smollm` pre-tokenizer), rebuilt from a GGUF file's metadata."""
    def field(key: str):
        return reader.fields["tokenizer." + key].contents()

    if (field("ggml.model"), field("ggml.pre")) != ("gpt2", "smollm"):
        raise ValueError(f"tokenizer {field('ggml.model')}/{field('ggml.pre')} is not smollm BPE")
    tokens, kinds = field("ggml.tokens"), field("ggml.token_type")
    special = [i for i, kind in enumerate(kinds) if kind == gguf.TokenType.CONTROL]
    added = [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": True} for i in special]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    fast = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)},
                  "merges": field("ggml.merges")}}
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(a["id"]): {k: v for k, v in a.items() if k != "id"}
                                 for a in added},
        "bos_token": tokens[field("ggml.bos_token_id")],
        "eos_token": tokens[field("ggml.eos_token_id")],
        "unk_token": tokens[field("ggml.unknown_token_id")],
        "pad_token": tokens[field("ggml.padding_token_id")],
        "chat_template": field("chat_template"), "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT, "tokenizer_class": "GPT2Tokenizer"}
    return {"tokenizer.json": fast, "tokenizer_config.json": config}


def write_json(path: pathlib.Path, value: dict) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_safetensors(path: pathlib.Path, dtype: str, shapes: dict[str, tuple[int, ...]],
                      values: Callable[[str], np.ndarray]) -> None:
    """One file; values(name) is asked for one tensor at a time, so that memory holds one."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * (4 if dtype == "f32" else 2)
        header[name] = {"dtype": ST_NAMES[dtype], "shape": list(shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            stored = encode(values(name), dtype)
            if stored.shape != tuple(shape):
                raise ValueError(f"{name}: made {stored.shape}, announced {tuple(shape)}")
            file.write(np.ascontiguousarray(stored).data)
    partial.replace(path)


def write_llama(folder: pathlib.Path, model: tm.Llama, dtype: str,
                tokenizer: dict[str, dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, width = model.weights["embed_tokens"].shape
    write_json(folder / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False,
        "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
        "head_dim": model.head_dim, "hidden_act": "silu", "hidden_size": width,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": model.weights["layers.0.mlp.gate_proj"].shape[0],
        "max_position_embeddings": CONTEXT, "mlp_bias": False,
        "num_attention_heads": model.heads, "num_hidden_layers": model.layers,
        "num_key_value_heads": model.kv_heads, "rms_norm_eps": model.eps, "rope_scaling": None,
        "rope_theta": model.rope_base, "tie_word_embeddings": "lm_head" not in model.weights,
        "torch_dtype": TORCH_NAMES[dtype], "use_cache": True, "vocab_size": vocabulary})
    write_json(folder / "generation_config.json",
               {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2,
                "pad_token_id": 2})
    for name, content in tokenizer.items():
        write_json(folder / name, content)
    def full_name(name: str) -> str:
        return "lm_head.weight" if name == "lm_head" else f"model.{name}.weight"

    write_safetensors(folder / "model.safetensors", dtype,
                      {full_name(k): v.shape for k, v in model.weights.items()},
                      lambda name: model.weights[name.removesuffix(".weight")
                                                 .removeprefix("model.")])


def write_gguf(path: pathlib.Path, model: tm.Llama, dtype: str, source: gguf.GGUFReader,
               name: str) -> None:
    """A float GGUF as llama.cpp's converter lays it out: matrices in `dtype`, norms in F32, q and
    k with the rope halves of each head interleaved. Tokenizer fields are taken from `source`."""
    writer = gguf.GGUFWriter(str(path) + ".part", "llama")
    vocabulary, width = model.weights["embed_tokens"].shape
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.weights["layers.0.mlp.gate_proj"].shape[0])
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.head_dim)
    writer.add_rope_dimension_count(model.head_dim)
    writer.add_rope_freq_base(model.rope_base)
    writer.add_layer_norm_rms_eps(model.eps)
    writer.add_file_type({"f32": 0, "f16": 1, "bf16": 32}[dtype])
    for key, field in source.fields.items():
        if key.startswith("tokenizer."):
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)

    ggml_type = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
                 "bf16": gguf.GGMLQuantizationType.BF16}[dtype]
    names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output",
             "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for key, values in model.weights.items():
        layer, _, part = key.removeprefix("layers.").partition(".")
        full = f"blk.{layer}.{names[part]}.weight" if part else f"{names[key]}.weight"
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            heads = model.heads if part.endswith("q_proj") else model.kv_heads
            values = values.reshape(heads, 2, -1, width).swapaxes(1, 2).reshape(values.shape)
        if values.ndim == 1:
            writer.add_tensor(full, values.astype(np.float32))
        elif dtype == "bf16":
            writer.add_tensor(full, encode(values, dtype).view(np.uint8), raw_dtype=ggml_type)
        else:
            writer.add_tensor(full, encode(values, dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    pathlib.Path(str(path) + ".part").replace(path)
