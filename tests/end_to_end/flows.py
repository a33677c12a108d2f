#!/usr/bin/env python3
"""What a user does, from one end to the other, on tiny models of every architecture."""

import json
import shutil
import subprocess
import sys
import unittest

from harness import Program, make_random_model, sha256

VERBS = ["inspect", "quantize", "calibrate", "plan", "compress", "eval", "diff", "convert", "run",
         "bench"]


class QuantizeAndBack(Program):
    def test_quantize_inspect_diff_convert(self):
        out = self.folder / "q4.gguf"
        written = self.quantize(out, "--type", "Q4_K_M")
        self.assertEqual(written["bytes"], out.stat().st_size)
        seen = self.json("inspect", out)
        self.assertEqual((seen["form"], seen["architecture"], seen["known"]),
                         ("gguf", "llama", True))
        self.assertEqual(seen["hyper_parameters"]["blocks"], 2)
        self.assertEqual(seen["tokenizer"]["vocabulary"], 1024)
        types = {t["name"]: t["type"] for t in seen["tensors"]}
        self.assertEqual(types["blk.0.attn_q.weight"], "Q4_K")
        self.assertEqual(types["blk.0.attn_norm.weight"], "F32")
        self.assertEqual(types["output.weight"], "Q6_K")
        weights = sum(t["weights"] for t in seen["types"])
        self.assertAlmostEqual(seen["file_bits_per_weight"], 8 * out.stat().st_size / weights)
        self.assertEqual(sum(t["bytes"] for t in seen["tensors"]), seen["tensor_bytes"])

        diff = self.json("diff", self.model, out)
        errors = {t["name"]: t for t in diff["tensors"]}
        self.assertEqual(set(errors), set(types))
        q = errors["blk.0.attn_q.weight"]
        self.assertTrue(0.02 < q["relative_rms_error"] < 0.1, q)
        # Errors are all but orthogonal to what they are errors of: cos = sqrt(1 - error^2).
        self.assertAlmostEqual(q["cosine"], (1 - q["relative_rms_error"] ** 2) ** 0.5, places=3)
        self.assertEqual(errors["blk.0.attn_norm.weight"]["relative_rms_error"], 0)
        self.assertIn("general.file_type", {k["key"] for k in diff["metadata"]})

        floats = self.folder / "back.gguf"
        self.json("convert", out, "-o", floats, "--type", "F32")
        for t in self.json("diff", out, floats)["tensors"]:
            self.assertEqual(t["max_abs_error"], 0, t)
        again = self.json("inspect", floats)
        self.assertEqual({t["type"] for t in again["types"]}, {"F32"})
        self.assertEqual(again["tokenizer"], seen["tokenizer"])

    def test_dry_run_knows_the_exact_size(self):
        out = self.folder / "exact.gguf"
        for kind in ("Q4_K_M", "IQ4_XS", "Q8_0", "F16"):
            planned = self.json("quantize", self.model, "--type", kind, "--dry-run")
            self.assertFalse(out.exists())
            self.quantize(out, "--type", kind)
            self.assertEqual(planned["file_bytes"], out.stat().st_size, kind)
            out.unlink()

    def test_same_bytes_for_any_number_of_threads(self):
        for kind in ("Q4_K_M", "Q3_K_S", "IQ4_XS"):
            hashes = set()
            for threads in (1, 2, 4):
                out = self.folder / f"threads-{threads}.gguf"
                self.quantize(out, "--type", kind, "--threads", threads)
                hashes.add(sha256(out))
            self.assertEqual(len(hashes), 1, kind)

    def test_the_user_decides(self):
        recipe = self.folder / "recipe.txt"
        recipe.write_text("# downs get more\nffn_down=Q8_0\n\nattn_.*=Q5_K  # the rest\n")
        out = self.folder / "recipe.gguf"
        self.quantize(out, "--type", "Q4_K_M", "--recipe", recipe, "--tensor-type",
                      r"^blk\.1\.ffn_down=Q6_K")
        types = {t["name"]: t["type"] for t in self.json("inspect", out)["tensors"]}
        self.assertEqual(types["blk.0.ffn_down.weight"], "Q8_0")
        self.assertEqual(types["blk.1.ffn_down.weight"], "Q6_K")
        self.assertEqual(types["blk.1.attn_v.weight"], "Q5_K")
        self.assertEqual(types["blk.1.ffn_up.weight"], "Q4_K")
        for wrong, says in ((r"nothing_here=Q8_0", "matches no matrix"),
                            (r"norm=Q8_0", "matches no matrix"),
                            ("ffn_down=Q9", "no type"), ("ffn_(=Q8_0", "regular expression")):
            self.fails("quantize", self.model, "-o", self.folder / "no.gguf", "--type", "Q4_K_M",
                       "--tensor-type", wrong, says=[says], code=2,
                       absent=self.folder / "no.gguf")

    def test_split_files_read_as_one(self):
        whole, parts = self.folder / "whole.gguf", self.folder / "parts.gguf"
        self.quantize(whole, "--type", "Q8_0")
        files = self.quantize(parts, "--type", "Q8_0", "--split-max-size", "500kB")["files"]
        self.assertGreater(len(files), 2)
        self.assertFalse(parts.exists())
        diff = self.json("diff", whole, files[0])
        self.assertEqual(diff["same_tensors"], len(diff["tensors"]))
        self.assertEqual(diff["metadata"], [])
        self.assertEqual(self.json("inspect", files[1])["files"], len(files))

    def test_unknown_architecture_is_shown_and_converted(self):
        known, strange = self.folder / "known.gguf", self.folder / "strange.gguf"
        self.quantize(known, "--type", "Q4_0")
        data = known.read_bytes()
        self.assertIn(b"llama", data)
        strange.write_bytes(data.replace(b"llama", b"alien"))
        seen = self.json("inspect", strange)
        self.assertEqual((seen["architecture"], seen["known"]), ("alien", False))
        self.assertIn("alien.block_count", seen["metadata"])
        self.assertEqual(seen["types"], self.json("inspect", known)["types"])
        self.assertIn("alien (shown as it stands", self.pare("inspect", strange).stdout)
        diff = self.json("diff", known, strange)
        self.assertEqual(diff["same_tensors"], len(diff["tensors"]))
        floats = self.folder / "strange-f32.gguf"
        self.json("convert", strange, "-o", floats, "--type", "F32")
        self.assertEqual({t["max_abs_error"]
                          for t in self.json("diff", strange, floats)["tensors"]}, {0})

    def test_diff_finds_what_is_only_on_one_side(self):
        other = self.make_model("deeper", "llama", layers=3)
        diff = self.json("diff", self.model, other)
        alone = [t for t in diff["tensors"] if t["a"] is None]
        self.assertEqual(len(alone), 9)
        self.assertTrue(all(t["name"].startswith("blk.2.") for t in alone))
        self.assertIn({"key": "llama.block_count", "a": "2", "b": "3"}, diff["metadata"])
        self.assertIn("only in B", self.pare("diff", self.model, other).stdout)


class ConvertEveryArchitecture(Program):
    def test_to_gguf_and_back(self):
        for arch in make_random_model.ARCHITECTURES:
            with self.subTest(arch=arch):
                model = self.make_model(f"hf-{arch}", arch)
                gguf, back = self.folder / f"{arch}.gguf", self.folder / f"{arch}-back"
                self.json("convert", model, "-o", gguf, "--type", "F32")
                made = self.json("convert", gguf, "-o", back, "--type", "BF16")
                self.assertTrue(all(f.startswith(str(back)) for f in made["files"]))
                # Canonical forms, read from the original and from what came back.
                diff = self.json("diff", model, back)
                for t in diff["tensors"]:
                    self.assertLess(t["max_abs_error"], 1e-6, t)
                keys = [k["key"] for k in diff["metadata"] if k["key"].startswith("tokenizer.")]
                self.assertEqual(keys, [])
                original = json.loads((model / "config.json").read_text())
                written = json.loads((back / "config.json").read_text())
                for key in ("hidden_size", "num_hidden_layers", "num_key_value_heads", "n_embd",
                            "rope_theta", "rms_norm_eps", "sliding_window", "architectures",
                            "head_dim", "vocab_size"):
                    if original.get(key) is not None and arch != "mistral":
                        self.assertEqual(written.get(key), original[key], key)

    def test_directory_to_directory_keeps_everything(self):
        model = self.make_model("hf-f32", "qwen3", dtype="f32", shard_bytes=1 << 20)
        out = self.folder / "hf-copy"
        made = self.json("convert", model, "-o", out, "--max-shard-size", "2MB")
        self.assertEqual(made["type"], "F32")
        self.assertTrue((out / "model.safetensors.index.json").exists())
        diff = self.json("diff", model, out)
        self.assertEqual(diff["same_tensors"], len(diff["tensors"]))
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            self.assertEqual((out / name).read_bytes(), (model / name).read_bytes())

    def test_refuses_what_it_should(self):
        full = self.folder / "full"
        full.mkdir()
        (full / "precious.txt").write_text("mine")
        self.fails("convert", self.model, "-o", full, says=[str(full), "not an empty directory"],
                   code=2)
        self.assertEqual([f.name for f in full.iterdir()], ["precious.txt"])
        self.fails("convert", self.model, "-o", self.folder / "x.gguf", "--type", "Q4_0",
                   says=["Q4_0", "pare quantize"], code=2, absent=self.folder / "x.gguf")


class TheCommandLine(Program):
    def test_every_verb_has_help_with_an_example(self):
        self.assertIn("Usage", self.pare("--help").stdout)
        for verb in [*VERBS, "completion"]:
            text = self.pare(verb, "--help").stdout
            self.assertIn(f"Example:\n  pare {verb} ", text)
            if verb != "completion":
                self.assertIn("--json", text)

    def test_wrong_use_ends_with_2(self):
        for args in ([], ["frobnicate"], ["inspect"], ["inspect", "--frobnicate", "x"],
                     ["quantize", self.model, "--type", "Q4_K_M"],
                     ["quantize", self.model, "-o", "x.gguf", "--type", "Q99"],
                     ["completion", "tcsh"]):
            self.pare(*args, code=2)

    def test_version(self):
        self.assertRegex(self.pare("--version").stdout, r"^pare \d+\.\d+\.\d+\n$")

    def test_bash_completion_completes(self):
        script = self.pare("completion", "bash").stdout
        ask = ('COMP_WORDS=(pare {}); COMP_CWORD={}; _pare; printf "%s\\n" "${{COMPREPLY[@]}}"')
        def complete(*words):
            line = ask.format(" ".join(f"'{w}'" for w in words), len(words))
            return subprocess.run(["bash", "-c", script + line], capture_output=True, text=True,
                                  check=True, cwd=self.model).stdout.split()
        self.assertEqual(complete("qu"), ["quantize"])
        self.assertEqual(sorted(complete("co")), ["completion", "compress", "convert"])
        self.assertIn("--tensor-type", complete("quantize", "--te"))
        self.assertEqual(complete("inspect", "conf"), ["config.json"])

    def test_zsh_and_fish_scripts_name_all_verbs(self):
        for shell in ("zsh", "fish"):
            script = self.pare("completion", shell).stdout
            for verb in VERBS:
                self.assertIn(verb, script)
            if shutil.which(shell):
                file = self.folder / f"completion.{shell}"
                file.write_text(script)
                subprocess.run([shell, "-n", file], check=True)

    def test_control_characters_of_a_file_do_not_reach_the_terminal(self):
        # In the name of a tensor they make the file unreadable; elsewhere they are shown as "?".
        model = self.make_model("bell-name", "llama")
        out = self.folder / "named.gguf"
        self.quantize(out, "--type", "Q8_0", model=model)
        data = out.read_bytes()
        self.assertIn(b"bell-name", data)
        out.write_bytes(data.replace(b"bell-name", b"\x1b[2J-name"))
        shown = self.pare("inspect", out, "--metadata").stdout
        self.assertIn("-name", shown)
        self.assertNotIn("\x1b", shown)
        out.write_bytes(data.replace(b"blk.1.ffn_up.weight", b"blk.1.\x1b[2Jup.weight"))
        self.assertNotIn("\x1b", self.fails("inspect", out, says=["control characters"]))


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(QuantizeAndBack, ConvertEveryArchitecture, TheCommandLine))
