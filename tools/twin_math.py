"""The mathematics of the twins: a Llama as plain arrays, rewrites that keep its function, and a
small forward pass in float64 that shows that they do.

A model is a `Llama`: float64 weights under Hugging Face names without the "model." prefix, rows
as outputs, rope in the half-split order that `transformers` uses.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass
class Llama:
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_base: float
    eps: float
    weights: dict[str, np.ndarray]  # "lm_head" present: untied output

    @property
    def width(self) -> int:
        return self.weights["embed_tokens"].shape[1]


READERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj",
           "mlp.up_proj")
WRITERS = ("self_attn.o_proj", "mlp.down_proj")
NORM_OF = {**{r: "input_layernorm" for r in READERS[:3]},
           **{r: "post_attention_layernorm" for r in READERS[3:]}}


def random_orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniform over the orthogonal group: QR of a normal matrix with the signs of R fixed."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def norm_names(model: Llama) -> list[str]:
    per_layer = ("input_layernorm", "post_attention_layernorm")
    return [f"layers.{i}.{n}" for i in range(model.layers) for n in per_layer] + ["norm"]


def pad_stream(model: Llama, width: int) -> None:
    """Widens the residual stream with channels that are always zero. The mean of squares shrinks
    by old/new, which the norm weights and epsilon undo."""
    w, extra, ratio = model.weights, width - model.width, model.width / width
    w["embed_tokens"] = np.pad(w["embed_tokens"], ((0, 0), (0, extra)))
    for name in norm_names(model):
        w[name] = np.pad(w[name] * np.sqrt(ratio), (0, extra))
    for i in range(model.layers):
        for name in READERS:
            key = f"layers.{i}.{name}"
            w[key] = np.pad(w[key], ((0, 0), (0, extra)))
        for name in WRITERS:
            key = f"layers.{i}.{name}"
            w[key] = np.pad(w[key], ((0, extra), (0, 0)))
    model.eps *= ratio


def pad_heads(model: Llama, kv_heads: int) -> None:
    """Adds kv heads, with their query heads, whose weights are zero."""
    group = model.heads // model.kv_heads
    extra = (kv_heads - model.kv_heads) * model.head_dim
    for i in range(model.layers):
        w, a = model.weights, f"layers.{i}.self_attn."
        w[a + "q_proj"] = np.pad(w[a + "q_proj"], ((0, extra * group), (0, 0)))
        w[a + "k_proj"] = np.pad(w[a + "k_proj"], ((0, extra), (0, 0)))
        w[a + "v_proj"] = np.pad(w[a + "v_proj"], ((0, extra), (0, 0)))
        w[a + "o_proj"] = np.pad(w[a + "o_proj"], ((0, 0), (0, extra * group)))
    model.kv_heads, model.heads = kv_heads, kv_heads * group


def permute_stream(model: Llama, order: np.ndarray) -> None:
    w = model.weights
    w["embed_tokens"] = w["embed_tokens"][:, order]
    for name in norm_names(model):
        w[name] = w[name][order]
    for i in range(model.layers):
        for name in READERS:
            w[f"layers.{i}.{name}"] = w[f"layers.{i}.{name}"][:, order]
        for name in WRITERS:
            w[f"layers.{i}.{name}"] = w[f"layers.{i}.{name}"][order]


def fold_norms(model: Llama) -> None:
    """Moves every norm's weights into the matrices that read it; the output becomes untied. A
    constant stays behind in the norm, so that the readers keep their magnitude."""
    w = model.weights
    w.setdefault("lm_head", w["embed_tokens"].copy())

    def fold(norm: str, readers: list[str]) -> None:
        constant = np.sqrt(np.mean(w[norm] ** 2))
        for reader in readers:
            w[reader] = w[reader] * (w[norm] / constant)
        w[norm] = np.full_like(w[norm], constant)

    for i in range(model.layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            fold(f"layers.{i}.{norm}",
                 [f"layers.{i}.{r}" for r in READERS if NORM_OF[r] == norm])
    fold("norm", ["lm_head"])


def rotate_stream(model: Llama, rotation: np.ndarray) -> None:
    """x -> x @ rotation in the whole stream; needs folded norms, which commute with it."""
    w = model.weights
    w["embed_tokens"] = w["embed_tokens"] @ rotation
    w["lm_head"] = w["lm_head"] @ rotation
    for i in range(model.layers):
        for name in READERS:
            w[f"layers.{i}.{name}"] = w[f"layers.{i}.{name}"] @ rotation
        for name in WRITERS:
            w[f"layers.{i}.{name}"] = rotation.T @ w[f"layers.{i}.{name}"]


def permute_neurons(model: Llama, rng: np.random.Generator) -> None:
    for i in range(model.layers):
        w, m = model.weights, f"layers.{i}.mlp."
        order = rng.permutation(w[m + "gate_proj"].shape[0])
        w[m + "gate_proj"] = w[m + "gate_proj"][order]
        w[m + "up_proj"] = w[m + "up_proj"][order]
        w[m + "down_proj"] = w[m + "down_proj"][:, order]


def rotate_values(model: Llama, rng: np.random.Generator) -> None:
    """Each kv head's value space is turned; the output columns of its query heads turn back."""
    d, group = model.head_dim, model.heads // model.kv_heads
    for i in range(model.layers):
        v = model.weights[f"layers.{i}.self_attn.v_proj"]
        o = model.weights[f"layers.{i}.self_attn.o_proj"]
        for kv in range(model.kv_heads):
            q = random_orthogonal(rng, d)
            v[kv * d:(kv + 1) * d] = q @ v[kv * d:(kv + 1) * d]
            for head in range(kv * group, (kv + 1) * group):
                o[:, head * d:(head + 1) * d] = o[:, head * d:(head + 1) * d] @ q.T


def forward(model: Llama, tokens: list[int]) -> np.ndarray:
    """Logits [tokens, vocabulary] in float64."""
    w, d, n = model.weights, model.head_dim, len(tokens)
    group = model.heads // model.kv_heads
    angles = np.outer(np.arange(n), model.rope_base ** (-np.arange(0, d, 2) / d))
    cos, sin = np.cos(angles), np.sin(angles)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + model.eps) * w[name]

    def rope(x: np.ndarray) -> np.ndarray:  # [heads, tokens, head_dim]
        a, b = x[..., :d // 2], x[..., d // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    def split(x: np.ndarray, heads: int) -> np.ndarray:
        return x.reshape(n, heads, d).transpose(1, 0, 2)

    x = w["embed_tokens"][tokens]
    future = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(model.layers):
        p = f"layers.{i}."
        h = norm(x, p + "input_layernorm")
        q = rope(split(h @ w[p + "self_attn.q_proj"].T, model.heads))
        k = rope(split(h @ w[p + "self_attn.k_proj"].T, model.kv_heads))
        v = split(h @ w[p + "self_attn.v_proj"].T, model.kv_heads)
        scores = q @ np.repeat(k, group, 0).transpose(0, 2, 1) / np.sqrt(d) + future
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        attended = scores / scores.sum(-1, keepdims=True) @ np.repeat(v, group, 0)
        x = x + attended.transpose(1, 0, 2).reshape(n, -1) @ w[p + "self_attn.o_proj"].T
        h = norm(x, p + "post_attention_layernorm")
        gate = h @ w[p + "mlp.gate_proj"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[p + "mlp.up_proj"].T)) @ w[
            p + "mlp.down_proj"].T
    return norm(x, "norm") @ w.get("lm_head", w["embed_tokens"]).T
