#!/usr/bin/env bash
# The paper's ablations (Appendix B, Figures 8-21) on the unembedding of Gemma 3 270M: orthogonality
# on/off, L1 on/off, whitening on/off. Trains five dictionaries that differ only in these, prints one
# table and writes one page that shows the paper's words side by side.
#
#   runs/ablations.sh [FOLDER]          STEPS=5000 runs/ablations.sh      (default 1500 steps)
#
# Finished runs of earlier calls are kept. Results are in dev/LOG.md.
set -euo pipefail
cd "$(dirname "$0")/.."
hsae=${HSAE:-.build/release/hsae}
folder=${1:-out/ablations}
steps=${STEPS:-1500}
mkdir -p "$folder"

[ -d "$folder/whitened.store" ] || "$hsae" unembed gemma-3-270m --out "$folder/whitened.store"
[ -d "$folder/raw.store" ] || "$hsae" unembed gemma-3-270m --no-whiten --out "$folder/raw.store"

# run NAME STORE OPTIONS…
run() {
  local name=$1 store=$2
  shift 2
  "$hsae" train "$folder/$store" --preset unembedding --steps "$steps" "$@" --out "$folder/$name" --resume
}

run full whitened.store
run no-ortho whitened.store --ortho 0
run no-l1 whitened.store --l1 0
run no-ortho-no-l1 whitened.store --ortho 0 --l1 0
run no-whitening raw.store

"$hsae" report "$folder"/{full,no-ortho,no-l1,no-ortho-no-l1,no-whitening} \
  --title "What each part is for" --out "$folder/ablations.html"

printf '\n%-16s %10s %10s %10s %8s %8s\n' run error top-only explained dead 'dead sub'
for name in full no-ortho no-l1 no-ortho-no-l1 no-whitening; do
  tail -n 1 "$folder/$name/metrics.jsonl" | python3 -c '
import json, sys
r = json.loads(sys.stdin.read())
print("%-16s %10.4f %10.4f %10.4f %8d %8d" % (sys.argv[1], r["reconstruction"],
  r["topReconstruction"], r["explainedVariance"], r["deadLatents"], r["deadSublatents"]))' "$name"
done
