#!/usr/bin/env bash
# Trains the same kinds of dictionary with SAELens and with hsae, at SAELens's settings, on the same rows, three seeds
# each, and measures all with hsae on held-out rows: explained variance, L0, dead latents. dev/LOG.md has results.
#
#   runs/saelens-train.sh FOLDER STORE      existing results are kept; about 10 minutes on two cores
#
# NORM=1 gives both the same first weights, with decoder rows of norm 1; the default is SAELens's own, 0.1, where hsae
# starts from weights of its own. NORM=unit is NORM=1, and also scales SAELens's rows to norm 1 before each step, as hsae does.
# KINDS, STEPS, BATCH, LATENTS and K are settings too.
# Rows are centred, and scaled to a mean norm of √d. Both train on the first 100,000 and are measured on the next 20,000.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 store=$2
hsae=${HSAE:-.build/release/hsae}
steps=${STEPS:-1000} batch=${BATCH:-1024} latents=${LATENTS:-512} k=${K:-32} dead=200 norm=${NORM:-0.1}
read -ra kinds <<<"${KINDS:-topk batchtopk matryoshka jumprelu}"
python=$(runs/peers/python.sh)
# Keep the memory of a step for the next one instead of returning it to the system.
export TQDM_DISABLE=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000
mkdir -p "$folder/theirs" "$folder/runs" "$folder/measured"
settings="steps $steps, batch $batch, latents $latents, k $k, norm $norm"
if [ -e "$folder/settings" ] && [ "$(<"$folder/settings")" != "$settings" ]; then
  echo "saelens-train: $folder was begun with $(<"$folder/settings"); choose another folder for $settings." >&2
  exit 64
fi
echo "$settings" >"$folder/settings"

if [ ! -e "$folder/test.npy" ]; then
  "$python" runs/interop/rows.py "$store" "$folder/all.npy" 120000
  "$python" - "$folder" <<'P'
import sys
import numpy as np
folder = sys.argv[1]
rows = np.load(f"{folder}/all.npy")
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
rows -= rows[:100_000].mean(axis=0)
rows *= np.sqrt(rows.shape[1]) / np.linalg.norm(rows[:100_000], axis=1).mean()
np.save(f"{folder}/train.npy", rows[:100_000])
np.save(f"{folder}/test.npy", rows[100_000:])
P
fi
"$python" runs/interop/train_saelens.py "$folder/train.npy" "$folder/theirs" "$steps" "$batch" "$latents" "$k" "$dead" \
  "$norm" "${kinds[@]}"

# SAELens's trainer: Adam, 3e-4 throughout, gradients clipped to the norm 1, AuxK with the weight 1 and the share of dead
# latents.
common=(--experts "$latents" --sublatents 0 --normalize none --steps "$steps" --batch "$batch" --precision float32
  --learning-rate 3e-4 --schedule constant --warmup 0 --clip 1 --encoder-bias zero
  --auxk-scale dead-share --dead-window $((dead * batch)) --keep 1)
for seed in 0 1 2; do
  for name in "${kinds[@]}"; do
    run=$folder/runs/$name-$seed
    case $name in
    topk) own=(--k "$k" --auxk 1) ;;
    batchtopk) own=(--activation batchtopk --k "$k" --auxk 1) ;;
    matryoshka)
      own=(--activation batchtopk --k "$k" --auxk 1 --matryoshka "$((latents / 8)),$((latents / 2)),$latents") ;;
    jumprelu) own=(--activation jumprelu --l0-target "$k" --auxk 0 --regularizer-warmup 0) ;;
    *) echo "saelens-train: there is no kind $name" >&2 && exit 64 ;;
    esac
    if [ -e "$folder/theirs/$name-$seed.safetensors" ]; then
      own+=(--init "$folder/theirs/$name-$seed.safetensors")
    else
      own+=(--bias geometric-median)
    fi
    "$hsae" train "$folder/train.npy" "${common[@]}" "${own[@]}" --seed "$seed" --out "$run" --resume
    theirs=$folder/runs/saelens-$name-$seed
    all=(--max-active "$latents")
    [ "$name" != topk ] || all=()
    [ -e "$theirs" ] || "$hsae" import "$folder/theirs/$name-$seed" --out "$theirs" "${all[@]}" >&2
    for each in "$run" "$theirs"; do
      file=$folder/measured/$(basename "$each").json
      [ -e "$file" ] || "$hsae" evaluate "$each" --store "$folder/test.npy" --suite core --out "$file" >&2
    done
  done
done
"$python" - "$folder/measured" "${kinds[@]}" <<'P'
import json
import sys
from pathlib import Path

def number(tree, key):
    if isinstance(tree, dict):
        if tree.get("key") == key:
            return tree["value"]
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else []:
        found = number(each, key)
        if found is not None:
            return found

print("| kind | program | explained variance | L0 | dead latents |\n|---|---|---|---|---|")
for kind in sys.argv[2:]:
    for program, prefix in [("SAELens", "saelens-"), ("hsae", "")]:
        trees = [json.loads(Path(sys.argv[1], f"{prefix}{kind}-{s}.json").read_text()) for s in range(3)]
        cells = []
        for key, digits in [("explained_variance", 4), ("l0", 2), ("dead_latents", 4)]:
            values = [number(t, key) for t in trees]
            cells.append(f"{sum(values) / 3:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})")
        print(f"| {kind} | {program} | {' | '.join(cells)} |")
P
