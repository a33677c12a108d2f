#!/usr/bin/env python3
"""A real llama.cpp (the xllamacpp package) loads a file of every preset, and its probabilities on
it agree with those on the same weights written out as floats: it reads from our bytes what we
meant. The floats are also compared with the original model's, so that a type that loads but has
lost its weights is seen."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from harness import PARE, Program

try:
    import numpy as np
    import xllamacpp
except ImportError:
    xllamacpp = None

PROMPT = [1, 5, 900, 200, 17, 333, 64, 700, 2, 41, 512, 86]
VOCABULARY = 1024
# The server gives no probabilities for a token that is half a UTF-8 character, so a letter is
# forced; the probabilities are those before that.
LETTER_A = 1 + ord("A")


# All that can be written; test_list_is_complete holds it to what the program offers.
PRESETS = ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M",
           "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4_MOE", "NVFP4", "Q3_K_L", "Q3_K_M",
           "Q3_K_S", "Q2_K", "Q2_K_S", "TQ2_0", "TQ1_0", "Q2_0", "Q1_0"]
READ_ONLY = ["IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M",
             "IQ1_S"]


def log_probabilities(model: pathlib.Path) -> "np.ndarray":
    """Of every token after PROMPT."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = 64
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.warmup = False
    params.verbosity = -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    answer = server.handle_completions({
        "prompt": PROMPT, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0.0,
        "cache_prompt": False, "logit_bias": [[LETTER_A, 100.0]]})
    values = np.full(VOCABULARY, np.nan)
    for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        values[entry["id"]] = entry["logprob"]
    return values


def divergence(p: "np.ndarray", q: "np.ndarray") -> float:
    """KL(p || q) of two distributions given as logarithms."""
    return float(np.sum(np.exp(p) * (p - q)))


class EveryPreset(Program):
    SIZE = {"vocab": VOCABULARY}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        original = cls.folder / "original.gguf"
        subprocess.run([PARE, "convert", cls.model, "-o", original, "--type", "F32", "-q"],
                       check=True, capture_output=True)
        cls.original = log_probabilities(original)

    def test_list_is_complete(self):
        message = self.pare("quantize", self.model, "--type", "none-such", "--dry-run",
                            code=2).stderr
        offered = message.split("there are ", 1)[1].strip().split(", ")
        self.assertEqual(sorted(offered), sorted(PRESETS + READ_ONLY))
        for preset in READ_ONLY:
            self.fails("quantize", self.model, "--type", preset, "--dry-run",
                       says=["can be read, not written"], code=1)

    def check(self, preset: str):
        out, floats = self.folder / f"{preset}.gguf", self.folder / f"{preset}-f32.gguf"
        self.quantize(out, "--type", preset)
        self.json("convert", out, "-o", floats, "--type", "F32")
        run, meant = log_probabilities(out), log_probabilities(floats)
        self.assertTrue(np.isfinite(run).all(), "llama.cpp gave fewer tokens than there are")
        # The weights are the same; llama.cpp rounds activations to 8 bits, which comes to 0.05 of
        # the spread here. One wrong scale in one block is beyond this.
        spread = meant.std()
        self.assertLess(np.abs(run - meant).max(), 0.12 * spread)
        self.assertLess(divergence(meant, run), 1e-4)
        # And they are still the model, as far as random weights let so few bits be.
        bits = self.json("inspect", out)["bits_per_weight"]
        least = 0.95 if bits > 4.3 else 0.85 if bits > 3.4 else 0.5 if bits > 2 else 0.1
        self.assertGreater(np.corrcoef(self.original, meant)[0, 1], least)
        for file in (out, floats):
            file.unlink()


def add_test(preset: str):
    setattr(EveryPreset, f"test_{preset}", lambda self: self.check(preset))


for name in PRESETS:
    add_test(name)


if __name__ == "__main__":
    import suite
    if xllamacpp is None:
        print("SKIP: needs the xllamacpp package (tests/requirements.txt)\nRESULT 0 0 1")
        sys.exit(77)
    sys.exit(suite.run(EveryPreset))
