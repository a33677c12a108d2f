#!/usr/bin/env python3
"""`run`, `bench` and `eval` as a user meets them: drafts, pipes, terminals and odd names."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

from harness import PARE, Program

PROMPT = "Once upon a time there was"


class RunAndBench(Program):
    PROMPT = ["-p", "hello there", "--temp", "0", "--max-tokens", "24"]

    def test_the_same_text_whatever_makes_it(self):
        whole = self.json("run", self.model, *self.PROMPT)
        self.assertEqual(whole["finish"], "max tokens")
        self.assertEqual((whole["new_tokens"], len(whole["tokens"])), (24, 24))
        self.assertEqual(self.pare("run", self.model, *self.PROMPT, "-q").stdout,
                         whole["text"] + "\n")
        small = self.folder / "draft.gguf"
        self.quantize(small, "--type", "Q4_0")
        for extra in (["--threads", 1], ["--draft", small], ["--draft", self.model],
                      ["--kv", "F32"], ["--ctx", 64]):
            self.assertEqual(self.json("run", self.model, *self.PROMPT, *extra)["tokens"],
                             whole["tokens"], extra)
        drafted = self.json("run", self.model, *self.PROMPT, "--draft", self.model)
        self.assertGreater(drafted["accepted_tokens"], 0)
        self.assertEqual(drafted["accepted_tokens"], drafted["drafted_tokens"])

    def test_every_type_runs(self):
        for kind in ("Q4_K_M", "IQ4_XS", "Q8_0", "F16", "Q3_K_S", "Q5_1", "TQ2_0"):
            out = self.folder / "any.gguf"
            self.quantize(out, "--type", kind)
            said = self.json("run", out, *self.PROMPT)
            self.assertEqual(said["new_tokens"], 24, kind)

    def test_seeds_and_stops(self):
        def text(*args):
            return self.json("run", self.model, "-p", "hello", "-n", 30, *args)

        hot = ["--temp", "3", "--top-k", "0", "--top-p", "1", "--min-p", "0"]
        first = text(*hot, "--seed", 5)
        self.assertEqual(first["tokens"], text(*hot, "--seed", 5)["tokens"])
        self.assertNotEqual(first["tokens"], text(*hot, "--seed", 6)["tokens"])
        # What is no UTF-8 stands as U+FFFD in the text: a stop string of plain letters.
        stop = re.search(r"[ -~]{2}", first["text"][4:]).group()
        stopped = text(*hot, "--seed", 5, "--stop", stop, "--stop", "never said by anybody")
        self.assertEqual(stopped["finish"], "stop string")
        self.assertEqual(stopped["text"], first["text"][:first["text"].index(stop)])

    def test_a_line_of_input_is_a_message(self):
        # A model without a template cannot chat, and says what can be done instead.
        self.fails("run", self.model, says=["chat template", "-p"], code=2)
        self.fails("run", self.model, "-p", "x", "--chat", says=["--chat", "template"], code=2)

    def test_impossible_wishes_are_refused(self):
        for args, says in ((["--ctx", "100000"], "context of 100000"),
                           (["--kv", "Q4_K"], "F32, F16, Q8_0, Q4_0"),
                           (["--temp", "-1"], "temperature"),
                           (["--top-p", "0"], "top-p"),
                           (["--draft", self.folder / "nothing.gguf"], "nothing.gguf"),
                           (["--ctx", "2"], "fills the context")):
            self.fails("run", self.model, "-p", "hello there", "-n", 4, *args, says=[says])
        self.pare("run", self.model, *self.PROMPT, "--ctx", "100000", code=2)
        self.pare("bench", self.model, "--prefill", 0, "--decode", 0, code=2)

    def test_bench(self):
        small = self.folder / "bench.gguf"
        self.quantize(small, "--type", "Q8_0")
        args = ["--prefill", 32, "--decode", 8, "--depth", 16, "--repeat", 2]
        said = self.json("bench", small, *args, "--vs", self.model)
        for each in (said, said["versus"]):
            for key in ("prefill_tokens_per_second", "decode_tokens_per_second", "load_seconds",
                        "first_token_seconds", "decode_bytes_per_second", "peak_memory_bytes"):
                self.assertGreater(each[key], 0, key)
            self.assertEqual(len(each["decode_seconds"]), 2)
        self.assertGreater(said["machine_bytes_per_second"], 1e9)
        self.assertIn("median of 2 runs", self.pare("bench", small, *args).stdout)

    def test_devices(self):
        said = self.json("inspect", "--devices")
        self.assertIn("avx2" if said["level"].startswith("a") else "ref", said["levels"])
        self.pare("inspect", "--cpu")  # its name before there were GPUs
        self.assertEqual(self.json("bench", self.model, "--prefill", 0, "--decode", 2, "--repeat", 1,
                                   "--device", "cpu")["device"], "cpu")
        self.fails("bench", self.model, "--device", "abacus", says=["--device", "abacus"], code=2)
        if said["gpus"]:
            return
        self.assertTrue(said["no_gpu"])
        self.fails("run", self.model, *self.PROMPT, "--device", "cuda", says=["--device cuda"])


class WhatUsersMeet(Program):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.small = cls.folder / "small.gguf"
        subprocess.run([PARE, "quantize", cls.model, "-o", cls.small, "--type", "Q4_K_M"], check=True,
                       capture_output=True)

    def tokens(self, *args) -> list[int]:
        return self.json("run", *args, "-p", PROMPT, "-n", 400)["tokens"]

    def test_drafts_change_no_token(self):
        # Many tokens of nearly the same probability: the least difference makes another text.
        hot = ["--temp", 1.5, "--top-k", 0, "--top-p", 1, "--min-p", 0]
        for model in (self.small, self.model):
            for choice in (["--temp", 0], [*hot, "--seed", 7], [*hot, "--seed", 8, "--kv", "Q8_0"]):
                alone = self.tokens(model, *choice)
                self.assertGreater(len(alone), 20)
                for draft in (model, self.small):
                    self.assertEqual(self.tokens(model, *choice, "--draft", draft), alone)

    def test_speeds_that_were_not_measured_are_not_there(self):
        found = self.json("run", self.small, "-p", PROMPT, "-n", 1)
        self.assertIsNone(found["tokens_per_second"])
        self.assertGreater(found["prompt_tokens_per_second"], 0)

    def test_names_that_are_empty(self):
        self.fails("bench", "", says=["MODEL is empty"], code=2)
        self.fails("bench", self.small, "--vs", "", says=["--vs is empty"], code=2)
        self.fails("run", self.small, "--draft", "", "-p", "x", says=["--draft is empty"], code=2)
        self.fails("run", self.small, "-p", "", says=["an empty prompt"], code=2)

    def test_what_cannot_be_written_is_said(self):
        for args in (["run", self.small, "-p", PROMPT, "-n", 3], ["--help"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([PARE, *map(str, args)], stdout=full, stderr=subprocess.PIPE,
                                      text=True, timeout=60)
            self.assertEqual(done.returncode, 1, args)
            if args[0] == "run":
                self.assertIn("stdout: cannot write", done.stderr)

    def test_a_pipe_is_not_waited_for(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        self.fails("inspect", pipe, says=["not a regular file"], code=2)

    def test_a_system_message_is_for_a_chat(self):
        self.fails("run", self.small, "-p", "x", "--system", "y", says=["--system", "--chat"], code=2)

    def test_text_that_is_not_utf8(self):
        text = self.folder / "latin.txt"
        text.write_bytes(b"caf\xe9 " * 2000)
        done = self.pare("eval", self.small, "--text", text, "--ctx", 64, "--chunks", 1)
        self.assertIn("not UTF-8 from byte 3 on", done.stderr)

    def test_a_baseline_with_other_tokens(self):
        other = self.folder / "other"
        self.make_model("other", "llama")
        path = other / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        ids = tokenizer["model"]["vocab"]
        letters = [t for t in ids if len(t) == 1 and t.isalpha()]
        for a, b in zip(letters[::2], letters[1::2]):
            ids[a], ids[b] = ids[b], ids[a]
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
        text = self.folder / "letters.txt"
        text.write_text("the quick brown fox jumps over the lazy dog " * 200, encoding="utf-8")
        self.fails("eval", self.small, "--text", text, "--ctx", 64, "--baseline", other,
                   says=["token", "as in the model"], code=2)

    def test_a_message_too_long_does_not_end_a_chat(self):
        config = self.model / "tokenizer_config.json"
        facts = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
        facts["chat_template"] = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
        chat = self.folder / "chat"
        self.make_model("chat", "llama")
        (chat / "tokenizer_config.json").write_text(json.dumps(facts), encoding="utf-8")
        master, terminal = pty.openpty()
        process = subprocess.Popen([PARE, "run", str(chat), "--ctx", "64", "-n", "2"], stdin=terminal,
                                   stdout=terminal, stderr=terminal)
        os.close(terminal)
        shown = b""

        def until(text: bytes) -> bytes:
            nonlocal shown
            before, end = len(shown), time.monotonic() + 60
            while text not in shown[before:] and time.monotonic() < end:
                if select.select([master], [], [], 1)[0]:
                    shown += os.read(master, 4096)
            self.assertIn(text, shown[before:])
            return shown[before:]

        try:
            until(b"> ")
            os.write(master, b"word " * 100 + b"\n")
            until(b"of 64 at most")
            os.write(master, b"hi\n")
            until(b"max tokens]")
            os.write(master, b"\x04")  # end of input
            self.assertEqual(process.wait(timeout=60), 0)
        finally:
            process.kill()
            os.close(master)


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(RunAndBench, WhatUsersMeet))
