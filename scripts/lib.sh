# What setup, quickstart and check share; sourced by them, never run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
began=$SECONDS

torch_version=2.11.0
# The CPU library of the wheel names these two CUDA libraries and needs no other.
torch_wheels=(torch==$torch_version nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
# The same wheel with all that its CUDA part needs, NCCL among it; libtorch_cuda finds it beside itself.
cuda_wheels=(torch==$torch_version)
deps=${HERD_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/herd}
libtorch=$deps/libtorch-$torch_version-cpu
libtorch_cuda=$deps/libtorch-$torch_version-cuda
requirements=$root/tests/requirements.txt
# The environment is keyed by its pins: another list makes another folder, and none is ever changed in place.
tests_env=$deps/tests-$(sha256sum "$requirements" | cut -c1-12)

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
say() { printf '[%s] %s\n' "$(clock $((SECONDS - began)))" "$*"; }
die() { printf '\nerror: %s\n' "$1" >&2; shift; (($# == 0)) || printf '       %s\n' "$@" >&2; exit 1; }

# step NAME COMMAND...: runs it in view and says how long it took; a failure is named and ends the script.
step() {
  local name=$1 start=$SECONDS rc=0; shift
  say "$name ..."
  "$@" || rc=$?
  ((rc == 0)) || die "$name failed (exit code $rc) after $(clock $((SECONDS - start)))" "command: $*"
  say "$name: done in $(clock $((SECONDS - start)))"
}

# quiet_step NAME COMMAND...: the same with the output in a log, shown where the step fails.
quiet_step() {
  local name=$1 start=$SECONDS rc=0 log; shift
  mkdir -p "$deps"
  log=$(mktemp "$deps/log.XXXXXX")
  say "$name ..."
  # Not behind || or in an if: a function would then go on after a command of its own has failed.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  if ((rc != 0)); then
    tail -n 25 "$log" >&2
    die "$name failed (exit code $rc) after $(clock $((SECONDS - start)))" "command: $*" "whole output: $log"
  fi
  rm -f "$log"
  say "$name: done in $(clock $((SECONDS - start)))"
}

# As many compilers as there are cores, and 1.5 GB of memory for each: a file that includes libtorch takes half of that and more.
jobs() {
  local cores gigabytes
  cores=$(nproc)
  gigabytes=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  local most=$((gigabytes * 2 / 3))
  ((most >= 1)) || most=1
  echo $((cores < most ? cores : most))
}

configure() {  # configure PRESET [cmake options...]
  local preset=$1 folder=$libtorch; shift
  [[ $preset != gpu ]] || folder=$libtorch_cuda
  quiet_step "configure (preset $preset)" cmake -S "$root" --preset "$preset" -DHERD_LIBTORCH="$folder" "$@"
  say "CUDA module: $(sed -n 's/^HERD_CUDA_SAYS:INTERNAL=//p' "$root/build/$preset/CMakeCache.txt")"
}

# Whether a driver here sees a GPU; the names of those that it sees.
gpu_names() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null; }

build() {  # build PRESET [targets...]
  local preset=$1; shift
  local targets=(all)
  (($# == 0)) || targets=("$@")
  step "build (preset $preset, $(jobs) at a time)" cmake --build "$root/build/$preset" -j "$(jobs)" --target "${targets[@]}"
}
