#!/usr/bin/env bash
# Checks that imported runs compute what other tools compute: SAELens and sparsify train and save small SAEs of every
# kind that can be imported, on rows of STORE; hsae imports them and 10,000 rows are compared. dev/LOG.md has results.
#
#   runs/import.sh FOLDER STORE     FOLDER for all output
#
# SAELens and sparsify come from PyPI, pinned in runs/peers/requirements.txt, into FOLDER/venv (2 GB; VENV names
# another). About 10 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 store=$2
hsae=${HSAE:-.build/release/hsae}
venv=${VENV:-$folder/venv}
mkdir -p "$folder/theirs" "$folder/runs"
if [ ! -f "$venv/installed" ] && [ -z "${VENV:-}" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --requirement runs/peers/requirements.txt
  : >"$venv/installed"
fi

rows=$folder/rows.npy
[ -e "$rows" ] || "$venv/bin/python" runs/interop/rows.py "$store" "$rows" 10000
"$venv/bin/python" runs/interop/train_others.py "$rows" "$folder/theirs"
triples=()
for path in "$folder"/theirs/*; do
  name=$(basename "$path")
  rm -rf "$folder/runs/$name"
  # Without a k all latents may be active, so keep all of them for the comparison.
  all=()
  grep -q '"k":' "$path/cfg.json" || all=(--max-active 2048)
  "$hsae" import "$path" --out "$folder/runs/$name" "${all[@]}"
  "$hsae" encode "$folder/runs/$name" "$rows" --reconstruct >"$folder/$name.jsonl"
  triples+=("$path" "$folder/runs/$name" "$folder/$name.jsonl")
done
"$venv/bin/python" runs/interop/import_equal.py "$rows" "${triples[@]}"
