#!/usr/bin/env python3
"""The `gguf` package reads every type that we write, and dequantizes it to the very floats that
`pare convert --type F32` makes of it."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from harness import ROOT, Program

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
         "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4"]
JUDGE = ROOT / "tests/judges/judge_gguf.py"


class Dequantize(Program):
    SIZE = {"layers": 1, "vocab": 512}

    def judge(self, file: pathlib.Path) -> str:
        floats = file.with_suffix(".f32.gguf")
        self.json("convert", file, "-o", floats, "--type", "F32")
        done = subprocess.run([sys.executable, JUDGE, file, "--floats", floats],
                              capture_output=True, text=True)
        floats.unlink()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout


def add_test(kind: str):
    def test(self: Dequantize):
        out = self.folder / f"{kind}.gguf"
        # The preset sets the frame; the matrices get the type.
        self.quantize(out, "--type", "F16", "--tensor-type",
                      f"^(token_embd|output|blk.*(attn_.|attn_output|ffn_(up|down|gate)))\\.weight={kind}")
        self.assertRegex(self.judge(out), rf"(?m)^{kind}: (9|10) tensors dequantized$")
    setattr(Dequantize, f"test_{kind}", test)


for name in TYPES:
    add_test(name)


if __name__ == "__main__":
    import suite
    try:
        import gguf  # noqa: F401
    except ImportError:
        print("SKIP: needs the gguf package (tests/requirements.txt)\nRESULT 0 0 1")
        sys.exit(77)
    sys.exit(suite.run(Dequantize))
