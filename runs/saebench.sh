#!/usr/bin/env bash
# Compares SAEBench's own core evaluation of exported RUNs on Gemma 3 270M with hsae evaluate, on the same tokens and
# with the same weights in float32. dev/LOG.md has results.
#
#   runs/saebench.sh FOLDER TEXT RUN…     FOLDER for all output
#
# TEXT holds documents that no RUN was trained on, as JSON lines. The script reads 128 tokens of each of the first
# CONTEXTS (16) that have at least 1,200 characters. SAEBench 0.6.0, which declares no licence, comes from PyPI into
# FOLDER/saebench, beside the environment of runs/peers/python.sh, which has SAELens.
# COSINES=1 also compares all latents with all, which takes longer than the rest. Memory: 8 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 text=$2
shift 2
hsae=${HSAE:-.build/release/hsae}
threads=${THREADS:-2}
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
mkdir -p "$folder"
python=$(runs/peers/python.sh)
# Without its declared dependencies: the core evaluation needs only those of SAELens, in older versions.
if [ ! -e "$folder/saebench/installed" ]; then
  "$python" -m pip install --quiet --no-deps --target "$folder/saebench" \
    sae-bench==0.6.0 tabulate==0.10.0 gguf==0.19.0
  : >"$folder/saebench/installed"
fi

folders=()
for run in "$@"; do
  exported=$folder/$(basename "$run")
  rm -rf "$exported"
  "$hsae" export "$run" --out "$exported" --model-name google/gemma-3-270m
  folders+=("$exported")
done

if [ ! -e "$folder/rows.store" ]; then
  "$python" - "$text" "${CONTEXTS:-16}" >"$folder/text.jsonl" <<'EOF'
import json, sys
lines = (line for line in open(sys.argv[1]) if len(json.loads(line)["text"]) >= 1200)
for _, line in zip(range(int(sys.argv[2])), lines):
    print(line, end="")
EOF
  layer=$(sed -n 's/.*"blocks\.\([0-9]*\)\.hook_resid_post".*/\1/p' "${folders[0]}/cfg.json")
  "$hsae" collect gemma-3-270m --layer "$layer" --text "$folder/text.jsonl" --context 128 --holdout 0 \
    --giant-norm 100 --weights f32 --threads "$threads" --out "$folder/rows.store"
fi
rows=$("$hsae" info "$folder/rows.store" --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["rows"])')

"$hsae" evaluate "$@" --suite core --store "$folder/rows.store" --model gemma-3-270m --loss-tokens 1M \
  --threads "$threads" --out "$folder/hsae.json" >"$folder/hsae.txt"
PYTHONPATH=$folder/saebench THREADS=$threads "$python" runs/interop/saebench_core.py \
  "$cache/models/gemma-3-270m-q4_k_m.gguf" "$folder/model" "$folder/rows.store" "$folder/results" "${folders[@]}"
"$python" runs/interop/saebench_table.py "$folder/hsae.json" "$folder/results" "$rows" "${folders[@]}"
