#!/usr/bin/env python3
"""Reads a GGUF file with the `gguf` package: every metadata value, every tensor dequantized.

    judge_gguf.py FILE [--floats FILE32]

FILE32 is the same model with every tensor at F32 (`pare convert FILE -o FILE32 --type F32`): each
value must then be the same float. Prints one line per type and a summary; the exit status is 1
if the package cannot read something, or reads something else.
"""

import argparse
import collections
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def read_all_fields(reader: GGUFReader) -> int:
    for name, field in reader.fields.items():
        try:
            field.contents()
        except Exception as e:  # the package raises whatever it likes
            raise SystemExit(f"metadata key {name}: {e}")
    return len(reader.fields)


def floats_of(tensor) -> np.ndarray | None:
    """The tensor as float32 in its logical shape; None if the package does not know the type."""
    try:
        values = dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError:
        return None
    return np.asarray(values, dtype=np.float32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--floats")
    args = parser.parse_args()

    reader = GGUFReader(args.file)
    keys = read_all_fields(reader)
    expected = {}
    if args.floats:
        expected = {t.name: t for t in GGUFReader(args.floats).tensors}
        missing = {t.name for t in reader.tensors} ^ set(expected)
        if missing:
            print(f"only in one of the files: {', '.join(sorted(missing))}")
            return 1

    seen, unknown, bad = collections.Counter(), collections.Counter(), []
    for tensor in reader.tensors:
        kind = tensor.tensor_type.name
        values = floats_of(tensor)
        if values is None:
            unknown[kind] += 1
            continue
        seen[kind] += 1
        if not np.isfinite(values).all():
            bad.append(f"{tensor.name} ({kind}): not finite")
        if args.floats:
            want = floats_of(expected[tensor.name])
            if want is None or want.shape != values.shape:
                bad.append(f"{tensor.name} ({kind}): shape {values.shape} is not that of the floats")
            elif not np.array_equal(values.view(np.uint32), want.view(np.uint32)):
                off = int((values.view(np.uint32) != want.view(np.uint32)).sum())
                bad.append(f"{tensor.name} ({kind}): {off} of {values.size} floats differ")

    for kind, count in sorted(seen.items()):
        print(f"{kind}: {count} tensors dequantized")
    for kind, count in sorted(unknown.items()):
        print(f"{kind}: {count} tensors, which the package cannot dequantize")
    for line in bad:
        print(f"BAD {line}")
    print(f"{keys} metadata keys, {sum(seen.values())} tensors, {len(bad)} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
