#!/usr/bin/env python3
"""Speed of running a model: pare, llama.cpp and, if there, ik_llama.cpp, on the same files of a
random Llama of 1.1 B parameters, one of each type. The programs take turns; medians are kept, of
ratios the medians of the rounds', because memory may be fast in one round and slow in the next.

Example: engine_vs_llama.py --pare build/release/bin/pare --llama-bin .cache/peer/build/bin
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import peer
import random_gguf

DEFAULT_TYPES = ",".join(t for t in random_gguf.TYPES if t != "F32")


def llama_bench(binary: pathlib.Path, model: pathlib.Path, args: argparse.Namespace) -> dict:
    """Tokens per second: {"prefill", "decode"}; {} if this build cannot run the file."""
    command = [binary, "-m", model, "-t", args.threads, "-p", args.prefill, "-n", args.decode,
               "-r", 1, "-o", "json"]
    if args.depth:
        command += ["-d", args.depth]
    result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if result.returncode != 0:
        return {}
    found = {}
    for test in json.loads(result.stdout):
        found["prefill" if test["n_prompt"] else "decode"] = test["avg_ts"]
    return found


def pare_bench(binary: pathlib.Path, model: pathlib.Path, args: argparse.Namespace) -> dict:
    command = [binary, "bench", model, "--threads", args.threads, "--prefill", args.prefill,
               "--decode", args.decode, "--depth", args.depth, "--repeat", 1, "--json"]
    result = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, env=dict(os.environ), check=True)
    found = json.loads(result.stdout)
    names = {"prefill": "prefill_tokens_per_second", "decode": "decode_tokens_per_second",
             "read": "decode_bytes_per_second", "machine": "machine_bytes_per_second",
             "first_token_seconds": "first_token_seconds", "peak_bytes": "peak_memory_bytes",
             "weight_bytes": "weight_bytes_per_token"}
    return {key: found[name] for key, name in names.items() if name in found}


def start(command: list, log: pathlib.Path) -> dict:
    """A whole process that loads the model and answers with one token."""
    done = peer.run(command, log)
    return {"process_seconds": done.seconds, "process_peak_bytes": done.peak_bytes}


def measure(args: argparse.Namespace, programs: dict, model: pathlib.Path) -> dict:
    """Medians by program: {"pare": {...}, "llama.cpp": {..., "prefill_ratio", "decode_ratio"}}."""
    runs: dict[str, list[dict]] = {name: [] for name in programs}
    for _ in range(args.repeats):
        for name, bench in programs.items():
            if found := bench(model):
                runs[name].append(found)
    medians = {name: {key: statistics.median(r[key] for r in found) for key in found[0]}
               for name, found in runs.items() if found}
    for name in medians.keys() - {"pare"}:
        for test in medians[name].keys() & {"prefill", "decode"}:
            medians[name][f"{test}_ratio"] = statistics.median(
                ours[test] / theirs[test] for ours, theirs in zip(runs["pare"], runs[name]))
    return medians


def main() -> int:
    parser = peer.parser(__doc__, "engine.json")
    parser.add_argument("--ik-bin", type=pathlib.Path, help="ik_llama.cpp's tools")
    parser.add_argument("--source-gguf", type=pathlib.Path, required=True,
                        help="F16 GGUF of the model (bench/speed_vs_llama.py makes it)")
    parser.add_argument("--types", default=DEFAULT_TYPES)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0, help="tokens that are there before")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    log = args.work / "logs" / "start.log"

    def pare(model: pathlib.Path) -> dict:
        return pare_bench(args.pare, model, args) | start(
            [args.pare, "run", model, "-p", "a", "--max-tokens", 1, "--threads", args.threads], log)

    def llama(folder: pathlib.Path, *options: str):
        bench = folder / "llama-bench"
        def run(model: pathlib.Path) -> dict:
            found = llama_bench(bench, model, args)
            return found and found | start([bench, "-m", model, "-t", args.threads, "-p", 1, "-n",
                                            0, "-r", 1, *options], log)
        return run

    programs = {"pare": pare, "llama.cpp": llama(args.llama_bin, "--no-warmup")}
    if args.ik_bin:
        programs["ik_llama.cpp"] = llama(args.ik_bin, "--warmup", "0")
    args.work.mkdir(parents=True, exist_ok=True)
    results = peer.Results(args.results, ("type", "threads", "prefill", "depth", "cpu_level"))
    for name in args.types.split(","):
        model = args.work / f"engine-{name}.gguf"
        random_gguf.make(args.source_gguf, model, name)
        found = measure(args, programs, model)
        model.unlink()
        results.add({"type": name, "threads": args.threads, "prefill": args.prefill,
                     "decode": args.decode, "depth": args.depth, "repeats": args.repeats,
                     "cpu_level": os.environ.get("PARE_CPU", "best"), "programs": found})
        line = [f"{name:8}"]
        for test in ("prefill", "decode"):
            if test in found["pare"]:
                speeds = [f"{found[p][test]:7.1f}" + (f" ({ratio:.2f})" if ratio else "")
                          for p in programs if p in found
                          for ratio in [found[p].get(f"{test}_ratio")]]
                line.append(f"{test} {' '.join(speeds)}")
        if "read" in found["pare"]:
            line.append(f"{found['pare']['read'] / 1e9:5.1f} of "
                        f"{found['pare']['machine'] / 1e9:.1f} GB/s")
        print(" | ".join(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
