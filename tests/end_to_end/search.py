#!/usr/bin/env python3
"""The main job: statistics, plans that fit a size, files that keep the promise and say what it
costs. On a small random Llama, with a text of its own vocabulary."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from harness import PARE, Program, sha256


class MainJob(Program):
    SIZE = {"hidden": 256, "layers": 3, "ffn": 512, "heads": 4, "kv_heads": 2}
    WINDOWS = ["--chunks", "6", "--ctx", "64"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        words = random.Random(7)
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join("".join(words.choices("abcdefghij", k=words.randint(2, 7)))
                                     for _ in range(900)))
        cls.floats = cls.bytes_of("F16")
        cls.fit = (2 * cls.bytes_of("Q4_0") + cls.bytes_of("Q8_0")) // 3
        cls.job = ["compress", cls.model, "--fit", cls.fit, "--text", cls.text, *cls.WINDOWS,
                   "--eval-chunks", "2", "--prompt", "abc"]
        cls.made = cls.folder / "made.gguf"
        cls.html = cls.folder / "made.html"
        cls.said = json.loads(subprocess.run(
            [PARE, *map(str, cls.job), "-o", cls.made, "--report", cls.html, "--threads", "2",
             "--json"], check=True, capture_output=True, text=True).stdout)

    @classmethod
    def bytes_of(cls, kind: str) -> int:
        out = subprocess.run([PARE, "quantize", cls.model, "--type", kind, "--dry-run", "--json"],
                             check=True, capture_output=True, text=True).stdout
        return json.loads(out)["file_bytes"]

    def left_over(self, name: str) -> list[str]:
        return sorted(f.name for f in self.folder.iterdir() if f.name.startswith(name))

    def test_the_file_is_what_was_promised(self):
        size = self.made.stat().st_size
        self.assertTrue(0.99 * self.fit <= size <= self.fit, (size, self.fit))
        original, preset, ours = self.said["rows"]
        self.assertEqual(ours["bytes"], size)
        self.assertLessEqual(preset["bytes"], self.fit)
        for row in (preset, ours):
            self.assertTrue(0 < row["eval"]["mean_kl"]["value"] < 1, row)
        self.assertLess(ours["eval"]["mean_kl"]["value"], preset["eval"]["mean_kl"]["value"])
        self.assertTrue(all(row["sample"] for row in self.said["rows"]))
        planned = {t["name"]: t["to"] for t in self.said["tensors"]}
        self.assertEqual({t["name"]: t["type"] for t in self.json("inspect", self.made)["tensors"]},
                         planned)
        self.assertEqual(self.left_over("made.gguf"), ["made.gguf"])

    def test_the_rival_is_the_preset_of_that_size(self):
        size = self.bytes_of("Q4_K_M")
        said = self.json("compress", self.model, "--fit", size, "--text", self.text, *self.WINDOWS,
                         "--refine", 0, "--eval-chunks", 1, "--prompt", "", "-o",
                         self.folder / "rival.gguf")
        self.assertEqual((said["rows"][1]["bytes"], said["rows"][1]["label"]),
                         (size, "preset Q4_K_M"))

    def test_eval_says_what_compress_said(self):
        # On other windows, so near it and not the same.
        seen = self.json("eval", self.made, "--baseline", self.model, "--text", self.text, "--ctx",
                         64, "--chunks", 8)
        said = self.said["rows"][-1]["eval"]["mean_kl"]["value"]
        self.assertTrue(said / 2 < seen["mean_kl"]["value"] < said * 2, (said, seen["mean_kl"]))

    def test_the_report_stands_alone(self):
        page = self.html.read_text()
        self.assertIn("<html", page)
        self.assertIn("blk.0.attn_q.weight", page)
        for outside in ("http://", "https://", "<script src", "<link"):
            self.assertNotIn(outside, page.replace("http://www.w3.org/", ""))

    def test_same_bytes_for_any_number_of_threads(self):
        for threads in (1, 4):
            out = self.folder / f"threads{threads}.gguf"
            self.pare(*self.job, "-o", out, "--threads", threads)
            self.assertEqual(sha256(out), sha256(self.made), threads)

    def test_killed_anywhere_then_finished(self):
        out = self.folder / "killed.gguf"
        command = [PARE, *map(str, self.job), "-o", out, "--threads", "1"]
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.monotonic() - start
        out.unlink()
        for share in (0.2, 0.5, 0.7, 0.85):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(share * whole)
            process.kill()
            process.wait()
        self.pare(*self.job, "-o", out, "--threads", "2")
        self.assertEqual(sha256(out), sha256(self.made))

    def test_ctrl_c_leaves_nothing(self):
        for name, verb in (("stopped-stats.gguf", ["calibrate", self.model, "--text", self.text]),
                           ("stopped-plan.json", ["plan", self.model, "--fit", self.fit])):
            out = self.folder / name
            process = subprocess.Popen([PARE, *map(str, verb), "-o", out, "--chunks", "400",
                                        "--ctx", "64"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            message = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 130, message)
            self.assertEqual(self.left_over(name), [])

    def test_each_stage_alone_gives_the_same_file(self):
        stats, plan = self.folder / "stats.gguf", self.folder / "plan.json"
        told = self.json("calibrate", self.model, "-o", stats, "--text", self.text, *self.WINDOWS)
        self.assertEqual((told["chunks"], told["tokens"]), (6, 6 * 64))
        planned = self.json("plan", self.model, "--fit", self.fit, "--stats", stats, "--text",
                            self.text, *self.WINDOWS, "-o", plan)
        self.assertTrue(0.99 * self.fit <= planned["file_bytes"] <= self.fit)
        self.assertEqual(json.loads(plan.read_text())["file_bytes"], planned["file_bytes"])
        out = self.folder / "staged.gguf"
        self.pare("compress", self.model, "--plan", plan, "--stats", stats, "--text", self.text,
                  *self.WINDOWS, "--eval-chunks", 0, "-o", out)
        self.assertEqual(out.stat().st_size, planned["file_bytes"])
        direct = self.folder / "direct.gguf"
        self.pare("compress", self.model, "--fit", self.fit, "--stats", stats, "--text", self.text,
                  *self.WINDOWS, "--eval-chunks", 0, "-o", direct)
        types = [{t["name"]: t["type"] for t in self.json("inspect", f)["tensors"]}
                 for f in (out, direct)]
        self.assertEqual(*types)

    def test_sizes_in_every_unit(self):
        stats = self.folder / "unit-stats.gguf"
        self.pare("calibrate", self.model, "-o", stats, "--text", self.text, *self.WINDOWS)
        for fit, most in ((f"{self.fit / 1e6}MB", self.fit), (f"{self.fit / 2**20}MiB", self.fit),
                          ("5.5bpw", 5.5 / 16 * self.floats)):
            planned = self.json("plan", self.model, "--fit", fit, "--stats", stats, "--text",
                                self.text, *self.WINDOWS, "--refine", 0)
            self.assertTrue(0.98 * most <= planned["file_bytes"] <= 1.001 * most, (fit, planned))

    def test_the_user_decides(self):
        said = self.json(*self.job, "-o", self.folder / "forced.gguf", "--refine", 0, "--no-compare",
                         "--tensor-type", r"ffn_down=Q6_K", "--types", "Q4_K,Q5_K,Q6_K")
        types = {t["name"]: t["to"] for t in said["tensors"]}
        for name, kind in types.items():
            if "ffn_down" in name:
                self.assertEqual(kind, "Q6_K", name)
        self.assertLessEqual(set(types.values()), {"Q4_K", "Q5_K", "Q6_K", "F32"})

    def test_impossible_sizes_are_told_at_once(self):
        out = self.folder / "never.gguf"
        for fit, says in (("10", "header alone"), (str(self.fit // 3), "cannot be reached"),
                          ("many", "is not a size")):
            for verb in ("compress", "plan"):
                message = self.fails(verb, self.model, "--fit", fit, "-o", out, says=[says], code=2,
                                     absent=out)
                self.assertEqual(message.count("\n"), 1, message)  # no word of calibration
        self.fails("compress", self.model, "-o", out, says=["--fit"], code=2, absent=out)

    def test_a_broken_promise_is_a_failure(self):
        self.fails(*self.job, "-o", self.folder / "promised.gguf", "--refine", 0, "--no-compare",
                   "--max-kl", "1e-9", says=["mean KL", "was asked for"], code=3)

    def test_text_that_does_not_do(self):
        short = self.folder / "short.txt"
        short.write_text("abc")
        out = self.folder / "never-stats.gguf"
        self.fails("calibrate", self.model, "-o", out, "--text", short, says=["short.txt"],
                   absent=out)
        self.fails("calibrate", self.model, "-o", out, "--text", self.folder / "none.txt",
                   says=["none.txt"], absent=out)
        chat = self.folder / "chat.jsonl"
        chat.write_text('{"messages": [{"role": "user", "content": "abc"}]}\n')
        self.fails("calibrate", self.model, "-o", out, "--chat", chat, says=["template"],
                   absent=out)


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(MainJob))
