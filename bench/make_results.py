#!/usr/bin/env python3
"""Writes docs/results.md from the records in bench/results/. Nothing in that page is typed by
hand; --check fails when the page is not what the records give."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import peer

MIB = 2**20


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def load(folder: pathlib.Path, name: str) -> dict | None:
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def by_machine(records: list[dict], section) -> str:
    """What section(records) gives for those of each machine."""
    machines = dict.fromkeys(r["machine"] for r in records)
    return "\n".join(f"On {machine}:\n\n" + section([r for r in records if r["machine"] == machine])
                     for machine in machines)


def quality_of_machine(records: list[dict]) -> str:
    theirs = {(r["twin"], r["type"]): r for r in records if r["maker"] == "llama-quantize"}
    rows = []
    for r in records:
        base = theirs[r["twin"], r["type"]]
        ratios = ["", ""] if r is base else [f"{r[k]['kl'] / base[k]['kl']:.3f}"
                                             for k in ("weights", "run")]
        rows.append([r["twin"], r["type"], r["maker"], f"{r['bytes']:,}",
                     f"{r['weights']['kl']:.4f} ± {r['weights']['kl_error']:.4f}", ratios[0],
                     f"{r['run']['kl']:.4f} ± {r['run']['kl_error']:.4f}", ratios[1],
                     f"{r['run']['ppl']:.2f}", f"{r['run']['same_top']:.1f} %",
                     f"{r['seconds']:.1f}", f"{r['peak_bytes'] / MIB:.0f}"])
    order = {key: i for i, key in enumerate(theirs)}
    rows.sort(key=lambda row: order[row[0], row[1]])
    return table(["model", "size of", "made by", "bytes", "KL weights", "ratio", "KL run", "ratio",
                  "PPL run", "same top-1", "seconds", "peak MiB"], rows)


def quality(records: list[dict]) -> str:
    return ("## Quality at equal size\n\n"
            "Mean KL divergence from the F16 model, by llama-perplexity, on text that no program "
            "has seen. *Weights*: dequantized to F32 first. *Run*: as llama.cpp runs the file, "
            "with int8 activations. Ratios are to llama-quantize's file of the same row. "
            "Seconds are upper bounds: the machine had other work. "
            "`bench/quality_vs_llama.py`.\n\n" + by_machine(records, quality_of_machine))


def truth(records: list[dict]) -> str:
    rows = [[r["twin"], r["type"], r["cpu_level"], *(f"{r[p]['kl']:.5f} ± {r[p]['kl_error']:.5f}"
                                     for p in ("llama.cpp", "pare")),
             f"{r['pare']['kl'] / r['llama.cpp']['kl']:.3f}",
             *(f"{r[p]['same_top']:.1f} %" for p in ("llama.cpp", "pare"))] for r in records]
    return ("## Truth of the run\n\n"
            "Mean KL divergence of running a file, activations rounded to bytes, from the same file "
            "dequantized to F32: llama.cpp's run from llama.cpp's, pare's from pare's, on the same "
            "text. `bench/truth_vs_llama.py`.\n\n"
            + table(["model", "type", "pare's kernels", "llama.cpp", "pare", "ratio", "llama.cpp: same top-1",
                     "pare: same top-1"], rows))


def speed_of_machine(records: list[dict]) -> str:
    theirs = {(r["type"], r["threads"]): r for r in records if r["maker"] == "llama-quantize"}
    rows = []
    for r in records:
        base = theirs[r["type"], r["threads"]]
        ratio = "" if r is base else f"{r['seconds'] / base['seconds']:.2f}"
        rows.append([r["type"], r["maker"], str(r["threads"]), f"{r['seconds']:.1f}", ratio,
                     f"{r['peak_bytes'] / MIB:.0f}", f"{r['bytes']:,}"])
    order = {key[0]: i for i, key in enumerate(theirs)}
    rows.sort(key=lambda row: order[row[0]])
    return table(["type", "made by", "threads", "seconds", "ratio", "peak MiB", "bytes"], rows)


def speed(records: list[dict]) -> str:
    return ("## Speed and memory\n\n"
            "A random Llama of 1.1 B parameters: pare from its BF16 Hugging Face directory, "
            "llama-quantize from an F16 GGUF of it. Fastest of "
            f"{records[0]['repeats']} interleaved runs. "
            "`bench/speed_vs_llama.py`.\n\n" + by_machine(records, speed_of_machine))


def engine(records: list[dict]) -> str:
    parts = ["## Running models\n\n"
             "A random Llama of 1.1 B parameters whose matrices are all of one type, in tokens per "
             "second; ratios are of pare to the other, medians of the rounds' (in older records of "
             "the medians). Programs take turns; medians. *Read* is "
             "what pare reads while it decodes, and its share of what the machine's threads read "
             "from an array, best of the same runs (both vary by a third on this machine). *Start* "
             "is a process that loads the model and answers with one token: its time, and its peak "
             "memory beyond the weights. "
             "`bench/engine_vs_llama.py`.\n"]
    return "\n".join(parts + [by_machine(records, engine_of_machine)])


def engine_of_machine(records: list[dict]) -> str:
    parts = []
    def test(r: dict) -> tuple:
        return (r["cpu_level"] != "best", r["cpu_level"], r["depth"], r["prefill"], r["decode"],
                -r["repeats"], r["threads"])

    for kind_of_test in sorted(set(map(test, records))):
        _, level, depth, prefill, decode, minus_rounds, threads = kind_of_test
        rows = []
        for r in records:
            if test(r) != kind_of_test:
                continue
            ours, row = r["programs"]["pare"], [r["type"]]
            for kind in ("prefill", "decode"):
                for name in ("pare", "llama.cpp", "ik_llama.cpp"):
                    theirs = r["programs"].get(name, {}).get(kind)
                    if theirs is None:
                        row.append("")
                    elif name == "pare":
                        row.append(f"{theirs:.1f}")
                    else:
                        ratio = r["programs"][name].get(f"{kind}_ratio", ours[kind] / theirs)
                        row.append(f"{theirs:.1f} ({ratio:.2f})")
            row.append(f"{ours['read'] / 1e9:.1f} GB/s, {100 * ours['read'] / ours['machine']:.0f} %"
                       if "read" in ours else "")
            row.append(", ".join(
                f"{r['programs'][name]['process_seconds']:.2f} s, "
                f"{(r['programs'][name]['process_peak_bytes'] - ours['weight_bytes']) / MIB:.0f} MiB"
                for name in ("pare", "llama.cpp")
                if "process_seconds" in r["programs"].get(name, {})))
            rows.append(row)
        parts.append(("" if level == "best" else f"pare held to {level}: ")
                     + f"{prefill} tokens of prefill, {decode} of decode"
                     + (f", after {depth} tokens" if depth else "")
                     + f", {threads} threads, rounds: {-minus_rounds}:\n\n")
        parts.append(table(["type", "prefill: pare", "llama.cpp", "ik_llama.cpp", "decode: pare",
                            "llama.cpp", "ik_llama.cpp", "read", "start: pare, llama.cpp"],
                           rows) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def shapes(records: list[dict]) -> str:
    return ("## Running models of several shapes\n\n"
            "Random weights in the shapes of models that people run, in tokens per second and, in "
            "brackets, pare's as a ratio: medians of the rounds. `bench/shapes_vs_llama.py`.\n\n"
            + by_machine(records, shapes_of_machine))


def shapes_of_machine(records: list[dict]) -> str:
    rows = []
    for r in records:
        row = [r["shape"], r["type"], f"{r['bytes'] / MIB:.0f}"]
        for test, kind in (("start", "prefill"), ("start", "decode"), ("deep", "decode")):
            theirs = r[test]["llama.cpp"]
            row += [f"{r[test]['pare'][kind]:.1f}", f"{theirs[kind]:.1f} ({theirs[kind + '_ratio']:.2f})"]
        rows.append(row + [str(r["deep"]["depth"])])
    first = records[0]
    return (f"{first['prefill']} tokens of prefill, {first['decode']} of decode, {first['threads']} "
            f"threads, rounds: {first['repeats']}:\n\n"
            + table(["shape of", "type", "MiB", "prefill: pare", "llama.cpp", "decode: pare",
                     "llama.cpp", "deep: pare", "llama.cpp", "deep: after"], rows))


SECTIONS = {"quality": quality, "speed": speed, "engine": engine, "shapes": shapes, "truth": truth}


def page(folder: pathlib.Path) -> str:
    parts = ["# Measured results\n",
             "Made by `bench/make_results.py` from the records in `bench/results/`; do not edit.\n"]
    for name, section in SECTIONS.items():
        if measured := load(folder, name):
            parts.append(section(measured["records"]))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=pathlib.Path, default=peer.ROOT / "bench" / "results")
    parser.add_argument("--out", type=pathlib.Path, default=peer.ROOT / "docs" / "results.md")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    text = page(args.records)
    if args.check:
        if not args.out.exists() or args.out.read_text() != text:
            print(f"{args.out} is not what {args.records} gives: run bench/make_results.py",
                  file=sys.stderr)
            return 1
        return 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
