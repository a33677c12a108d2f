#!/usr/bin/env python3
"""A real llama.cpp (the xllamacpp package) runs GGUF files that `pare convert` made of tiny models
of every architecture, and gives the probabilities that `transformers` computed for them
(tests/golden/logits): our names, shapes, row orders and metadata are those that runtimes read.

  judge_logits.py                    the golden models
  judge_logits.py FILE.gguf 1 5 900  prints llama.cpp's log-probabilities after these tokens
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
from harness import ROOT, Program

try:
    import gguf
    import numpy as np
    import safetensors.numpy
    import xllamacpp
except ImportError:
    xllamacpp = None

GOLDEN = ROOT / "tests/golden/logits"
# llama.cpp has no sliding windows in these: only texts that fit into the window agree.
WINDOW_IGNORED = {"mistral": 8, "phi3": 8}
# It decides between short and long factors by the size of its context, which is 256 here, and of
# the scale of Gemma's queries by the number of blocks, whatever the file says.
NOT_COMPARABLE = {"phi3_longrope_short", "gemma2_scaled_queries"}


def log_probabilities(model: pathlib.Path, tokens: list[int], vocabulary: int) -> "np.ndarray":
    """Of every token after `tokens`."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = 256
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.warmup = False
    params.verbosity = -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    answer = server.handle_completions({
        "prompt": tokens, "n_predict": 1, "n_probs": vocabulary, "temperature": 0.0,
        "cache_prompt": False})
    values = np.full(vocabulary, np.nan)
    for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        values[entry["id"]] = entry["logprob"]
    return values


def add_vocabulary(source: pathlib.Path, target: pathlib.Path, size: int) -> None:
    """The golden models have no tokenizer, and llama.cpp's server wants one: any will do."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            is_array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(field.name, field.contents(), field.types[0],
                                 sub_type=field.types[-1] if is_array else None)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    # The last of these is what it looks for in anything called phi3.
    special = ["<unk>", "<s>", "</s>", "<0x0A>", "<|endoftext|>"]
    writer.add_token_list(special + [f"t{i}" for i in range(len(special), size)])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, kinds.BYTE] +
                           [kinds.NORMAL] * (size - 4))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class GoldenLogits(Program):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="pare-test-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)

    def check(self, name: str):
        expected = safetensors.numpy.load_file(GOLDEN / name / "expected.safetensors")
        tokens = expected["tokens"].tolist()
        vocabulary = expected["logits"].shape[1]
        plain, model = self.folder / f"{name}-plain.gguf", self.folder / f"{name}.gguf"
        self.pare("convert", GOLDEN / name, "-o", plain, "--type", "F32", "-q")
        add_vocabulary(plain, model, vocabulary)
        for length in [WINDOW_IGNORED[name]] if name in WINDOW_IGNORED else [7, 48]:
            logits = expected["logits"][length - 1].astype(np.float64)
            meant = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
            found = log_probabilities(model, tokens[:length], vocabulary)
            worst = float(np.abs(found - meant).max())
            # Keys and values are half precision in llama.cpp, and so is part of attention.
            self.assertLess(worst, 0.01 * float(meant.std()),
                            f"{name}, after {length} tokens: {worst:.5f} apart")


def add_test(name: str):
    setattr(GoldenLogits, f"test_{name}", lambda self: self.check(name))


for directory in sorted(GOLDEN.iterdir()):
    if directory.is_dir() and directory.name not in NOT_COMPARABLE:
        add_test(directory.name)


if __name__ == "__main__":
    import suite
    if xllamacpp is None:
        print("SKIP: needs the xllamacpp package (tests/requirements.txt)\nRESULT 0 0 1")
        sys.exit(77)
    if len(sys.argv) > 2 and sys.argv[1].endswith(".gguf"):
        file = pathlib.Path(sys.argv[1])
        size = len(gguf.GGUFReader(file).fields["tokenizer.ggml.tokens"].data)
        print(*log_probabilities(file, [int(t) for t in sys.argv[2:]], size))
        sys.exit(0)
    sys.exit(suite.run(GoldenLogits))
