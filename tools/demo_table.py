#!/usr/bin/env python3
"""Prints the demo's table: what the original, the best preset of that size, and pare's own plan
come to. Reads the --json output that ./demo kept in a folder.

    demo_table.py FOLDER PRESET BUDGET MODEL
"""

import json
import pathlib
import sys


def load(path: pathlib.Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def number(record: dict, *keys: str, form: str = "{}", scale: float = 1.0) -> str:
    """The first of `keys` that the record has, nested ones as "a.b"."""
    for key in keys:
        value = record
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, (int, float)):
            return form.format(value * scale)
    return "-"


def main() -> int:
    folder, preset, budget, model = (pathlib.Path(sys.argv[1]), *sys.argv[2:])
    original_bytes = sum(f.stat().st_size for f in pathlib.Path(model).glob("*.safetensors"))
    rows = [["", "bytes", "bits/weight", "perplexity", "KL mean", "same top-1", "seconds", "memory"]]
    for name, made, measured in (
            ("original", {"bytes": original_bytes, "bits_per_weight": 16.0}, "original"),
            (preset, load(folder / "preset.json"), "preset"),
            ("pare", load(folder / f"fit-{budget}.json"), f"fit-{budget}")):
        e = load(folder / f"{measured}-eval.json")
        rows.append([name, number(made, "bytes", "file_bytes", form="{:,}"),
                     number(made, "bits_per_weight", form="{:.3f}"),
                     number(e, "perplexity", "model.perplexity", form="{:.3f}"),
                     number(e, "kl_mean", "kl.mean", "mean_kl", form="{:.4f}"),
                     number(e, "same_top1", "same_top", form="{:.1f} %", scale=100),
                     number(made, "seconds", form="{:.0f} s"),
                     number(made, "peak_memory_bytes", form="{:.0f} MiB", scale=2**-20)])
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0])] +
                        [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
