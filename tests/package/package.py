#!/usr/bin/env python3
"""Installs the build into an empty prefix, runs the installed program, and builds a program
against the installed package, as somebody who only has the prefix would."""

import json
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from harness import PARE, ROOT, Program

BUILD = pathlib.Path(PARE).resolve().parents[1]


class Package(Program):
    def run_ok(self, *command) -> str:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                              errors="replace")  # random models say anything
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def test_install_and_use(self):
        prefix, use = self.folder / "prefix", self.folder / "use"
        self.run_ok("cmake", "--install", BUILD, "--prefix", prefix)
        moved = self.folder / "moved"  # nothing may depend on where it was installed
        prefix.rename(moved)
        self.assertRegex(self.run_ok(moved / "bin/pare", "--version"), r"^pare \d")
        self.run_ok(moved / "bin/pare", "inspect", self.model)
        self.run_ok("cmake", "-S", ROOT / "tests/package", "-B", use,
                    f"-DCMAKE_PREFIX_PATH={moved}", "-DCMAKE_BUILD_TYPE=Release")
        self.run_ok("cmake", "--build", use)
        text = "hello there"
        said = self.run_ok(use / "uses_pare", self.model, text).splitlines()
        self.assertEqual(said[0], "llama")
        self.assertEqual(said[1].split()[0], "token_embd.weight")
        # The norm, from the file by another way.
        data = (self.model / "model.safetensors").read_bytes()
        size = struct.unpack_from("<Q", data)[0]
        begin, end = json.loads(data[8:8 + size])["model.embed_tokens.weight"]["data_offsets"]
        bits = struct.unpack(f"<{(end - begin) // 2}H", data[8 + size + begin:8 + size + end])
        floats = struct.unpack(f"<{len(bits)}f", b"".join(struct.pack("<I", b << 16) for b in bits))
        self.assertAlmostEqual(float(said[1].split()[1]), sum(f * f for f in floats) ** 0.5,
                               places=3)
        self.assertEqual(said[2].split(" ", 1)[1], text)
        examples = self.folder / "examples"
        self.run_ok("cmake", "-S", ROOT / "examples", "-B", examples,
                    f"-DCMAKE_PREFIX_PATH={moved}")
        self.run_ok("cmake", "--build", examples)
        for program in ("example_generate", "example_generate_c"):
            self.assertIn(text, self.run_ok(examples / "examples" / program, self.model, text))
        failed = subprocess.run([use / "uses_pare", self.folder, text], capture_output=True,
                                text=True)
        self.assertEqual(failed.returncode, 1)
        self.assertIn(str(self.folder), failed.stderr)


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(Package))
