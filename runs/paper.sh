#!/usr/bin/env bash
# Makes the paper's figures 3 and 5 for Gemma 3 270M: trains flat SAEs and H-SAEs with 16 and 64 sublatents at several
# widths on one collected residual stream, all on the same batches for each seed; evaluates them on held-out documents;
# makes figures and tables. Also repeats the study of the unembedding. docs/paper.md has results.
#
#   runs/paper.sh [FOLDER]          everything; keeps what an earlier call finished, and continues what
#                                   it began
#   runs/paper.sh rates [FOLDER]    first: a grid of learning rates at the smallest width, one epoch
#
# Environment (defaults in brackets):
#   STORE     a store to train on; without it one is collected into FOLDER
#   MODEL     the model of it [gemma-3-270m]          LAYER   its block [12]     TOKENS  rows [2M]
#   KINDS     of dictionaries [flat h16 h64], see `kind` below; with numbers of codes of their own, such as
#             "flat h16-16" or "batchtopk-64 h16-bk-24-sub-8", comparisons are at equal codes
#   WIDTHS    top-level latents [2k 4k 8k]            SEEDS   [0]                K       active ones [32]
#   EPOCHS    [4]       BATCH  [the trainer's choice] RATE    learning rate [2e-3]; RATE_flat, RATE_h16_bk …: of a kind
#   THRESHOLD of latents and sublatents [0]: with the paper's 1/√width most of them are inactive at width 640
#   L1        λ₂ of H-SAEs [1e-4]: with the paper's 1e-3 half of 8,192 experts are dead here
#   RATES     of the grid [2e-4 5e-4 1e-3 2e-3]       RATE_EPOCHS  [1]
#   BIAS      [geometric-median]: rows of a residual stream share a large mean, and without a bias a third
#             of the latents die
#   OPTIONS   further options of hsae train for all runs
#   SENTENCES a file for the suite crosslingual, such as the authors' own (evals/translations.json of their repository)
#   SUITES    [core absorption crosslingual cost]               EVALUATE  further options of hsae evaluate
#   UNEMBEDDING_STEPS  of the study of the vocabulary [5000]; 0 leaves it out
#   FIGURES   where figures and results go [FOLDER/figures]
set -euo pipefail
cd "$(dirname "$0")/.."

hsae=${HSAE:-.build/release/hsae}
task=all
if [ "${1:-}" = rates ]; then task=rates && shift; fi
folder=${1:-out/paper}
model=${MODEL:-gemma-3-270m} layer=${LAYER:-12} tokens=${TOKENS:-2M}
read -ra widths <<<"${WIDTHS:-2k 4k 8k}"
read -ra seeds <<<"${SEEDS:-0}"
read -ra kinds <<<"${KINDS:-flat h16 h64}"
read -ra rates <<<"${RATES:-2e-4 5e-4 1e-3 2e-3}"
read -ra suites <<<"${SUITES:-core absorption crosslingual cost}"
read -ra options <<<"${OPTIONS:-}"
read -ra evaluate <<<"${EVALUATE:-}"
store=${STORE:-$folder/layer-$layer.store}
figures=${FIGURES:-$folder/figures}
common=(--bias "${BIAS:-geometric-median}" --keep 1)
common+=(--threshold "${THRESHOLD:-0}" --threshold-sub "${THRESHOLD:-0}")
if [ -n "${BATCH:-}" ]; then common+=(--batch "$BATCH"); fi
say() { printf 'paper: %s\n' "$*" >&2; }
took() { say "$1: $((($(date +%s) - $2) / 60)) min"; }
mkdir -p "$folder"

# kind NAME WIDTH: the settings of a kind of dictionary, for --also. A number after a name is k. Flat kinds have AuxK and
# no penalty. h16 and h64 have 16 and 64 sublatents; -bk: BatchTopK selects experts; -sub-N: N sublatents a row.
kind() {
  local name=$1 l1=l1=${L1:-1e-4} settings experts=${2%k} k
  case $2 in *k) experts=$((experts * 1024)) ;; esac
  local prefixes=$((experts / 16))/$((experts / 4))/$experts
  case $name in
  flat*) settings=sublatents=0,l1=0,activation=topk ;;
  wide16*) settings=sublatents=0,l1=0,activation=topk experts=$((experts * 5)) ;;  # as many parameters as h16
  batchtopk*) settings=sublatents=0,l1=0,activation=batchtopk ;;
  matryoshka*) settings=sublatents=0,l1=0,activation=batchtopk,matryoshka=$prefixes ;;
  jumprelu*) settings=sublatents=0,activation=jumprelu ;;
  frozen*) settings=sublatents=0,l1=0,activation=topk,freeze=decoder ;;
  cosine*) settings=sublatents=0,l1=0,activation=topk,decoder-cosine=0.8 ;;
  h16*) settings="sublatents=16,subspace=4,$l1" ;;
  h64*) settings="sublatents=64,subspace=8,$l1" ;;
  *) echo "paper: there is no kind $name" >&2 && exit 64 ;;
  esac
  case $name in *-sub-*) settings+=,k-sub=${name##*-sub-} name=${name%-sub-*} ;; esac
  case $name in *-bk*) settings+=,activation=batchtopk ;; h*) settings+=,activation=topk ;; esac
  k=${name##*-}
  case $k in '' | *[!0-9.]*) k=${K:-32} ;; esac
  case $name in jumprelu*) settings+=,l0-target=$k ;; *) settings+=,k=$k ;; esac
  local rate=RATE_${1%%-*}
  case $1 in *-bk*) rate+=_bk ;; esac
  echo "experts=$experts,$settings${!rate:+,learning-rate=${!rate}}"
}

# train RUN=SETTINGS… : trains these runs on the same batches; resumes those that were begun.
# TRAINING has further options for all of them.
train() {
  local begun=() new=() run arguments
  for run in "$@"; do
    if [ -e "${run%%=*}/config.json" ]; then begun+=("${run%%=*}"); else new+=("$run"); fi
  done
  if [ ${#begun[@]} -gt 0 ]; then
    arguments=()
    for run in "${begun[@]:1}"; do arguments+=(--also "$run"); done
    "$hsae" train --resume --out "${begun[0]}" "${arguments[@]}"
  fi
  # All runs inherit the first run's options, and --also cannot take these back: they come last, or are trained alone.
  local plain=() special=()
  for run in "${new[@]}"; do
    case $run in *k-sub=* | *matryoshka=* | *freeze=* | *decoder-cosine=*) special+=("$run") ;; *) plain+=("$run") ;; esac
  done
  if [ ${#plain[@]} = 0 ] && [ ${#special[@]} -gt 1 ]; then
    for run in "${special[@]}"; do train "$run"; done
    return
  fi
  new=("${plain[@]}" "${special[@]}")
  if [ ${#new[@]} -gt 0 ]; then
    arguments=()
    # Its own settings become options.
    local settings=${new[0]#*=} setting
    for setting in ${settings//,/ }; do arguments+=("--${setting%%=*}" "${setting#*=}"); done
    for run in "${new[@]:1}"; do arguments+=(--also "${run%%=*}:${run#*=}"); done
    "$hsae" train "$store" "${common[@]}" "${TRAINING[@]}" "${options[@]}" --out "${new[0]%%=*}" \
      "${arguments[@]}"
  fi
}

if [ ! -e "$store/zarr.json" ] || grep -q '"complete" *: *false' "$store/zarr.json"; then
  begin=$(date +%s)
  if [ ! -e "$folder/text.jsonl" ]; then
    "$hsae" corpus wiki-leads enwiki-excerpt --out "$folder/text.jsonl"
  fi
  "$hsae" collect "$model" --layer "$layer" --text "$folder/text.jsonl" --tokens "$tokens" --out "$store"
  took collecting "$begin"
fi

if [ "$task" = rates ]; then
  begin=$(date +%s)
  runs=()
  for name in "${kinds[@]}"; do
    for rate in "${rates[@]}"; do
      runs+=("$folder/rates/$name-$rate=$(kind "$name" "${widths[0]}"),learning-rate=$rate")
    done
  done
  mkdir -p "$folder/rates"
  TRAINING=(--epochs "${RATE_EPOCHS:-1}")
  train "${runs[@]}"
  "$hsae" evaluate "${runs[@]%%=*}" --store "$store" --suite core --out "$folder/rates/evaluation.json"
  took "the grid of learning rates" "$begin"
  exit
fi

TRAINING=(--epochs "${EPOCHS:-4}")
TRAINING+=(--learning-rate "${RATE:-2e-3}")
all=()
files=()
for seed in "${seeds[@]}"; do
  begin=$(date +%s)
  runs=()
  for width in "${widths[@]}"; do
    for name in "${kinds[@]}"; do
      runs+=("$folder/$name-$width-seed$seed=$(kind "$name" "$width"),seed=$seed")
    done
  done
  train "${runs[@]}"
  took "training with seed $seed" "$begin"
  paths=("${runs[@]%%=*}")
  all+=("${paths[@]}")
  for suite in "${suites[@]}"; do
    file=$folder/$suite-seed$seed.json
    # A file that is older than its inputs is made again.
    stale=$([ -e "$file" ] || echo yes)
    for path in "${paths[@]}"; do [ "$path/checkpoints" -nt "$file" ] && stale=yes; done
    if [ -n "$stale" ]; then
      begin=$(date +%s)
      given=(--model "$model")
      [ "$suite" = cost ] && given=()
      [ "$suite" = crosslingual ] && [ -n "${SENTENCES:-}" ] && given+=(--sentences "$SENTENCES")
      "$hsae" evaluate "${paths[@]}" --store "$store" --suite "$suite" "${given[@]}" "${evaluate[@]}" \
        --out "$file" >"${file%.json}.txt"
      took "suite $suite, seed $seed" "$begin"
    fi
    files+=("$file")
  done
done

if [ "${UNEMBEDDING_STEPS:-5000}" != 0 ]; then
  begin=$(date +%s)
  words=$folder/words.store
  [ -e "$words/zarr.json" ] || "$hsae" unembed "$model" --out "$words"
  "$hsae" train "$words" --preset unembedding --steps "${UNEMBEDDING_STEPS:-5000}" \
    --out "$folder/words-h" --also "$folder/words-flat:sublatents=0" --resume
  # Compare with WordNet if it is installed (HSAE_WORDNET=1 scripts/setup.sh).
  if [ -e /usr/share/wordnet/data.noun ]; then
    "$hsae" evaluate "$folder/words-h" "$folder/words-flat" --suite hierarchy \
      --out "$folder/words.json" >"$folder/words.txt"
  fi
  "$hsae" report "$folder/words-h" "$folder/words-flat" --out "$folder/words.html"
  took "the vocabulary" "$begin"
fi

"$hsae" report "${all[@]}" --evaluation "${files[@]}" --figures "$figures" --out "$folder/index.html"
say "figures and results.md are in $figures, the page is $folder/index.html"
