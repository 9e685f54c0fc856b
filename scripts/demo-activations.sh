#!/usr/bin/env bash
# The second part of the demo: collects the residual stream of Gemma 3 270M over Wikipedia leads in three
# languages, trains an H-SAE and a flat SAE on it, and makes a page and a database to explore. A repeated call
# keeps what is finished and resumes the rest.
#
#   scripts/demo-activations.sh HSAE [FOLDER]
#
# Environment: TOKENS  rows to collect (default 300k)
#              LAYER   the block whose output is collected (default 12)
#              STEPS   training steps of 2,048 rows (default 2000)
set -euo pipefail

hsae=$1
out=${2:-out/activations}
tokens=${TOKENS:-300k} layer=${LAYER:-12} steps=${STEPS:-2000}
store=$out/layer-$layer.store
say() { printf 'demo: %s\n' "$*" >&2; }

mkdir -p "$out"
begin=$(date +%s)
if [ ! -e "$out/wiki-leads.jsonl" ]; then
  "$hsae" corpus wiki-leads --out "$out/wiki-leads.jsonl"
fi
say "collecting the output of block $layer"
"$hsae" collect gemma-3-270m --layer "$layer" --text "$out/wiki-leads.jsonl" --tokens "$tokens" \
  --out "$store"

# Both dictionaries train on one reading of the rows.
say "training an H-SAE of 2,048 experts × 16 sublatents and a flat SAE of 2,048 latents"
"$hsae" train "$store" --preset residual-stream --experts 2k --batch 2048 --steps "$steps" \
  --out "$out/h-sae" --also "$out/flat-sae:sublatents=0" --resume

"$hsae" report "$out/h-sae" "$out/flat-sae" --out "$out/index.html"
# A build without the explorer has no such subcommand and makes no database.
if "$hsae" explain --help >/dev/null 2>&1; then
  say "analysing what latents are active for"
  for run in h-sae flat-sae; do
    "$hsae" explain "$out/$run" "$store" --model gemma-3-270m --out "$out/features" >&2
  done
  say "to explore the latents and your own sentences: $hsae explore $out/features"
fi
seconds=$(($(date +%s) - begin))
say "done in $((seconds / 60)) min $((seconds % 60)) s; to see what is in the store: $hsae info $store"
say "open this page:"
printf '%s\n' "$(cd "$out" && pwd)/index.html"
