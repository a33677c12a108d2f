#!/usr/bin/env python3
"""What running a quantized file costs beyond its weights: mean KL divergence of the run, with its
activations rounded to bytes, from the same file dequantized to F32. pare against pare's run of the
floats, llama.cpp against llama.cpp's, on the same windows of the same text.

Example: truth_vs_llama.py --pare build/release/bin/pare --llama-bin .cache/peer/build/bin \\
             --text wiki.test.raw
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys

import peer

CASES = "twin-576:Q4_0,twin-576:Q8_0,twin-768:Q4_K_M,twin-768:Q6_K,twin-768:IQ4_XS"


def pare_run(args: argparse.Namespace, model: pathlib.Path, floats: pathlib.Path) -> dict:
    command = [args.pare, "eval", model, "--baseline", floats, "--text", args.text, "--chunks",
               args.chunks, "--ctx", 512, "--threads", args.threads, "--json"]
    out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(out)
    return {"kl": found["mean_kl"]["value"], "kl_error": found["mean_kl"]["error"],
            "same_top": 100 * found["same_top1"]["value"]}


def main() -> int:
    parser = peer.parser(__doc__, "truth.json")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--twins", type=pathlib.Path, default=peer.CACHE / "models")
    parser.add_argument("--chunks", type=int, default=12)
    args = parser.parse_args()
    llama = peer.Llama(args.llama_bin, args.work / "logs", args.threads)
    results = peer.Results(args.results, ("twin", "type", "cpu_level"))
    for case in args.cases.split(","):
        twin, file_type = case.split(":")
        model, floats = (args.work / f"truth-{twin}-{file_type}{end}.gguf" for end in ("", "-f32"))
        base = args.work / f"truth-{twin}-{file_type}.logits"
        llama.quantize(args.work / f"{twin}-f16.gguf", model, file_type,
                       args.work / f"{twin}.imatrix.gguf")
        llama.quantize(model, floats, "F32")
        llama.base_logits(floats, args.text, base, args.chunks)
        record = {"twin": twin, "type": file_type, "chunks": args.chunks,
                  "cpu_level": os.environ.get("PARE_CPU", "best"),
                  "llama.cpp": llama.divergence(model, args.text, base),
                  "pare": pare_run(args, model, floats)}
        for path in (model, floats, base):
            path.unlink()
        results.add(record)
        ours, theirs = record["pare"], record["llama.cpp"]
        print(f"{twin:9} {file_type:7} pare {ours['kl']:.5f} ±{ours['kl_error']:.5f}  llama.cpp "
              f"{theirs['kl']:.5f} ±{theirs['kl_error']:.5f}  {ours['kl'] / theirs['kl']:.3f}x",
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
