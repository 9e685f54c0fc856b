#!/usr/bin/env bash
# Independent check of `hsae collect`: compares its rows with a forward pass in NumPy with the same dequantised
# weights (`residual_reference.py`).
#
#   dev/reference/check-residual.sh [HSAE] [FOLDER]     HSAE defaults to .build/release/hsae
#
# For Gemma 3 270M and SmolLM2-135M, an early, a middle and the last block:
#
#   --weights f32     relative error at most 1e-3 (the store's float16 directions make 2e-4)
#   --weights bf16    cosine of a row at least 0.9999 in the median, 0.999 in the worst
#   --weights q8_0    the same cosines in the first half of Gemma; elsewhere they are only printed.
#                     ggml also rounds the inputs of a product to 8 bits, which matters late in the
#                     network (dev/LOG.md has the figures).
#
# The reference always takes the weights of the original file (Q4_K and Q4_1, dequantised), so the check
# covers the conversion too.
#
# Needs Python with NumPy and gguf: pip install --require-hashes -r dev/reference/requirements.txt
# (choose it with PYTHON=…/bin/python).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hsae=${1:-$here/../../.build/release/hsae}
folder=${2:-}
python=${PYTHON:-python3}
failed=0

if ! "$python" -c 'import gguf, numpy' 2>/dev/null; then
  echo "$0: needs gguf and numpy: pip install --require-hashes -r $here/requirements.txt" >&2
  exit 69
fi
if [ ! -x "$hsae" ]; then
  echo "$0: $hsae is not there; build it (make build) or name it" >&2
  exit 66
fi
if [ -z "$folder" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"

cat >"$folder/text.txt" <<'TEXT'
The Congress of Vienna of 1814-15 was a series of meetings to agree a new order for Europe after the downfall of Napoleon.
A dog is a domesticated descendant of the wolf; puppies are weaned after about seven weeks.
Le Rhône prend sa source en Suisse, traverse le lac Léman, puis coule vers la Méditerranée.
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
Photosynthesis converts light into chemical energy, which is later released to fuel the organism's activities.
TEXT

check() { # model, block, weights, bounds…
  local model=$1 block=$2 weights=$3 store
  shift 3
  store=$folder/$model-$block-$weights
  rm -rf "$store"
  "$hsae" collect "$model" --layer "$block" --weights "$weights" --text "$folder/text.txt" \
    --context 64 --keep-special --holdout 0 --out "$store" >/dev/null 2>"$folder/log" || {
    cat "$folder/log" >&2
    exit 1
  }
  printf '%s ' "$model"
  "$python" "$here/residual_reference.py" "$("$hsae" fetch "$model" 2>/dev/null)" "$store" "$@" ||
    failed=1
}

for place in "gemma-3-270m 1" "gemma-3-270m 9" "gemma-3-270m 17" \
  "smollm2-135m 1" "smollm2-135m 15" "smollm2-135m 29"; do
  read -r model block <<<"$place"
  check "$model" "$block" f32 --relative 1e-3
  check "$model" "$block" bf16 --cosine-median 0.9999 --cosine-worst 0.999
  bounds=()
  [[ "$model $block" =~ ^gemma-3-270m\ [19]$ ]] &&
    bounds=(--cosine-median 0.9999 --cosine-worst 0.999)
  check "$model" "$block" q8_0 "${bounds[@]}"
done
[ "$failed" -eq 0 ] && echo "all agree" || echo "some bounds are not met" >&2
exit "$failed"
