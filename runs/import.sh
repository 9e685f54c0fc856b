#!/usr/bin/env bash
# Checks that imported runs compute what other tools compute: SAELens and sparsify open SAEs that they saved, hsae
# imports them, and codes and reconstructions of the same rows are compared. dev/LOG.md has results.
#
#   runs/import.sh FOLDER           made-up SAEs of SAELens and Gemma Scope, every kind and setting that can be
#                                   imported, on 500 made-up rows: one minute
#   runs/import.sh FOLDER STORE     SAEs that SAELens and sparsify train on rows of STORE, 10,000 of which are
#                                   compared: 10 minutes on two cores
#
# All output goes to FOLDER. SAELens and sparsify are in the environment of runs/peers/python.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 store=${2:-}
hsae=${HSAE:-.build/release/hsae}
python=$(runs/peers/python.sh)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TQDM_DISABLE=1
mkdir -p "$folder/theirs" "$folder/runs"

rows=$folder/rows.npy
if [ -n "$store" ]; then
  [ -e "$rows" ] || "$python" runs/interop/rows.py "$store" "$rows" 10000
  "$python" runs/interop/train_others.py "$rows" "$folder/theirs"
elif [ ! -e "$rows" ]; then
  rm -rf "$folder/theirs" && mkdir "$folder/theirs"
  "$python" runs/interop/make_saelens.py "$rows" "$folder/theirs"
fi
triples=()
while read -r path; do
  name=${path#"$folder/theirs/"}
  name=${name//\//-}
  rm -rf "$folder/runs/$name"
  # Without a k all latents may be active, so keep all of them for the comparison.
  all=()
  grep -Eqs '"architecture": "topk"|"activation_fn_kwargs": \{"k"|"num_latents"' "$path/cfg.json" || all=(--max-active 2048)
  if [[ $name = *-refused ]]; then
    if "$hsae" import "$path" --out "$folder/runs/$name"; then
      echo "$0: $name was imported, and had to be refused" >&2
      exit 1
    fi
    continue
  fi
  "$hsae" import "$path" --out "$folder/runs/$name" "${all[@]}" >"$folder/$name.txt"
  "$hsae" encode "$folder/runs/$name" "$rows" --reconstruct >"$folder/$name.jsonl"
  triples+=("$path" "$folder/runs/$name" "$folder/$name.jsonl")
done < <(find "$folder/theirs" \( -name cfg.json -o -name params.npz -o -name params.safetensors \) -printf '%h\n' | sort)
"$python" runs/interop/import_equal.py "$rows" "${triples[@]}"
