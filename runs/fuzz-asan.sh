#!/usr/bin/env bash
# Runs FILTER's fuzz tests under AddressSanitizer, with a million mutated inputs for each file: in slices of 25,000
# with different seeds, two at a time. Finished slices are kept; call again to continue.
#
#   runs/fuzz-asan.sh FOLDER [FILTER] [SLICES]     FILTER [ImportFuzzTests], SLICES [40]; dev/LOG.md has results
#
# The build with the sanitizer (.build-asan) takes ten minutes, the importers 25 with two cores. A slice that fails
# writes slice-N.failed, with the seed in its first line.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "$1") filter=${2:-ImportFuzzTests} slices=${3:-40}
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
export PKG_CONFIG_PATH=$cache/llama.cpp/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export ASAN_OPTIONS=detect_leaks=0 HSAE_FUZZ_ITERATIONS=25000
test=(swift test -c release --scratch-path .build-asan --sanitize address --disable-xctest --filter "$filter")
mkdir -p "$folder"
swift build -c release --scratch-path .build-asan --sanitize address --build-tests
slice() {
  [ -e "$folder/slice-$1.ok" ] && return
  export HSAE_FUZZ_SEED=$((1 + 25000 * $1))
  { echo "seed $HSAE_FUZZ_SEED"; "${test[@]}" --skip-build; } >"$folder/slice-$1.log" 2>&1 \
    && mv "$folder/slice-$1.log" "$folder/slice-$1.ok" \
    || { mv "$folder/slice-$1.log" "$folder/slice-$1.failed"; return 1; }
}
worker() { for ((i = $1; i < slices; i += 2)); do slice "$i"; done; }
worker 0 &
worker 1
wait $!
echo "$filter: $(ls "$folder"/slice-*.ok | wc -l) slices of 25,000 without a fault, in $folder"
