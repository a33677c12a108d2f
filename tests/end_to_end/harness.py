"""Running the program as a user does: in a directory of its own, on random models made here."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
sys.dont_write_bytecode = True

PARE = os.environ.get("PARE") or str(ROOT / "build/release/bin/pare")

try:
    import make_random_model
except ImportError as missing:  # numpy
    make_random_model, why_not = None, str(missing)


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Program(unittest.TestCase):
    """Each class has one folder, with `model` (a small Llama as a directory) in it."""

    ARCH = "llama"
    SIZE: dict[str, int] = {}

    @classmethod
    def setUpClass(cls):
        if make_random_model is None:
            raise unittest.SkipTest(f"needs tests/requirements.txt: {why_not}")
        if not os.access(PARE, os.X_OK):
            raise unittest.SkipTest(f"{PARE} has not been built")
        temporary = tempfile.TemporaryDirectory(prefix="pare-test-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        cls.model = cls.make_model("model", cls.ARCH, **cls.SIZE)

    @classmethod
    def make_model(cls, name: str, arch: str, dtype: str = "bf16", seed: int = 1,
                   shard_bytes: int = 1 << 30, **size: int) -> pathlib.Path:
        path = cls.folder / name
        make_random_model.write_model(path, arch, make_random_model.Size(**size), dtype, seed,
                                      shard_bytes)
        return path

    def pare(self, *args, code: int = 0, **options) -> subprocess.CompletedProcess:
        """Runs to the end and expects this exit code (None: any failure)."""
        done = subprocess.run([PARE, *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, **options)
        context = f"{' '.join(map(str, args))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        if code is None:
            self.assertGreater(done.returncode, 0, context)  # negative: killed by a signal
        else:
            self.assertEqual(done.returncode, code, context)
        return done

    def json(self, *args):
        return json.loads(self.pare(*args, "--json").stdout)

    def fails(self, *args, says: list[str], code: int | None = None, absent: pathlib.Path = None,
              **options) -> str:
        """Expects a failure whose message holds all of `says`, and no file called `absent`."""
        message = self.pare(*args, code=code, **options).stderr
        for text in says:
            self.assertIn(text, message)
        if absent is not None:
            self.assertFalse(absent.exists(), f"{absent} was left behind")
        return message

    def quantize(self, output: pathlib.Path, *args, model=None) -> dict:
        return self.json("quantize", model or self.model, "-o", output, *args)
