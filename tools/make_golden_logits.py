#!/usr/bin/env python3
"""Makes tests/golden/logits: tiny random models of every architecture and variant, each as a
Hugging Face directory with the logits that `transformers` computes for it.

Needs torch and transformers (tools/requirements-golden.txt); the tests need the files alone.
The weights are our own random numbers. Same versions and seed: same files.

  make_golden_logits.py --out tests/golden/logits [--only gemma2 ...]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import zlib

import safetensors.torch
import torch
import transformers as tf

LENGTH = 48  # longer than the windows and the original contexts below
VOCABULARY = 64

BASE = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
            bos_token_id=None, eos_token_id=None, pad_token_id=None)

FACTORS = [1.0, 1.3, 1.9, 2.6]  # LongRoPE: one for each pair of a head's 8 columns


def longrope(original: int) -> dict:
    return dict(original_max_position_embeddings=original,
                rope_scaling=dict(type="longrope", short_factor=FACTORS,
                                  long_factor=[3.0 * f for f in FACTORS]))


def variants() -> dict[str, tuple]:
    """name -> (config class, model class, settings, dtype)."""
    llama = (tf.LlamaConfig, tf.LlamaForCausalLM)
    gemma = dict(head_dim=16, hidden_activation="gelu_pytorch_tanh", sliding_window=8)
    return {
        "llama": (*llama, dict(), torch.bfloat16),
        "llama_tied_biases": (*llama, dict(tie_word_embeddings=True, attention_bias=True,
                                           mlp_bias=True, head_dim=16), torch.float32),
        "llama_rope_llama3": (*llama, dict(rope_theta=1000.0, head_dim=16, rope_scaling=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64)), torch.bfloat16),
        "llama_rope_linear": (*llama, dict(rope_scaling=dict(rope_type="linear", factor=4.0)),
                              torch.float16),
        "llama_rope_yarn": (*llama, dict(rope_theta=500.0, head_dim=16, rope_scaling=dict(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=32)), torch.bfloat16),
        "mistral": (tf.MistralConfig, tf.MistralForCausalLM, dict(sliding_window=8),
                    torch.bfloat16),
        "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM, dict(tie_word_embeddings=True),
                  torch.bfloat16),
        "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM, dict(head_dim=16), torch.bfloat16),
        "gemma2": (tf.Gemma2Config, tf.Gemma2ForCausalLM,
                   dict(gemma, query_pre_attn_scalar=16, attn_logit_softcapping=3.0,
                        final_logit_softcapping=5.0), torch.bfloat16),
        "gemma2_scaled_queries": (tf.Gemma2Config, tf.Gemma2ForCausalLM,
                                  dict(gemma, query_pre_attn_scalar=24), torch.bfloat16),
        "gemma3": (tf.Gemma3TextConfig, tf.Gemma3ForCausalLM,
                   dict(gemma, query_pre_attn_scalar=16, sliding_window_pattern=2,
                        rope_theta=1000.0, rope_local_base_freq=50.0,
                        rope_scaling=dict(rope_type="linear", factor=8.0)), torch.bfloat16),
        "phi3": (tf.Phi3Config, tf.Phi3ForCausalLM, dict(sliding_window=8), torch.bfloat16),
        "phi3_longrope_short": (tf.Phi3Config, tf.Phi3ForCausalLM, longrope(64), torch.bfloat16),
        "phi3_longrope_long": (tf.Phi3Config, tf.Phi3ForCausalLM, longrope(32), torch.bfloat16),
        "gpt2": (tf.GPT2Config, tf.GPT2LMHeadModel,
                 dict(n_embd=32, n_layer=2, n_head=4, n_positions=64), torch.bfloat16),
    }


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that a mistake anywhere shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                around = 1.0 if float(parameter.float().mean()) > 0.5 else 0.0
                parameter.copy_(around + 0.2 * noise)
            else:
                parameter.copy_(noise * (1.0 if "emb" in name or "wte" in name else 0.25))


def make(name: str, out: pathlib.Path) -> None:
    config_class, model_class, settings, dtype = variants()[name]
    config = config_class(**(BASE | settings))
    config._attn_implementation = "eager"
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    model = model_class(config).eval()
    randomise(model, seed)
    tokens = torch.randint(0, VOCABULARY, (1, LENGTH),
                           generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        # Only the parameters are rounded: buffers such as rope frequencies stay float32.
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
        logits = model(tokens, use_cache=False).logits[0]

    directory = out / name
    model.to(dtype).save_pretrained(directory, safe_serialization=True)
    (directory / "generation_config.json").unlink(missing_ok=True)
    text = json.loads((directory / "config.json").read_text())
    text.pop("transformers_version", None)
    (directory / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    safetensors.torch.save_file({"tokens": tokens[0], "logits": logits.contiguous()},
                                directory / "expected.safetensors")
    print(f"{name}: |logits| up to {float(logits.abs().max()):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="*", help="some of: " + ", ".join(variants()))
    arguments = parser.parse_args()
    for name in arguments.only or variants():
        make(name, arguments.out)


if __name__ == "__main__":
    main()
