#!/usr/bin/env bash
# Trains five recipes for 200 steps on the vocabulary of Gemma 3 270M and prints the SHA-256 of their last weights.
# A change that must not alter results gives the same hashes before and after it, on one machine: they depend on the
# processor's instruction set. dev/LOG.md has the recorded ones.
#
#   runs/same-bits.sh HSAE FOLDER [HSAE-WITH-MPI]
#
# FOLDER keeps words.store between calls; with a third argument (.build-mpi/release/hsae) a sixth run uses two ranks.
set -euo pipefail

hsae=$1
folder=$2
mpi=${3:-}
mkdir -p "$folder"
[ -e "$folder/words.store" ] || "$hsae" unembed gemma-3-270m --out "$folder/words.store" >/dev/null

common="--steps 200 --batch 1024 --experts 512 --checkpoint-every 0 --seed 7"
train() {
  local name=$1
  shift
  rm -rf "$folder/$name"
  "${launch[@]}" train "$folder/words.store" $common --out "$folder/$name" "$@" >/dev/null 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
  local weights
  weights=$(cat "$folder/$name"/checkpoints/step-00000200/hsae_weights*.safetensors | sha256sum | cut -c1-64)
  printf '%-24s %s\n' "$name" "$weights"
}

launch=("$hsae")
train hierarchical-fp32 --sublatents 16 --subspace 4 --k 8 --precision float32
train hierarchical-bf16 --sublatents 16 --subspace 4 --k 8 --precision bfloat16
train flat-fp32 --sublatents 0 --k 16 --precision float32
train flat-bf16-bias-auxk --sublatents 0 --k 16 --precision bfloat16 --bias geometric-median --auxk 0.03 --dead-window 20000
train hierarchical-bias-auxk --sublatents 8 --subspace 3 --k 8 --precision float32 --bias geometric-median \
  --auxk 0.03 --dead-window 20000 --threshold 0 --threshold-sub 0 --l1-scope topk
if [ -n "$mpi" ]; then
  launch=(mpirun --allow-run-as-root --oversubscribe -n 2 "$mpi")
  train two-ranks --sublatents 16 --subspace 4 --k 8 --precision float32
fi
