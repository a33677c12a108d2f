"""Running and reading the tools that the measurements use: llama.cpp's, and pare."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


def parser(doc: str, results: str, work: str = "bench",
           pare_required: bool = True) -> argparse.ArgumentParser:
    """With the arguments that all measurements have. results: the file of records that they keep."""
    made = argparse.ArgumentParser(description=doc,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--pare", type=pathlib.Path, required=pare_required,
                      help="the program" + ("" if pare_required else "; without it: peer only"))
    made.add_argument("--llama-bin", type=pathlib.Path, default=CACHE / "peer" / "build" / "bin")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--work", type=pathlib.Path, default=CACHE / work)
    made.add_argument("--results", type=pathlib.Path,
                      default=ROOT / "bench" / "results" / results)
    return made


class Failed(Exception):
    """A program that was run ended with an error."""


@dataclasses.dataclass
class Run:
    seconds: float
    peak_bytes: int  # resident, mapped files included
    output: str


def run(command: list, log: pathlib.Path) -> Run:
    """Runs to the end, output into `log`; wall time and peak memory are the child's own."""
    command = [str(c) for c in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as out:
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    if child.returncode != 0:
        raise Failed(f"{' '.join(command)}\nended with {child.returncode}; {log} ends:\n"
                     + "\n".join(text.splitlines()[-15:]))
    return Run(seconds, usage.ru_maxrss * 1024, text)


class Llama:
    """llama.cpp's tools. Every file that is made is made under a temporary name."""

    def __init__(self, bin_dir: pathlib.Path, logs: pathlib.Path, threads: int):
        self.bin, self.logs, self.threads = bin_dir, logs, threads
        if not (bin_dir / "llama-quantize").exists():
            raise Failed(f"{bin_dir} has no llama-quantize: bench/build_peer.sh builds it")

    def _make(self, target: pathlib.Path, name: str, command) -> Run:
        partial = target.with_name("part-" + target.name)
        result = run(command(partial), self.logs / f"{name}-{target.stem}.log")
        partial.replace(target)
        return result

    def quantize(self, source: pathlib.Path, target: pathlib.Path, file_type: str,
                 imatrix: pathlib.Path | None = None) -> Run:
        options = ["--imatrix", imatrix] if imatrix else []
        return self._make(target, "quantize", lambda out: [
            self.bin / "llama-quantize", "--allow-requantize", *options, source, out, file_type,
            self.threads])

    def imatrix(self, model: pathlib.Path, text: pathlib.Path, target: pathlib.Path,
                chunks: int) -> Run:
        return self._make(target, "imatrix", lambda out: [
            self.bin / "llama-imatrix", "-m", model, "-f", text, "-o", out, "--output-format",
            "gguf", "--chunks", chunks, "-c", 512, "-t", self.threads])

    def base_logits(self, model: pathlib.Path, text: pathlib.Path, target: pathlib.Path,
                    chunks: int) -> Run:
        return self._make(target, "base", lambda out: [
            self.bin / "llama-perplexity", "-m", model, "-f", text, "--kl-divergence-base", out,
            "--chunks", chunks, "-c", 512, "-t", self.threads])

    def divergence(self, model: pathlib.Path, text: pathlib.Path,
                   base: pathlib.Path) -> dict[str, float]:
        """Against the logits in `base`, on the chunks that it holds."""
        out = run([self.bin / "llama-perplexity", "-m", model, "-f", text, "--kl-divergence",
                   "--kl-divergence-base", base, "-c", 512, "-t", self.threads],
                  self.logs / f"divergence-{model.stem}.log").output
        return parse_divergence(out)


DIVERGENCE_LINES = {"ppl": r"Mean PPL\(Q\)\s*:", "ppl_base": r"Mean PPL\(base\)\s*:",
                    "kl": r"Mean\s+KLD:", "kl_median": r"Median\s+KLD:",
                    "kl_p99": r"99\.0%\s+KLD:", "same_top": r"Same top p:"}


def parse_divergence(text: str) -> dict[str, float]:
    """The statistics at the end of llama-perplexity --kl-divergence; *_error is one standard
    error."""
    found = {}
    for key, pattern in DIVERGENCE_LINES.items():
        match = re.search(pattern + r"\s*([-\d.]+)(?:\s*±\s*([\d.]+))?", text)
        if not match:
            raise Failed(f"llama-perplexity printed no line like {pattern}")
        found[key] = float(match[1])
        if match[2]:
            found[key + "_error"] = float(match[2])
    return found


def make_twins(names: list[str], folder: pathlib.Path, ggufs: pathlib.Path) -> None:
    """The twins as Hugging Face directories, and as F16 GGUF files that no program under test
    wrote."""
    subprocess.run([sys.executable, ROOT / "tools" / "make_twins.py", "--twins", ",".join(names),
                    "--out", folder, "--gguf-out", ggufs], check=True)


LEVELS = {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx2": "AVX2", "asimddp": "dot products"}


def machine() -> str:
    """Processors, and the best of their instructions that matter here."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    name = re.search(r"model name\s*: (.*)", text)
    flags = set(text.split())
    level = next((LEVELS[flag] for flag in LEVELS if flag in flags), "")
    return (f"{len(os.sched_getaffinity(0))} processors of {name[1] if name else platform.machine()}"
            + (f" with {level}" if level else ""))


class Results:
    """Records of one measurement, kept in bench/results/NAME.json; written after each one. Those of
    another machine stay beside them."""

    def __init__(self, path: pathlib.Path, key: tuple[str, ...]):
        self.path, self.key, self.machine = path, (*key, "machine"), machine()
        self.records = json.loads(path.read_text())["records"] if path.exists() else []

    def find(self, **key) -> dict | None:
        key["machine"] = self.machine
        return next((r for r in self.records if all(r[k] == key[k] for k in self.key)), None)

    def add(self, record: dict) -> None:
        record["machine"] = self.machine
        self.records = [r for r in self.records if any(r[k] != record[k] for k in self.key)]
        self.records.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".part")
        partial.write_text(json.dumps({"records": self.records}, indent=1) + "\n")
        partial.replace(self.path)
