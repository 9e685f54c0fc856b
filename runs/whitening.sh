#!/usr/bin/env bash
# Compares the inner products in which a dictionary can be trained (docs/method.md, "Whitening"): none, activations and
# unembedding, errors measured in the whitened space and after going back, flat dictionaries and H-SAEs at equal codes,
# several seeds. docs/whitening.md has results.
#
#   runs/whitening.sh [FOLDER]         trains and evaluates everything; keeps what an earlier call finished
#   runs/whitening.sh rates [FOLDER]   first: a grid of learning rates for every kind, at the second place, one seed
#
# Environment (defaults in brackets):
#   PLACES    model:block, one store each [gemma-3-270m:4 gemma-3-270m:9 gemma-3-270m:15 smollm2-135m:15]
#   TOKENS    of a store [300k]              TEXT      a corpus [one is fetched into FOLDER]
#   WIDTH     top-level latents [1k]         SEEDS     [0 1 2]      STEPS  [500]      BATCH  [2048]
#   RATES     of the grid [2e-3 4e-3 8e-3]   RATE_flat [8e-3]       RATE_h [4e-3]: what the grid chose in every space
#   SUITES    for all seeds [core structure]     FIRST  for the first seed [hierarchy probing]
#   SECOND    for the first seed at the second place [absorption crosslingual]
#   PAGES     set: also explains the H-SAEs of the first seed at the second place, and lists ten random hierarchies of each
#   EVALUATE  further options of hsae evaluate
set -euo pipefail
cd "$(dirname "$0")/.."

hsae=${HSAE:-.build/release/hsae}
task=all
if [ "${1:-}" = rates ]; then task=rates && shift; fi
folder=${1:-out/whitening}
read -ra places <<<"${PLACES:-gemma-3-270m:4 gemma-3-270m:9 gemma-3-270m:15 smollm2-135m:15}"
middle=$((${#places[@]} > 1 ? 1 : 0))
read -ra seeds <<<"${SEEDS:-0 1 2}"
read -ra rates <<<"${RATES:-2e-3 4e-3 8e-3}"
read -ra suites <<<"${SUITES:-core structure}"
read -ra first <<<"${FIRST:-hierarchy probing}"
read -ra second <<<"${SECOND:-absorption crosslingual}"
read -ra evaluate <<<"${EVALUATE:-}"
text=${TEXT:-$folder/text.jsonl}
# A flat dictionary of the preset has as many codes a row as an H-SAE, 32.
common=(--preset residual-stream-budget --experts "${WIDTH:-1k}" --batch "${BATCH:-2048}" --steps "${STEPS:-500}" --keep 1)
common+=(--checkpoint-every 0)
kinds=(flat h)
spaces=(none activations activations_original unembedding unembedding_original)
mkdir -p "$folder"

# place NAME: sets model, block and store, and collects the store unless it is there.
place() {
  model=${1%:*} block=${1#*:}
  store=$folder/$model-$block.store
  if [ ! -e "$store/zarr.json" ] || grep -q '"complete" *: *false' "$store/zarr.json"; then
    [ -e "$text" ] || "$hsae" corpus wiki-leads enwiki-excerpt --out "$text"
    "$hsae" collect "$model" --layer "$block" --text "$text" --tokens "${TOKENS:-300k}" --out "$store"
  fi
}

# train SPACE FOLDER SUFFIX OPTION…: trains both kinds in one space on the same batches, unless they are there. `own` is
# a learning rate in place of the kinds' own.
train() {
  local space=$1 to=$2 suffix=$3 options=(--whiten "${1%_original}" --learning-rate "${own:-${RATE_h:-4e-3}}")
  shift 3
  case $space in *_original) options+=(--whiten-loss original) ;; esac
  "$hsae" train "$store" "${common[@]}" "${options[@]}" "$@" --model "$model" --resume --out "$to/h-$space$suffix" \
    --also "$to/flat-$space$suffix:sublatents=0,learning-rate=${own:-${RATE_flat:-8e-3}}"
}

if [ "$task" = rates ]; then
  place "${places[$middle]}"
  mkdir -p "$folder/rates"
  runs=() names=()
  for space in "${spaces[@]}"; do
    for own in "${rates[@]}"; do
      train "$space" "$folder/rates" "-$own-seed0"
      for kind in "${kinds[@]}"; do
        runs+=("$folder/rates/$kind-$space-$own-seed0") names+=("$kind-$space-$own")
      done
    done
  done
  "$hsae" evaluate "${runs[@]}" --store "$store" --suite core --out "$folder/rates/core-seed0.json" >"$folder/rates/core.txt"
  python3 runs/results.py "$folder/rates" --kinds "${names[@]}" --seeds 0
  exit
fi

names=()
for kind in "${kinds[@]}"; do for space in "${spaces[@]}"; do names+=("$kind-$space"); done; done
for index in "${!places[@]}"; do
  place "${places[$index]}"
  to=$folder/$model-$block
  mkdir -p "$to"
  for seed in "${seeds[@]}"; do
    runs=()
    for space in "${spaces[@]}"; do
      train "$space" "$to" "-seed$seed" --seed "$seed"
      for kind in "${kinds[@]}"; do runs+=("$to/$kind-$space-seed$seed"); done
    done
    wanted=("${suites[@]}")
    [ "$seed" = "${seeds[0]}" ] && wanted+=("${first[@]}")
    [ "$seed" = "${seeds[0]}" ] && [ "$index" = "$middle" ] && wanted+=("${second[@]}")
    for suite in "${wanted[@]}"; do
      file=$to/$suite-seed$seed.json
      [ -e "$file" ] && continue
      begin=$(date +%s)
      "$hsae" evaluate "${runs[@]}" --store "$store" --suite "$suite" --model "$model" "${evaluate[@]}" --out "$file" \
        >"${file%.json}.txt"
      printf 'whitening: suite %s, %s, seed %s: %s s\n' "$suite" "$model-$block" "$seed" $(($(date +%s) - begin)) >&2
    done
  done
  if [ "$index" = "$middle" ] && [ -n "${PAGES:-}" ]; then
    for space in none activations unembedding; do
      "$hsae" explain "$to/h-$space-seed${seeds[0]}" "$store" --model "$model" --out "$to/features"
    done
    python3 runs/results.py "$to/features" --hierarchies 10
  fi
  echo "## $model, block $block"
  python3 runs/results.py "$to" --kinds "${names[@]}" --seeds "${seeds[@]}" \
    --figure whitening-variance core explained_variance "explained variance of held-out rows" \
    --figure whitening-loss core ce_loss_score "CE loss score"
done
