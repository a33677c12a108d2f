#!/usr/bin/env python3
"""Measures pare on a GPU beside llama.cpp's CUDA build: random Llamas of 1.1 B and 8 B in four
types, prompts of 512 and 4096 tokens, decoding of 128 with batch 1. Medians of the runs; the same
models, one after the other in the same process list. Prints tables in Markdown.

usage: gpu_vs_llama.py --pare build/release/bin/pare --llama-bench PATH [--folder /dev/shm]
                       [--shapes 1b 8b] [--types Q4_K_M Q4_0 Q8_0 F16] [--repeat 5] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Weights of the linears that a prompt's tokens pass, without the output: operations are twice that.
LINEAR = {"1b": 22 * (2048 * 2048 * 2 + 2 * 256 * 2048 + 3 * 5632 * 2048),
          "8b": 32 * (4096 * 4096 * 2 + 2 * 1024 * 4096 + 3 * 14336 * 4096)}


def run(*command) -> str:
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def tensor_core_peak() -> float | None:
    """Operations per second of a large f16 product by PyTorch, where it is installed."""
    try:
        import torch
    except ImportError:
        return None
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.float16) for _ in range(2))
    for _ in range(3):
        a @ b
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(10):
        a @ b
    end.record()
    torch.cuda.synchronize()
    peak = 10 * 2 * n**3 / (begin.elapsed_time(end) / 1e3)
    del a, b
    torch.cuda.empty_cache()
    return peak


def measure_pare(pare: str, model: pathlib.Path, repeat: int) -> dict:
    common = (pare, "bench", model, "--device", "cuda", "--repeat", repeat, "--json")
    short = json.loads(run(*common, "--prefill", 512, "--decode", 128, "--ctx", 1024))
    long = json.loads(run(*common, "--prefill", 4096, "--decode", 0, "--ctx", 4608))
    return {"device": short["device"], "copy": short["machine_bytes_per_second"],
            "read": short["decode_bytes_per_second"], 128: short["decode_tokens_per_second"],
            512: short["prefill_tokens_per_second"], 4096: long["prefill_tokens_per_second"]}


def measure_llama(bench: str, model: pathlib.Path, repeat: int) -> dict:
    rows = json.loads(run(bench, "-m", model, "-p", "512,4096", "-n", 128, "-ngl", 99, "-r", repeat,
                          "-o", "json"))
    return {row["n_prompt"] or row["n_gen"]: statistics.median(row["samples_ts"]) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pare", required=True)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--folder", default="/dev/shm", type=pathlib.Path)
    parser.add_argument("--shapes", nargs="+", default=["1b", "8b"])
    parser.add_argument("--types", nargs="+", default=["Q4_K_M", "Q4_0", "Q8_0", "F16"])
    parser.add_argument("--repeat", default=5, type=int)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    peak = tensor_core_peak()
    results = {"peak": peak, "models": {}}
    for shape in args.shapes:
        for kind in args.types:
            model = args.folder / f"{shape}_{kind}.gguf"
            if not model.exists():
                run(sys.executable, HERE / "random_llama.py", model, shape, kind)
            ours = measure_pare(args.pare, model, args.repeat)
            theirs = measure_llama(args.llama_bench, model, args.repeat)
            results["models"][f"{shape} {kind}"] = {"pare": ours, "llama.cpp": theirs}
            print(f"{shape} {kind}: {ours} {theirs}", file=sys.stderr, flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    models = results["models"]
    print(f"{next(iter(models.values()))['pare']['device']}; a copy in its memory reads and writes "
          f"{max(m['pare']['copy'] for m in models.values()) / 1e12:.2f} TB/s" +
          (f"; f16 products reach {peak / 1e12:.0f} TFLOP/s" if peak else ""))
    print("\n| model | decode: pare | llama.cpp | ratio | of the copy's bandwidth |\n|---|---|---|---|---|")
    for name, m in models.items():
        ours, theirs = m["pare"], m["llama.cpp"]
        print(f"| {name} | {ours[128]:.0f} | {theirs[128]:.0f} | {ours[128] / theirs[128]:.2f} | "
              f"{100 * ours['read'] / ours['copy']:.0f} % |")
    print("\n| model | 512: pare | llama.cpp | ratio | of the peak | 4096: pare | llama.cpp | ratio | "
          "of the peak |\n|---|---|---|---|---|---|---|---|---|")
    for name, m in models.items():
        cells = [name]
        for n in (512, 4096):
            ours, theirs = m["pare"][n], m["llama.cpp"][n]
            share = 2 * LINEAR[name.split()[0]] * ours / peak if peak else 0
            cells += [f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}", f"{100 * share:.0f} %"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
