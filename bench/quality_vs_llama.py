#!/usr/bin/env python3
"""Quality at equal size: llama-quantize's files, pare's with the same preset, and pare's with
`--fit` at the same bytes, judged by llama-perplexity on text that neither has seen.

Two readings per file: *run* is the file as llama.cpp runs it, with activations rounded to int8;
*weights* is the file dequantized to F32 first, so that only the rounding of weights counts.

Example: quality_vs_llama.py --pare build/release/bin/pare --llama-bin .cache/peer/build/bin \\
             --calibration groups_merged.txt --text wiki.test.raw
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import peer

CASES = ("twin-768:Q3_K_M,twin-768:Q4_K_S,twin-768:Q4_K_M,twin-768:Q5_K_M,"
         "twin-576:Q4_0,twin-576:Q5_0,twin-576:Q4_K_M")
MAKERS = ("llama-quantize", "pare --type", "pare --fit")


class Bench:
    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.work = args.work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.llama = peer.Llama(args.llama_bin, self.work / "logs", args.threads)
        self.results = peer.Results(args.results, ("twin", "type", "maker"))

    def source(self, twin: str) -> pathlib.Path:
        return self.work / f"{twin}-f16.gguf"

    def prepare(self, twin: str) -> None:
        imatrix, base = self.work / f"{twin}.imatrix.gguf", self.work / f"{twin}.logits"
        if not imatrix.exists():
            self.llama.imatrix(self.source(twin), self.args.calibration, imatrix,
                               self.args.calibration_chunks)
        if not base.exists():
            self.llama.base_logits(self.source(twin), self.args.text, base, self.args.chunks)
        stats = self.work / f"{twin}.stats.gguf"
        if self.args.pare and not stats.exists():
            run = peer.run([self.args.pare, "calibrate", self.args.twins / twin, "-o", stats,
                            "--text", self.args.calibration, "--chunks", self.args.fit_chunks,
                            "--threads", self.args.threads], self.work / "logs" / f"{twin}-stats.log")
            print(f"{twin}: pare calibrate took {run.seconds:.0f} s", flush=True)

    def make(self, twin: str, file_type: str, maker: str, target: pathlib.Path) -> peer.Run:
        imatrix = self.work / f"{twin}.imatrix.gguf"
        if maker == "llama-quantize":
            return self.llama.quantize(self.source(twin), target, file_type, imatrix)
        common = [self.args.twins / twin, "-o", target, "--threads", self.args.threads]
        log = self.work / "logs" / f"{target.stem}.log"
        if maker == "pare --type":
            return peer.run([self.args.pare, "quantize", *common, "--type", file_type,
                             "--imatrix", imatrix], log)
        theirs = self.results.find(twin=twin, type=file_type, maker="llama-quantize")
        return peer.run([self.args.pare, "compress", *common, "--fit", theirs["bytes"],
                         "--text", self.args.calibration, "--chunks", self.args.fit_chunks,
                         "--stats", self.work / f"{twin}.stats.gguf", "--eval-chunks", 0,
                         "--no-compare", "--prompt", "", *self.args.fit_options.split()], log)

    def measure(self, twin: str, file_type: str, maker: str) -> dict:
        stem = f"{twin}-{file_type}-{maker.replace(' --', '-')}"
        target = self.work / f"{stem}.gguf"
        target.unlink(missing_ok=True)
        made = self.make(twin, file_type, maker, target)
        base = self.work / f"{twin}.logits"
        run = self.llama.divergence(target, self.args.text, base)
        floats = self.work / f"{stem}-f32.gguf"
        self.llama.quantize(target, floats, "F32")
        weights = self.llama.divergence(floats, self.args.text, base)
        floats.unlink()
        record = {"twin": twin, "type": file_type, "maker": maker,
                  "bytes": target.stat().st_size, "seconds": round(made.seconds, 2),
                  "peak_bytes": made.peak_bytes, "run": run, "weights": weights}
        if not self.args.keep:
            target.unlink()
        return record

    def case(self, twin: str, file_type: str, makers: list[str]) -> None:
        for maker in makers:
            record = self.results.find(twin=twin, type=file_type, maker=maker)
            if record is None or maker in self.args.again:
                record = self.measure(twin, file_type, maker)
                self.results.add(record)
            self.print(record)

    def print(self, record: dict) -> None:
        theirs = self.results.find(twin=record["twin"], type=record["type"],
                                   maker="llama-quantize")
        weights, run = record["weights"], record["run"]
        print(f"{record['twin']:9} {record['type']:7} {record['maker']:14} "
              f"{record['bytes']:>11,}  {weights['kl']:7.4f} ±{weights['kl_error']:.4f} "
              f"{weights['kl'] / theirs['weights']['kl']:5.3f}x  "
              f"{run['kl']:7.4f} {run['kl'] / theirs['run']['kl']:5.3f}x  "
              f"{run['ppl']:7.3f}  {run['same_top']:5.1f}%  {record['seconds']:6.1f} s",
              flush=True)


def main() -> int:
    parser = peer.parser(__doc__, "quality.json", pare_required=False)
    parser.add_argument("--twins", type=pathlib.Path, default=peer.CACHE / "models")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="what files are judged on")
    parser.add_argument("--calibration", type=pathlib.Path, required=True,
                        help="the text behind the imatrix and the search")
    parser.add_argument("--calibration-chunks", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=20, help="of 512 tokens, of --text")
    parser.add_argument("--cases", default=CASES, help="TWIN:TYPE, comma separated")
    parser.add_argument("--makers", default=",".join(MAKERS), help="comma separated")
    parser.add_argument("--again", default="", help="makers whose recorded files are made again")
    parser.add_argument("--fit-chunks", type=int, default=32,
                        help="windows of the calibration text that pare sees")
    parser.add_argument("--fit-options", default="", help="more options for pare compress")
    parser.add_argument("--keep", action="store_true", help="keep the files that were made")
    args = parser.parse_args()
    args.again = args.again.split(",")
    makers = args.makers.split(",") if args.pare else ["llama-quantize"]
    if unknown := [m for m in makers if m not in MAKERS]:
        parser.error(f"no maker is called {unknown[0]!r}; there are {', '.join(MAKERS)}")

    cases = [case.split(":") for case in args.cases.split(",")]
    try:
        bench = Bench(args)
        twins = sorted({twin for twin, _ in cases})
        peer.make_twins(twins, args.twins, bench.work)
        for twin in twins:
            bench.prepare(twin)
        print("twin      type    file               bytes  KL weights        ratio   KL run  ratio"
              "     PPL  same top   made in")
        for twin, file_type in cases:
            bench.case(twin, file_type, makers)
    except peer.Failed as error:
        print(f"quality_vs_llama: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
