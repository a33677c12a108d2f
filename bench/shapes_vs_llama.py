#!/usr/bin/env python3
"""Speed of running small models of several architectures: pare and llama.cpp on the same files,
random weights in the shapes of models that people run. The programs take turns; ratios are medians
of the rounds.

Example: shapes_vs_llama.py --pare build/release/bin/pare --llama-bin .cache/peer/build/bin
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import engine_vs_llama as engine
import peer

# The model whose shape it is: arguments of tools/make_random_model.py. Gemma's have fewer blocks and
# tokens where the weights would only be more of the same.
SHAPES = {
    "SmolLM2 135M": "--arch llama --hidden 576 --layers 30 --ffn 1536 --heads 9 --kv-heads 3 "
                    "--head-dim 64 --vocab 49152 --context 8192",
    "Qwen2 0.5B": "--arch qwen2 --hidden 896 --layers 24 --ffn 4864 --heads 14 --kv-heads 2 "
                  "--head-dim 64 --vocab 151936 --context 8192",
    "Qwen3 0.6B": "--arch qwen3 --hidden 1024 --layers 28 --ffn 3072 --heads 16 --kv-heads 8 "
                  "--head-dim 128 --vocab 151936 --context 8192",
    "Gemma 3 1B": "--arch gemma3 --hidden 1152 --layers 26 --ffn 6912 --heads 4 --kv-heads 1 "
                  "--head-dim 256 --vocab 262144 --context 8192",
    "Gemma 2, narrow": "--arch gemma2 --hidden 1152 --layers 20 --ffn 6912 --heads 8 --kv-heads 4 "
                       "--head-dim 256 --vocab 100000 --context 8192",
    "GPT-2": "--arch gpt2 --hidden 768 --layers 12 --ffn 3072 --heads 12 --kv-heads 12 "
             "--head-dim 64 --vocab 50257 --context 1024",
}


def make(name: str, args: argparse.Namespace) -> pathlib.Path:
    """The GGUF of a shape, made once."""
    stem = name.lower().replace(" ", "-").replace(",", "")
    model = args.work / f"{stem}-{args.type}.gguf"
    if model.exists():
        return model
    source = args.work / stem
    log = args.work / "logs" / f"make-{stem}.log"
    if not source.exists():
        part = source.with_name("part-" + stem)
        peer.run([sys.executable, peer.ROOT / "tools" / "make_random_model.py", "--dtype", "bf16",
                  *SHAPES[name].split(), "--out", part], log)
        part.rename(source)
    peer.run([args.pare, "quantize", source, "-o", model, "--type", args.type], log)
    return model


def main() -> int:
    parser = peer.parser(__doc__, "shapes.json", work="shapes")
    parser.add_argument("--shapes", default=";".join(SHAPES), help="separated by ;")
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--deep", type=int, default=4096,
                        help="decode after so many tokens, too, or what the context has left")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    names = args.shapes.split(";")
    if unknown := set(names) - SHAPES.keys():
        parser.error(f"--shapes: {', '.join(sorted(unknown))}: none of {'; '.join(SHAPES)}")
    for program in (args.pare, args.llama_bin / "llama-bench"):
        if not program.exists():
            parser.error(f"{program} is not there; bench/build_peer.sh builds llama.cpp's tools")
    results = peer.Results(args.results, ("shape", "type", "threads"))
    for name in names:
        model = make(name, args)
        context = int(SHAPES[name].split("--context ")[1])
        found = {}
        for test, prefill, depth in (("start", args.prefill, 0),
                                     ("deep", 0, min(args.deep, context - args.decode - 16))):
            run = argparse.Namespace(prefill=prefill, decode=args.decode, depth=depth,
                                     threads=args.threads, repeats=args.repeats)
            found[test] = {"depth": depth} | engine.measure(run, {
                "pare": lambda m: engine.pare_bench(args.pare, m, run),
                "llama.cpp": lambda m: engine.llama_bench(args.llama_bin / "llama-bench", m, run),
            }, model)
        results.add({"shape": name, "type": args.type, "threads": args.threads,
                     "prefill": args.prefill, "decode": args.decode, "repeats": args.repeats,
                     "bytes": model.stat().st_size, **found})
        line = [f"{name:16}"]
        for test, kind in (("start", "prefill"), ("start", "decode"), ("deep", "decode")):
            ours, theirs = found[test]["pare"][kind], found[test]["llama.cpp"]
            line.append(f"{kind} {ours:7.1f} {theirs[kind]:7.1f} ({theirs[kind + '_ratio']:.2f})")
        print(" | ".join(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
