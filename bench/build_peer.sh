#!/bin/bash
# Builds the llama.cpp tools that the measurements compare with, from the source package of
# llama-cpp-python (0.3.36 holds llama.cpp 0c1e57098), so that anyone can repeat them.
#
# usage: bench/build_peer.sh [DIR]      (default: .cache/peer; the tools end up in DIR/build/bin)
set -euo pipefail

version=0.3.36
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-$root/.cache/peer}
tools="llama-quantize llama-perplexity llama-imatrix llama-bench"

complete() { for t in $tools; do [ -x "$dir/build/bin/$t" ] || return 1; done; }
if complete; then
  echo "$dir/build/bin: up to date"
  exit 0
fi

mkdir -p "$dir"
if [ ! -d "$dir/llama_cpp_python-$version" ]; then
  python3 -m venv "$dir/venv"
  "$dir/venv/bin/pip" install --quiet scikit-build-core
  "$dir/venv/bin/pip" download --quiet --no-deps --no-binary :all: --no-build-isolation \
    --dest "$dir" "llama-cpp-python==$version"
  tar -xzf "$dir/llama_cpp_python-$version.tar.gz" -C "$dir"
fi
# llama.cpp's AMX kernels use tiles without asking the system for them and die, so where the CPU
# has AMX it is built for AVX-512.
cpu=()
if grep -q amx_tile /proc/cpuinfo; then
  cpu=(-DGGML_NATIVE=OFF)
  for set in AVX AVX2 FMA F16C BMI2 AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16; do
    cpu+=("-DGGML_$set=ON")
  done
fi
cmake -S "$dir/llama_cpp_python-$version/vendor/llama.cpp" -B "$dir/build" \
  -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF \
  -DLLAMA_OPENSSL=OFF "${cpu[@]}"
# shellcheck disable=SC2086
cmake --build "$dir/build" --parallel "$(nproc)" --target $tools
complete
echo "$dir/build/bin: built"
