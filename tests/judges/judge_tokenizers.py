#!/usr/bin/env python3
"""pare's tokenizers against the `tokenizers` package on random mixed Unicode text: a directory as
it is, the GGUF file that `pare convert` makes of it, and the directory made of that again, whose
tokenizer.json the package itself reads."""

import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from harness import ROOT, Program

try:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    Tokenizer = None

TOKENIZE = os.environ.get("TOKENIZE", str(ROOT / "build/release/tests/tokenize"))
SHARED = ROOT.parent / "shared" / "data" / "tokenizers"

# Code point ranges of scripts, symbols and oddities, with weights.
RANGES = [
    (30, 0x61, 0x7A), (10, 0x41, 0x5A), (10, 0x30, 0x39), (10, 0x20, 0x2F), (4, 0x3A, 0x40),
    (4, 0x5B, 0x60), (4, 0x7B, 0x7E), (1, 0x00, 0x1F), (1, 0x7F, 0xA0), (8, 0xA1, 0xFF),
    (5, 0x100, 0x24F), (2, 0x250, 0x2FF), (4, 0x300, 0x36F), (5, 0x370, 0x3FF),
    (6, 0x400, 0x4FF), (3, 0x531, 0x58A), (4, 0x591, 0x5F4), (5, 0x600, 0x6FF),
    (4, 0x900, 0x97F), (3, 0x980, 0x9FE), (2, 0xB80, 0xBFA), (4, 0xE01, 0xE5B),
    (3, 0x1000, 0x109F), (3, 0x10A0, 0x10FF), (4, 0x1100, 0x11FF), (2, 0x1780, 0x17F9),
    (2, 0x1E00, 0x1EFF), (2, 0x1F00, 0x1FFE), (3, 0x2000, 0x206F), (2, 0x2070, 0x209C),
    (2, 0x20A0, 0x20C0), (2, 0x2100, 0x218B), (2, 0x2190, 0x22FF), (2, 0x2460, 0x24FF),
    (2, 0x2500, 0x27BF), (1, 0x2C00, 0x2DFF), (3, 0x3000, 0x303F), (4, 0x3041, 0x30FF),
    (2, 0x3105, 0x318E), (8, 0x4E00, 0x9FFF), (5, 0xAC00, 0xD7A3), (1, 0xE000, 0xE0FF),
    (2, 0xF900, 0xFAD9), (2, 0xFB00, 0xFDFF), (1, 0xFE00, 0xFE6B), (3, 0xFF01, 0xFFEE),
    (1, 0xFFF9, 0xFFFD), (1, 0x10000, 0x100FA), (1, 0x10400, 0x1049D), (1, 0x1D400, 0x1D7FF),
    (3, 0x1F300, 0x1F64F), (2, 0x1F680, 0x1F6C5), (2, 0x1F900, 0x1F9FF), (1, 0x20000, 0x2A6DD),
    (1, 0xE0100, 0xE01EF), (1, 0x10FF00, 0x10FFFD),
]
SNIPPETS = [
    "'s", "'S", "'ll", "'LL", "'re", "'Ve", "'d", "'m", "\u2019s", "don't", "I'VE", "it'\u017f",
    "\n", "\n\n", "\r\n", "\r", "\t", "  ", "   ", "        ", " \n ", "\n \n", "\u00a0", "\u3000",
    "\u2028", "\u0085", "\u200b", "\u200d", "\ufeff", "\u180e", "\ufe0f", "e\u0301", "n\u0303",
    "\u1100\u1161\u11a8", "\u0915\u094d\u0937", "\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea",
    "123", "3.14", "1,000,000", "12345678901234567890", "\u0661\u0662\u0663", "\u00bd", "\u2167",
    "the quick brown fox", "Hello, world!", "foo_bar(baz)[0] += 1;", "https://example.org/?q=1#x",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>", "<s>", "</s>",
    "<unk>", "<|im_start", "|>", "<think>", "</think>", "\u2581", "\u0120", "!!!!!!!!", "======",
    "--------", "\u4f60\u597d\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155",
    "\u041f\u0440\u0438\u0432\u0435\u0442", "\u0645\u0631\u062d\u0628\u0627", "camelCaseWord", "HTTPServer",
]


def random_text(rng: random.Random) -> str:
    """Runs of one script, snippets and repeated characters, up to a few hundred characters."""
    parts = []
    weights = [r[0] for r in RANGES]
    for _ in range(rng.randint(1, 24)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(SNIPPETS))
        elif kind < 0.45:
            parts.append(" " * rng.randint(1, 20))
        else:
            _, low, high = rng.choices(RANGES, weights)[0]
            length = rng.randint(1, 12)
            if rng.random() < 0.15:
                parts.append(chr(rng.randint(low, high)) * length)
            else:
                parts.append("".join(chr(rng.randint(low, high)) for _ in range(length)))
        if rng.random() < 0.4:
            parts.append(" ")
    return "".join(parts)


def random_texts(characters: int, seed: int) -> list[str]:
    rng, texts, total = random.Random(seed), [], 0
    while total < characters:
        texts.append(random_text(rng))
        total += len(texts[-1])
    return texts


# The splitting rules of four families, as their tokenizer.json files state them.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def pre_tokenizer(family: str):
    if family == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if family == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    pattern = {"llama3": LLAMA3, "qwen2": QWEN2}[family]
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


class Tokenizers(Program):
    @classmethod
    def setUpClass(cls):
        if Tokenizer is None:
            raise unittest.SkipTest("needs the tokenizers package (tests/requirements.txt)")
        super().setUpClass()

    def train(self, family: str, vocabulary: int) -> pathlib.Path:
        """A copy of the model with a tokenizer learnt from random text."""
        directory = self.folder / family
        shutil.copytree(self.model, directory)
        tokenizer = Tokenizer(models.BPE())
        if family == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizer(family)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.train_from_iterator(
            random_texts(200_000, 7),
            trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False,
                                special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        tokenizer.save(str(directory / "tokenizer.json"))
        (directory / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>",'
            ' "eos_token": "<|endoftext|>"}')
        return directory

    def ours(self, model: pathlib.Path, texts: list[str]) -> list[list[int]]:
        data = b"".join(struct.pack("<I", len(t)) + t for t in (x.encode() for x in texts))
        file = self.folder / "texts.bin"
        file.write_bytes(data)
        done = subprocess.run([TOKENIZE, model, file], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.split("\n")[:-1]
        self.assertEqual(len(lines), len(texts))
        return [[int(i) for i in line.split()] for line in lines]

    def compare(self, model: pathlib.Path, texts: list[str], expected: list[list[int]]):
        for text, ids, found in zip(texts, expected, self.ours(model, texts)):
            self.assertEqual(ids, found, f"{model.name}: {text!r}")

    def test_families_and_their_files(self):
        vocabulary = json.loads((self.model / "config.json").read_text())["vocab_size"]
        texts = random_texts(250_000, 1)
        for family in ("gpt-2", "smollm", "llama3", "qwen2"):
            with self.subTest(family):
                directory = self.train(family, vocabulary)
                theirs = Tokenizer.from_file(str(directory / "tokenizer.json"))
                expected = [e.ids for e in theirs.encode_batch(texts, add_special_tokens=False)]
                self.assertGreater(max(map(max, filter(None, expected))), 300)  # merges are used
                self.compare(directory, texts, expected)
                # GGUF cannot say that text is normalized first; llama.cpp does not either.
                texts_of_file, expected_of_file = texts, expected
                if theirs.normalizer is not None:
                    texts_of_file = [theirs.normalizer.normalize_str(t) for t in texts]
                    expected_of_file = [e.ids for e in theirs.encode_batch(
                        texts_of_file, add_special_tokens=False)]
                file, back = self.folder / f"{family}.gguf", self.folder / f"{family}-back"
                self.pare("convert", directory, "-o", file, "--type", "F16")
                self.compare(file, texts_of_file, expected_of_file)
                self.pare("convert", file, "-o", back)
                again = Tokenizer.from_file(str(back / "tokenizer.json"))
                found = [e.ids for e in again.encode_batch(texts_of_file, add_special_tokens=False)]
                for text, ids, other in zip(texts_of_file, expected_of_file, found):
                    self.assertEqual(ids, other, f"{family}, written by pare: {text!r}")

    def test_real_vocabularies(self):
        names = [n for n in ("llama3", "qwen3") if (SHARED / n / "tokenizer.json").exists()]
        if not names:
            self.skipTest("no ../shared/data/tokenizers beside the project")
        texts = random_texts(1_000_000, 2)
        for name in names:
            with self.subTest(name):
                theirs = Tokenizer.from_file(str(SHARED / name / "tokenizer.json"))
                expected = [e.ids for e in theirs.encode_batch(texts, add_special_tokens=False)]
                self.compare(SHARED / name, texts, expected)


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(Tokenizers))
