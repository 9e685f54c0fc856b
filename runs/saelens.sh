#!/usr/bin/env bash
# Checks that SAELens computes what hsae computes: exports RUNs, encodes 10,000 rows with both, and compares codes and
# reconstructions (relative error at most 1e-5). dev/LOG.md has results.
#
#   runs/saelens.sh FOLDER STORE RUN…     FOLDER for all output
#
# SAELens is in the environment of runs/peers/python.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 store=$2
shift 2
hsae=${HSAE:-.build/release/hsae}
mkdir -p "$folder"
python=$(runs/peers/python.sh)

rows=$folder/rows.npy
[ -e "$rows" ] || "$python" runs/interop/rows.py "$store" "$rows" 10000
pairs=()
for run in "$@"; do
  name=$(basename "$run")
  rm -rf "$folder/$name"
  "$hsae" export "$run" --out "$folder/$name"
  "$hsae" encode "$run" "$rows" --reconstruct >"$folder/$name.jsonl"
  pairs+=("$folder/$name" "$folder/$name.jsonl")
done
"$python" runs/interop/saelens_equal.py "$rows" "${pairs[@]}"
