#!/usr/bin/env python3
"""Compares pare's tokenizers with the `tokenizers` package on random mixed Unicode text.

    judge_tokenizers.py TOKENIZE TOKENIZER_DIR [--gguf FILE] [--chars N] [--seed N]

TOKENIZE is the program built from tests/judges/tokenize.cpp. TOKENIZER_DIR holds tokenizer.json,
which the package reads; pare reads the same directory or, with --gguf, that file's metadata.
Prints the number of texts and of mismatches; the exit status is 1 if there is one.
"""

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenize")
    parser.add_argument("directory")
    parser.add_argument("--gguf", help="what pare reads instead of the directory")
    parser.add_argument("--chars", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="mismatches to print")
    args = parser.parse_args()

    rng = random.Random(args.seed)
    texts = []
    total = 0
    while total < args.chars:
        texts.append(random_text(rng))
        total += len(texts[-1])

    theirs = Tokenizer.from_file(os.path.join(args.directory, "tokenizer.json"))
    expected = [e.ids for e in theirs.encode_batch(texts, add_special_tokens=False)]

    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        for text in texts:
            data = text.encode("utf-8")
            file.write(struct.pack("<I", len(data)) + data)
        file.flush()
        done = subprocess.run(
            [args.tokenize, args.gguf or args.directory, file.name],
            stdout=subprocess.PIPE, check=True)
    ours = [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]
    if len(ours) != len(texts):
        print(f"{len(ours)} lines for {len(texts)} texts")
        return 1

    wrong = [i for i in range(len(texts)) if ours[i] != expected[i]]
    for i in wrong[: args.show]:
        print(f"text   {texts[i]!r}\n  expected {expected[i]}\n  got      {ours[i]}")
    print(f"{args.gguf or args.directory}: {len(texts)} texts, {total} characters, "
          f"{sum(map(len, expected))} tokens, {len(wrong)} mismatches")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
