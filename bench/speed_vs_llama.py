#!/usr/bin/env python3
"""Speed and memory: a Hugging Face directory to GGUF with pare, against llama-quantize alone
from an F16 GGUF of the same weights (its converter's time is not counted).

The model is a random Llama of 1.1 B parameters. Runs are interleaved; the fastest of each is
kept. Peak memory is resident memory with mapped file pages, which both programs use.

Example: speed_vs_llama.py --pare build/release/bin/pare --llama-bin .cache/peer/build/bin
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

import peer

TYPES = "Q4_K_M,Q4_0,Q8_0,Q6_K"


def prepare(args: argparse.Namespace) -> tuple[pathlib.Path, pathlib.Path]:
    """The model as Hugging Face directory, and as F16 GGUF for the peer."""
    folder = args.model or args.work / "llama-1.1b"
    if not (folder / "config.json").exists():
        subprocess.run([sys.executable, peer.ROOT / "tools" / "make_random_model.py", "--arch",
                        "llama", "--size", "1.1b", "--dtype", "bf16", "--out", folder], check=True)
    source = args.source_gguf or args.work / "llama-1.1b-f16.gguf"
    if not source.exists():
        peer.run([args.pare, "convert", folder, "-o", source, "--type", "F16"],
                 args.work / "logs" / "convert.log")
    return folder, source


def read_through(paths: list[pathlib.Path]) -> None:
    """Into the page cache, so that neither program pays for a cold disk."""
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass


def main() -> int:
    parser = peer.parser(__doc__, "speed.json", pare_required=False)
    parser.add_argument("--model", type=pathlib.Path, help="default: made in --work")
    parser.add_argument("--source-gguf", type=pathlib.Path, help="default: by pare convert")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    try:
        llama = peer.Llama(args.llama_bin, args.work / "logs", args.threads)
        results = peer.Results(args.results, ("type", "maker", "threads"))
        folder, source = prepare(args)
        for file_type in args.types.split(","):
            measure(args, llama, results, folder, source, file_type)
    except peer.Failed as error:
        print(f"speed_vs_llama: {error}", file=sys.stderr)
        return 1
    return 0


def measure(args: argparse.Namespace, llama: peer.Llama, results: peer.Results,
            folder: pathlib.Path, source: pathlib.Path, file_type: str) -> None:
    target = args.work / f"speed-{file_type}.gguf"
    makers = {"llama-quantize": lambda: llama.quantize(source, target, file_type)}
    inputs = [source]
    if args.pare:
        makers["pare"] = lambda: peer.run(
            [args.pare, "quantize", folder, "-o", target, "--type", file_type, "--threads",
             args.threads], args.work / "logs" / f"speed-{file_type}.log")
        inputs += sorted(folder.glob("*.safetensors"))
    best: dict[str, peer.Run] = {}
    sizes: dict[str, int] = {}
    read_through(inputs)
    for _ in range(args.repeats):
        for maker, make in makers.items():
            target.unlink(missing_ok=True)
            made = make()
            sizes[maker] = target.stat().st_size
            if maker not in best or made.seconds < best[maker].seconds:
                best[maker] = made
    target.unlink(missing_ok=True)
    for maker, made in best.items():
        results.add({"type": file_type, "maker": maker, "threads": args.threads,
                     "seconds": round(made.seconds, 2), "peak_bytes": made.peak_bytes,
                     "bytes": sizes[maker], "repeats": args.repeats})
        print(f"{file_type:7} {maker:15} {made.seconds:7.2f} s  "
              f"{made.peak_bytes / 2**20:7.0f} MiB  {sizes[maker]:>13,} bytes", flush=True)


if __name__ == "__main__":
    sys.exit(main())
