#!/usr/bin/env python3
"""What must not go wrong when things go wrong: power cuts, full disks, broken or hostile inputs,
outputs that are inputs. Always: a non-zero exit, a message that names the file, nothing under the
output's name that is not whole, nothing lost that was there before."""

import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from harness import PARE, Program, sha256

MEDIUM = {"hidden": 512, "layers": 6, "ffn": 1536, "heads": 8, "kv_heads": 4}


class Interrupted(Program):
    SIZE = MEDIUM

    def start(self, out: pathlib.Path, *args) -> subprocess.Popen:
        return subprocess.Popen([PARE, "quantize", self.model, "-o", out, "--type", "Q3_K_M",
                                 "--threads", "1", *args], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def wait_for_tensors(self, process: subprocess.Popen, out: pathlib.Path, count: int):
        """Until the journal says that `count` tensors are done."""
        journal = out.with_name(out.name + ".journal")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > count:
                return
            time.sleep(0.001)
        self.fail(f"ended too early: {process.returncode} {process.stderr.read()}")

    def reference(self) -> str:
        out = self.folder / "reference.gguf"
        if not out.exists():
            self.quantize(out, "--type", "Q3_K_M")
        return sha256(out)

    def left_over(self, out: pathlib.Path) -> list[str]:
        return sorted(f.name for f in out.parent.iterdir()
                      if f.name.startswith(out.name) and f != out)

    def test_killed_again_and_again_then_finished(self):
        out = self.folder / "killed.gguf"
        for tensors in (2, 9, 20):
            process = self.start(out)
            self.wait_for_tensors(process, out, tensors)
            process.kill()
            process.wait()
            process.stderr.close()
            self.assertFalse(out.exists())
        finished = self.quantize(out, "--type", "Q3_K_M", "--threads", "2")
        self.assertGreaterEqual(finished["restored_tensors"], 20)
        self.assertEqual(sha256(out), self.reference())
        self.assertEqual(self.left_over(out), [])

    def test_what_a_torn_write_spoiled_is_made_again(self):
        out = self.folder / "torn.gguf"
        process = self.start(out)
        self.wait_for_tensors(process, out, 12)
        process.kill()
        process.wait()
        process.stderr.close()
        part = out.with_name(out.name + ".part")
        with open(part, "r+b") as file:  # zeros where a power cut lost pages
            file.seek(part.stat().st_size // 3)
            file.write(bytes(1 << 20))
        self.quantize(out, "--type", "Q3_K_M")
        self.assertEqual(sha256(out), self.reference())

    def test_leftovers_of_another_job_are_not_taken(self):
        out = self.folder / "other.gguf"
        process = self.start(out)
        self.wait_for_tensors(process, out, 9)
        process.kill()
        process.wait()
        process.stderr.close()
        fresh = self.folder / "fresh.gguf"
        self.quantize(fresh, "--type", "Q4_K_S")
        self.assertEqual(self.quantize(out, "--type", "Q4_K_S")["restored_tensors"], 0)
        self.assertEqual(sha256(out), sha256(fresh))

    def test_ctrl_c_ends_at_a_safe_place(self):
        out = self.folder / "stopped.gguf"
        process = self.start(out)
        self.wait_for_tensors(process, out, 3)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130, message)
        self.assertIn("same command", message)
        self.assertFalse(out.exists())
        self.assertGreaterEqual(self.quantize(out, "--type", "Q3_K_M")["restored_tensors"], 3)
        self.assertEqual(sha256(out), self.reference())

    def test_ctrl_c_leaves_no_directory(self):
        out = self.folder / "stopped-directory"
        process = subprocess.Popen([PARE, "convert", self.model, "-o", out, "--type", "F32",
                                    "--threads", "1"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(self.folder.glob("stopped-directory*")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        if process.wait(timeout=60) != 0:  # it may have been done already
            self.assertEqual(process.returncode, 130)
            self.assertEqual(list(self.folder.glob("stopped-directory*")), [])


class FullDisk(Program):
    SIZE = MEDIUM

    def test_file_size_limit(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        out = self.folder / "limited.gguf"
        self.fails("quantize", self.model, "-o", out, "--type", "Q8_0", says=[str(out)], code=1,
                   absent=out, preexec_fn=limit)
        directory = self.folder / "limited"
        self.fails("convert", self.model, "-o", directory, says=["limited"], code=1,
                   absent=directory, preexec_fn=limit)

    def test_small_file_system(self):
        with tempfile.TemporaryDirectory() as mount:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount],
                              capture_output=True).returncode != 0:
                self.skipTest("needs the right to mount a small file system")
            try:
                out = pathlib.Path(mount) / "out.gguf"
                self.fails("quantize", self.model, "-o", out, "--type", "Q8_0",
                           says=[str(out), "No space left"], code=1, absent=out)
                directory = pathlib.Path(mount) / "hf"
                self.fails("convert", self.model, "-o", directory, says=["No space left"], code=1,
                           absent=directory)
            finally:
                subprocess.run(["umount", mount], check=True)

    def test_what_was_there_before_survives_a_failure(self):
        out = self.folder / "kept.gguf"
        self.quantize(out, "--type", "Q4_0")
        before = sha256(out)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        self.pare("quantize", self.model, "-o", out, "--type", "Q8_0", code=1, preexec_fn=limit)
        self.assertEqual(sha256(out), before)

    def test_missing_output_directory(self):
        self.fails("quantize", self.model, "-o", self.folder / "nowhere/out.gguf", "--type", "Q8_0",
                   says=["nowhere"], code=1)


class OutputIsInput(Program):
    def test_refused_by_any_name(self):
        source = self.folder / "source.gguf"
        self.quantize(source, "--type", "F16")
        before = sha256(source)
        hard, soft = self.folder / "hard.gguf", self.folder / "soft.gguf"
        os.link(source, hard)
        soft.symlink_to(source)
        for out in (source, hard, soft, self.folder / "." / "model" / ".." / "source.gguf"):
            for verb in (["quantize", "--type", "Q4_0"], ["convert"]):
                self.fails(verb[0], source, "-o", out, *verb[1:], says=["is the model itself"],
                           code=2)
        self.assertEqual(sha256(source), before)

    def test_whatever_is_read_is_not_written(self):
        text = self.folder / "notes.txt"
        text.write_text("Once upon a time there was a text. " * 200)
        source = self.folder / "source.gguf"
        self.quantize(source, "--type", "F16")
        before = sha256(source), sha256(text)
        fit = [source, "--fit", "1MB", "--text", text]
        new = self.folder / "new.gguf"
        for verb, arguments in [
                ("calibrate", [source, "--text", text, "-o", source]),
                ("calibrate", [source, "--text", text, "-o", text]),
                ("plan", [*fit, "-o", source]),
                ("plan", [*fit, "-o", text]),
                ("compress", [*fit, "-o", text]),
                ("compress", [*fit, "-o", new, "--report", source]),
                ("compress", [*fit, "-o", new, "--report", new]),
                ("quantize", [source, "--type", "Q8_0", "--imatrix", text, "-o", text])]:
            self.fails(verb, *arguments, says=["choose another output"], code=2)
        self.assertEqual((sha256(source), sha256(text)), before)
        self.assertFalse(new.exists())

    def test_a_part_of_the_model_is_refused(self):
        weights = self.model / "model.safetensors"
        before = sha256(weights)
        self.fails("quantize", self.model, "-o", weights, "--type", "Q4_0",
                   says=["is the model itself"], code=2)
        self.fails("convert", self.model, "-o", self.model, says=["is the model itself"], code=2)
        self.assertEqual(sha256(weights), before)
        parts = self.folder / "split.gguf"
        first = self.quantize(parts, "--type", "F16", "--split-max-size", "1MB")["files"][1]
        before = sha256(pathlib.Path(first))
        self.fails("quantize", first, "-o", first, "--type", "Q4_0", says=["is the model itself"],
                   code=2)
        self.assertEqual(sha256(pathlib.Path(first)), before)


class BrokenInput(Program):
    def copy(self, name: str, source: pathlib.Path | None = None) -> pathlib.Path:
        return pathlib.Path(shutil.copytree(source or self.model, self.folder / name))

    def refuses(self, model: pathlib.Path, says: list[str]):
        out = self.folder / "never.gguf"
        message = self.fails("quantize", model, "-o", out, "--type", "Q4_K_M", says=says,
                             absent=out)
        self.assertEqual(message.count("\n"), 1, "one line says it all")
        directory = self.folder / "never"
        self.fails("convert", model, "-o", directory, says=says, absent=directory)

    def poke(self, model: pathlib.Path, tensor: str, element: int, value: bytes):
        path = model / "model.safetensors"
        data = bytearray(path.read_bytes())
        header_bytes = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8:8 + header_bytes])
        at = 8 + header_bytes + header[tensor]["data_offsets"][0] + element * len(value)
        data[at:at + len(value)] = value
        path.write_bytes(data)

    def test_numbers_that_are_not_finite(self):
        name = "model.layers.1.mlp.up_proj.weight"
        for label, value in (("nan", b"\xc0\x7f"), ("inf", b"\x80\x7f")):
            model = self.copy(label)
            self.poke(model, name, 3 * 256 + 17, value)
            out = self.folder / f"{label}.gguf"
            self.fails("quantize", model, "-o", out, "--type", "Q4_K_M", absent=out, code=1,
                       says=[str(model), "blk.1.ffn_up.weight", "row 3, column 17", label])
            directory = self.folder / f"{label}-hf"
            self.fails("convert", model, "-o", directory, "--type", "F16", absent=directory,
                       says=["up_proj", "finite"])

    def test_numbers_too_large_for_the_type(self):
        model = self.copy("large")
        self.poke(model, "model.layers.0.mlp.down_proj.weight", 5, struct.pack("<H", 0x4f80))
        for out in (self.folder / "large.gguf", self.folder / "large-hf"):
            self.fails("convert", model, "-o", out, "--type", "F16", says=["down"], code=3)
        self.assertFalse((self.folder / "large-hf").exists())
        self.json("convert", model, "-o", self.folder / "large-bf16.gguf", "--type", "BF16")

    def test_missing_and_unreadable_shards(self):
        sharded = self.make_model("sharded", "llama", shard_bytes=1 << 20)
        shard = "model-00002-of-00004.safetensors"
        self.assertTrue((sharded / shard).exists(), sorted(sharded.iterdir()))
        for label, damage in (("missing", lambda p: p.unlink()),
                              ("cut", lambda p: os.truncate(p, p.stat().st_size - 1000)),
                              ("empty", lambda p: os.truncate(p, 0)),
                              ("folder", lambda p: (p.unlink(), p.mkdir()))):
            with self.subTest(label):
                model = self.copy(f"shard-{label}", sharded)
                damage(model / shard)
                self.refuses(model, says=[shard])

    def test_missing_tensor_and_wrong_shape(self):
        model = self.copy("config")
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
        self.refuses(model, says=[str(model), "blk.2."])
        (model / "config.json").write_text(json.dumps(config | {"intermediate_size": 640}))
        self.refuses(model, says=[str(model), "ffn", "512", "640"])
        (model / "config.json").write_text(json.dumps(config | {"architectures": ["NewForCausalLM"]}))
        self.refuses(model, says=[str(model), "NewForCausalLM", "LlamaForCausalLM"])
        (model / "config.json").write_text("{")
        self.refuses(model, says=["config.json"])
        (model / "config.json").unlink()
        self.refuses(model, says=["config.json"])

    def test_truncated_gguf(self):
        whole = self.folder / "whole.gguf"
        self.quantize(whole, "--type", "Q8_0")
        size = whole.stat().st_size
        for keep in (0, 3, 4, 20, 2000, size // 2, size - 1):
            with self.subTest(keep=keep):
                cut = self.folder / "cut.gguf"
                cut.write_bytes(whole.read_bytes()[:keep])
                self.refuses(cut, says=["cut.gguf"])
                self.pare("inspect", cut, code=1)

    def test_what_is_not_a_model(self):
        noise = self.folder / "noise.gguf"
        noise.write_bytes(bytes(range(256)) * 64)
        self.refuses(noise, says=["noise.gguf"])
        self.refuses(self.folder / "absent.gguf", says=["absent.gguf"])
        pickled = self.copy("pickled")
        (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
        self.refuses(pickled, says=["safetensors"])
        empty = self.folder / "empty"
        empty.mkdir()
        self.refuses(empty, says=["empty"])

    def test_without_a_tokenizer(self):
        model = self.copy("mute")
        for path in model.glob("tokenizer*"):
            path.unlink()
        out = self.folder / "mute.gguf"
        done = self.pare("quantize", model, "-o", out, "--type", "Q8_0")
        self.assertIn("no tokenizer", done.stderr)
        self.fails("run", out, "-p", "a", says=[str(out), "no tokenizer"])


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(Interrupted, FullDisk, OutputIsInput, BrokenInput))
