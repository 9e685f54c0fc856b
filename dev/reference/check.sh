#!/usr/bin/env bash
# Independent check: compares `hsae train` with `hsae_reference.py`, which shares no code with it.
#
#   dev/reference/check.sh [HSAE] [FOLDER]     HSAE defaults to .build/release/hsae
#
# For an H-SAE, a flat dictionary and a flat dictionary with a bias, each with default settings:
#
#   1 step of all rows    weights within 1e-4 per tensor, updates within 2e-3; loss within 1e-5,
#                         gradient norm within 1e-3
#   3 steps, tight clip   the same, with clipping, warm-ups and the cosine
#   200 steps             loss of every recorded step within 0.5 %
#
# Relative error of a tensor: ||A - B||_F / ||B||_F, A from hsae, B from the reference (in float64).
# Of its update: ||A - B||_F / ||B - start||_F.
#
# Why these bounds. Adam's first step moves every number by about the learning rate, in the
# direction of its gradient's sign. With rows of unit norm an update is lr * sqrt(d) of the weights:
# 4e-3 at d = 64. So
# - 1e-4 on the weights is only 2.5 % on the update, which could hide a missing small term. Hence
#   the bound on the update. No bound on the first update sees the gradient's scale (a sum in
#   place of a mean, a wrong clip). Hence the gradient norm, and three steps with clipping.
# - float32 does not guarantee 1e-4. If a gradient is only rounding (|g| below about 1e-7 of what
#   was summed) its sign is random, and the number is off by up to 2 lr. The
#   bound holds while such numbers are fewer than 0.01 / d of a tensor (1 in 6,400 at d = 64).
#   Among even gradients they are about 1 in 10^7. There are more only if a choice differs between
#   float32 and float64 (an expert, a sublatent or a side of a threshold that is a near tie),
#   because that changes all gradients of an expert with few rows. `make` therefore drops the rows (about
#   1 in 1,000 at 128 latents, 1 in 100 at 1,024) that are within 2e-6 of a choice at the first
#   step. Gradients near epsilon = 1e-8, such as an inactive sublatent's or orthogonality's at large
#   m, are small but accurate: there the update is lr * g / (|g| + 1e-8), and no less exact than g.
# Measured: the reference in float32 (--dtype float32) against itself in float64 differs by 5e-8 in
# the weights and 5e-5 in the updates after one step, and by 5e-4 in the loss within 200.
#
# What the numbers of `hsae` must mean: `step` in metrics.jsonl counts updates made, so 1 for the
# first; `loss` is that step's batch at the weights before the update, all weighted terms in it;
# `gradientNorm` is taken after the projection and before clipping. A latent is dead in a step if
# it was not active for any of the last --dead-window rows before that step's batch (so none is at
# first; by default 5 % of the run's rows, at most 10 M). AuxK acts in the check with a bias,
# whose dictionary is wide enough to have dead latents.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hsae=${1:-$here/../../.build/release/hsae}
folder=${2:-}
python=${PYTHON:-python3}
reference="$here/hsae_reference.py"
rows=4096 k=4
failed=0

if ! "$python" -c 'import autograd, numpy' 2>/dev/null; then
  echo "$0: needs autograd and numpy: pip install --require-hashes -r $here/requirements.txt" >&2
  echo "(in a virtual environment; choose it with PYTHON=…/bin/python)" >&2
  exit 69
fi
if [ ! -x "$hsae" ]; then
  echo "$0: $hsae does not exist; build it (swift build -c release --product hsae) or name it" >&2
  exit 66
fi

keep=$folder
[ -n "$folder" ] || folder=$(mktemp -d)
mkdir -p "$folder"

# judge WHAT COMMAND…: runs the command and remembers whether it failed.
judge() {
  local what=$1
  shift
  if "$@"; then echo "passed: $what"; else echo "FAILED: $what"; failed=1; fi
}

# both NAME RUN BATCH STEPS OPTIONS…: takes the same steps with both programs.
both() {
  local data="$folder/$1" run="$folder/$1-$2" batch=$3 steps=$4
  shift 4
  rm -rf "$run"
  "$hsae" train "$data/DATA.npy" --init "$data/WEIGHTS.safetensors" --k $k --steps "$steps" \
    --batch "$batch" --order file --normalize none --precision float32 "$@" --out "$run"
  "$python" "$reference" step "$data/DATA.npy" "$data/WEIGHTS.safetensors" \
    "$run/reference.safetensors" --k $k --steps "$steps" --batch "$batch" "$@"
}

# weights RUN: the newest checkpoint's.
weights() {
  find "$1/checkpoints" -name hsae_weights.safetensors | sort | tail -n 1
}

# exactly NAME RUN: weights, updates, losses and gradient norms.
exactly() {
  local data="$folder/$1" run="$folder/$1-$2"
  judge "$1, $2: weights" "$python" "$reference" compare "$(weights "$run")" \
    "$run/reference.safetensors" --start "$data/WEIGHTS.safetensors" \
    --tolerance 1e-4 --update-tolerance 2e-3
  judge "$1, $2: loss" "$python" "$reference" losses "$run/reference.json" \
    "$run/metrics.jsonl" --tolerance 1e-5 --norm-tolerance 1e-3
}

constant=(--schedule constant --warmup 0 --regularizer-warmup 0)
moving=(--schedule cosine --warmup 1 --learning-rate-start 1e-4 --regularizer-warmup 2 --clip 0.05)

for name in hierarchical flat biased; do
  case $name in
    hierarchical) shape=(--experts 128 --sublatents 8 --subspace 4) ;;
    flat) shape=(--experts 128 --sublatents 0 --subspace 0) ;;
    biased) shape=(--experts 1024 --sublatents 0 --subspace 0 --bias) ;;
  esac
  "$python" "$reference" make --rows $rows --width 64 "${shape[@]}" --seed 0 \
    --k $k --out "$folder/$name"
  both $name one $rows 1 "${constant[@]}"
  exactly $name one
  both $name three $rows 3 "${moving[@]}"
  exactly $name three
  # 500 does not divide the rows, so batches wrap around.
  both $name many 500 200 "${constant[@]}"
  judge "$name, many: loss" "$python" "$reference" losses "$folder/$name-many/reference.json" \
    "$folder/$name-many/metrics.jsonl" --tolerance 0.005
done

if [ $failed != 0 ]; then
  echo "Not all agree; see $folder." >&2
  exit 1
fi
echo "All agree."
[ -n "$keep" ] || rm -rf "$folder"
