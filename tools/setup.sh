# Shared by ./test and ./demo (sourced): packages, the Python environment, the build. Every step
# says what it does and does nothing when there is nothing to do.
# Expects `set -euo pipefail` and the repository's root as the working directory.

VENV=.venv
JOBS=${PARE_JOBS:-$(nproc)}

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# ensure_packages LISTS...: installs what they name and this machine lacks.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "packages: this is not Debian; expecting the libraries of $*"
    return
  fi
  local package missing=()
  while read -r package; do
    [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] ||
      missing+=("$package")
  done < <(cat "$@" | grep -v '^ *\(#\|$\)')
  if [[ ${#missing[@]} -eq 0 ]]; then
    say "packages: all installed"
    return
  fi
  say "packages: installing ${missing[*]}"
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || die "run as root, or install: ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# ensure_venv REQUIREMENTS...: a Python environment that has them, unless it has them already.
ensure_venv() {
  local stamp=$VENV/.pare-requirements file wanted=
  for file in "$@"; do wanted+="$(grep -v '^ *\(#\|$\)' "$file")"$'\n'; done
  wanted=$(sort -u <<<"$wanted")
  local missing=$wanted
  [[ -x $VENV/bin/python ]] || rm -f "$stamp"
  if [[ -f $stamp ]]; then missing=$(comm -23 <(echo "$wanted") <(sort -u "$stamp")); fi
  if [[ -z ${missing//[$'\n ']/} ]]; then
    say "python: $VENV has what is needed"
    return
  fi
  say "python: installing into $VENV:" ${missing}
  [[ -x $VENV/bin/python ]] || python3 -m venv "$VENV"
  "$VENV/bin/pip" install -q --disable-pip-version-check ${missing}
  touch "$stamp"
  sort -u -o "$stamp" "$stamp" <(echo "$missing")
}

# build PRESET [TARGET...]; options for cmake in the array CONFIGURE.
CONFIGURE=()
build() {
  local preset=$1
  shift
  say "build: preset $preset${*:+, $*}"
  mkdir -p "build/$preset"
  local launcher=()
  if command -v ccache >/dev/null; then
    # What one clone has compiled serves every other one.
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  fi
  # Warnings end a build where nobody reads them, and only there.
  local strict=OFF
  if [[ ${CI:-} == true ]]; then strict=ON; fi
  cmake --preset "$preset" "${launcher[@]}" -DPARE_WERROR=$strict "${CONFIGURE[@]}" \
    >"build/$preset/configure.log" 2>&1 ||
    { tail -n 30 "build/$preset/configure.log"; die "cmake --preset $preset failed"; }
  cmake --build "build/$preset" -j "$JOBS" ${*:+--target "$@"} >"build/$preset/build.log" 2>&1 ||
    { grep -A 12 -m 5 -E 'error|FAILED' "build/$preset/build.log" || tail -n 40 "build/$preset/build.log"
      die "the build failed; all of it: build/$preset/build.log"; }
  grep -E 'warning:' "build/$preset/build.log" | sort -u | head -n 10 || true
}
