#!/usr/bin/env bash
# Compares `hsae collect` with llama.cpp's own rate. A C program without our code measures prompt tokens per second
# up to a block, before and after a collection with the same model, weights, block and context length, so that other
# work on the machine shows.
#
#   TEXT=corpus.jsonl runs/collect-rate.sh [HSAE]
#
# Environment: TEXT (needed), MODEL (gemma-3-270m), LAYER (12), CONTEXT (256), TOKENS (100k),
# WEIGHTS (bf16), THREADS (2), SECONDS_EACH (10). Full contexts show what the model can do;
# documents shorter than a context cost some padding.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hsae=${1:-$here/../.build/release/hsae}
model=${MODEL:-gemma-3-270m} layer=${LAYER:-12} context=${CONTEXT:-256} tokens=${TOKENS:-100k}
weights=${WEIGHTS:-bf16} threads=${THREADS:-2} seconds=${SECONDS_EACH:-10}
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
export PKG_CONFIG_PATH=$cache/llama.cpp/lib/pkgconfig
: "${TEXT:?say which corpus with TEXT=…}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
compiler=$(dirname "$(command -v swift)")/clang++
# shellcheck disable=SC2046
"$compiler" -O2 -x c "$here/prompt-rate.c" $(pkg-config --cflags --libs llama) \
  -o "$folder/prompt-rate"

# A small collection first: it converts the weights and measures the time to start.
collect() {
  "$hsae" collect "$model" --layer "$layer" --weights "$weights" --text "$TEXT" --tokens "$1" \
    --context "$context" --threads "$threads" --out "$2" --json >"$2.json" 2>"$folder/log" ||
    { cat "$folder/log" >&2; exit 1; }
}
collect 1k "$folder/first"
sha256=$(sed -n 's/.*"model_sha256" : "\(.\{16\}\).*/\1/p' "$folder/first.json")
file=$(ls "$cache"/weights/"$sha256"-*-"$weights"/model.gguf)
rate() { "$folder/prompt-rate" "$file" "$layer" "$context" $((1024 / context)) "$threads" "$seconds"; }

before=$(rate)
collect "$tokens" "$folder/store"
after=$(rate)
number() { sed -n "s/^  \"$1\" : \([0-9.e+]*\).*/\1/p" "$folder/store.json"; }
awk -v b="$before" -v a="$after" -v n="$(number tokens)" -v s="$(number seconds)" 'BEGIN {
  printf "llama.cpp alone   %d and %d tokens/s (before and after)\n", b, a
  printf "hsae collect      %d tokens/s (%d tokens in %.1f s), %.0f %%\n", n / s, n, s,
    100 * (n / s) / ((a + b) / 2) }'
