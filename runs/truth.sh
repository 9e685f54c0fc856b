#!/usr/bin/env bash
# Trains dictionaries that spend equal numbers of codes on a row, with several seeds, and measures them. Rows come from a
# synthetic forest, whose features and edges are known, or from an activation store. The script prints tables. For a forest
# it also draws truth-edges.svg, truth-f1.svg and truth-mcc.svg in FOLDER. docs/truth.md and dev/LOG.md have results.
#
#   runs/truth.sh FOLDER      keeps what an earlier call finished, and continues what it began
#   STORE=layer-12.store MODEL=gemma-3-270m KINDS="flat-32 h16s4-16 frozen-32" M=4096 runs/truth.sh FOLDER
#
# Environment (defaults in brackets):
#   LAW      options of hsae synth [a quarter of SynthSAEBench-16k: 4,096 features in 192 dimensions, 32 trees]
#   STORE    a store (hsae collect) instead of a forest; use a separate FOLDER for each
#   MODEL    the language model of the store
#   SUITES   for each seed [truth; of a store: core probing with MODEL, else none]; the suite structure is always measured
#   KINDS    see `kind` below; a number after a name is k      SEEDS  [0 1 2]     M  top-level latents [1024]
#   STEPS    [2000]   BATCH  [1024]    RATE  learning rate [1e-3]; RATE_flat, RATE_h4 …: of a kind
#   BETA     [1] and ORTHO [0] of hierarchical ones: weights of the top level's own error and of orthogonality
#   OPTIONS  further options of hsae train for all runs. Rows of a store are trained on at unit norm without a bias: many
#            latents may die (docs/paper.md), and then "--bias geometric-median" helps
#   JUMPRELU  options of jumprelu [of a forest: --jumprelu-start 1 --jumprelu-bandwidth 0.5]
#   ROWS     to evaluate on [100k]     EVALUATE  further options of hsae evaluate
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
hsae=${HSAE:-.build/release/hsae}
read -ra law <<<"${LAW:---features 4096 --width 192 --roots 32}"
read -ra kinds <<<"${KINDS:-flat-16 wide-16 batchtopk-16 matryoshka-16 jumprelu-16 h4-8 h4-11-sub-5 h4-bk-11-sub-5 frozen-16 cosine-16}"
read -ra seeds <<<"${SEEDS:-0 1 2}"
read -ra options <<<"${OPTIONS:-}"
read -ra evaluate <<<"${EVALUATE:-}"
m=${M:-1024}
mkdir -p "$folder"
common=(--threshold 0 --threshold-sub 0 --steps "${STEPS:-2000}" --batch "${BATCH:-1024}" --keep 1)
if [ -n "${STORE:-}" ]; then
  thresholds=
  data=$STORE given=(--store "$STORE") usual=${MODEL:+core probing}
  if [ -n "${MODEL:-}" ]; then given+=(--model "$MODEL"); fi
else
  # Features have magnitudes of 4 to 5: thresholds that begin at 0.01 would need more steps than these runs have.
  thresholds="--jumprelu-start 1 --jumprelu-bandwidth 0.5"
  data=$folder/forest.safetensors given=() usual=truth
  common+=(--normalize none --bias geometric-median)
  "$hsae" synth "$data" "${law[@]}"
fi
read -ra jumprelu <<<"${JUMPRELU-$thresholds}"
read -ra suites <<<"${SUITES-$usual}"

# kind NAME: the options of a kind of dictionary. hA has A sublatents in A dimensions, hAsS in S; -bk: BatchTopK selects experts, -jr:
# JumpReLU, -frozen: a frozen decoder; -sub-N: N sublatents a row.
kind() {
  local name=$1 own=(--sublatents 0 --auxk 0.03125) experts=$m
  case $name in
  flat*) ;;
  wide*) experts=$((5 * m)) ;; # as many latents as h4 has at both levels
  batchtopk*) own+=(--activation batchtopk) ;;
  matryoshka*) own+=(--activation batchtopk --matryoshka "$((m / 16)),$((m / 4)),$m") ;;
  jumprelu*) own=(--sublatents 0) ;;
  frozen*) own+=(--freeze decoder) ;;
  cosine*) own+=(--decoder-cosine 0.8) ;;
  h[0-9]*)
    local a=${name#h} s
    a=${a%%-*} s=${a#*s} a=${a%%s*}
    own=(--sublatents "$a" --subspace "$s" --ortho "${ORTHO:-0}" --l1 0 --beta "${BETA:-1}" --auxk 0.03125)
    ;;
  *) echo "truth: there is no kind $name" >&2 && exit 64 ;;
  esac
  case $name in *-sub-*) own+=(--k-sub "${name##*-sub-}") name=${name%-sub-*} ;; esac
  case $name in h*-frozen*) own+=(--freeze decoder) ;; esac
  case $name in *-bk*) own+=(--activation batchtopk) ;; esac
  case $name in
  jumprelu* | *-jr*) own+=(--activation jumprelu --auxk 0 --l0-target "${name##*-}" "${jumprelu[@]}") ;;
  *) own+=(--k "${name##*-}") ;;
  esac
  local rate=RATE_${1%%-*}
  own+=(--experts "$experts" --learning-rate "${!rate:-${RATE:-1e-3}}")
  echo "${own[@]}"
}

# measure SUITE NAME RUN…: evaluates these runs, unless a file has this suite for all of them as they are now.
measure() {
  local file=$folder/$1-$2.json run stale=0
  for run in "${@:3}"; do
    [ "$file" -nt "$run/done" ] && grep -qF "\"${run##*/}\"" "$file" || stale=1
  done
  [ "$stale" = 1 ] || return 0
  "$hsae" evaluate "${@:3}" --suite "$1" --tokens "${ROWS:-100k}" "${given[@]}" "${evaluate[@]}" \
    --out "$folder/unfinished.json" >"${file%.json}.txt"
  mv "$folder/unfinished.json" "$file"
}

for seed in "${seeds[@]}"; do
  runs=()
  for name in "${kinds[@]}"; do
    run=$folder/$name-seed$seed
    runs+=("$run")
    settings=$(kind "$name")
    read -ra own <<<"$settings"
    [ -e "$run/done" ] && continue
    "$hsae" train "$data" "${common[@]}" "${own[@]}" "${options[@]}" --seed "$seed" --out "$run" --resume
    : >"$run/done"
  done
  for suite in "${suites[@]}"; do measure "$suite" "seed$seed" "${runs[@]}"; done
done
# The suite structure sees all seeds of a kind together, because it also measures whether they agree.
for name in "${kinds[@]}"; do
  runs=()
  for seed in "${seeds[@]}"; do runs+=("$folder/$name-seed$seed"); done
  measure structure "$name" "${runs[@]}"
done
python3 runs/results.py "$folder" --kinds "${kinds[@]}" --seeds "${seeds[@]}"
