#!/usr/bin/env python3
"""Builds codecs, kernels and their tests for AArch64 and runs them in an emulator: the bytes that
encoders write, what decoders read, products of every codec on the NEON level and on the plain
one."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import suite

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["PARE"]).resolve().parents[1] / "neon"
COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


def run(*command) -> str:
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-8000:]}")
    return done.stdout


@unittest.skipUnless(COMPILER, "no cross compiler (package g++-aarch64-linux-gnu)")
@unittest.skipUnless(EMULATOR, "no emulator (package qemu-user-static)")
class Neon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        launcher = shutil.which("ccache")
        run("cmake", "-S", HERE, "-B", BUILD, "-G", "Ninja", "-DCMAKE_SYSTEM_NAME=Linux",
            "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}",
            *([f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}"] if launcher else []))
        output = run("cmake", "--build", BUILD)
        if re.search(r"\.(cpp|h):\d+:\d+: warning:", output):
            raise AssertionError(f"warnings:\n{output[-8000:]}")

    def run_tests(self, pattern: str, **environment: str):
        options = [o for name, value in environment.items() for o in ("-E", f"{name}={value}")]
        output = run(EMULATOR, "-cpu", "max", *options, BUILD / "neon_test",
                     f"--gtest_filter={pattern}")
        self.assertIn("[  PASSED  ]", output)

    def test_products(self):
        self.run_tests("Matmul.*")

    def test_codecs(self):
        self.run_tests("*BytesArePinned*:*Golden*")

    def test_the_rest_of_kernels(self):
        self.run_tests("KernelList.*:CpuLevels.*:Unpack.*", PARE_CPU="neon")


if __name__ == "__main__":
    sys.exit(suite.run(Neon))
