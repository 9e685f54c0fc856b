#!/usr/bin/env bash
# Measures training speed of hsae and other tools, in one run on one machine: rows per second of hsae (hierarchical and
# flat, batch 32,768), of SAELens, sparsify, dictionary_learning (flat TopK) and of a plain PyTorch H-SAE. All have the
# same d, m and k, and each has the best of a few batches and settings.
#
#   runs/peers.sh [FOLDER] [WHAT…]      WHAT: hsae, sae_lens, sparsify:8192, plain_hsae:2048:bf16, table …
#
# Without WHAT everything is measured. Results are kept in FOLDER (default out/peers), one line each, so you can
# measure in parts; the table has all results there. The other tools are in the environment of runs/peers/python.sh.
#
#   JAX_STEP=PROGRAM     the authors' step, which is on no package index. It is called with --width
#                        --experts --k --subspace --sublatents --batch and prints rows per second last
#   WIDTH, EXPERTS, K, SUBSPACE, SUBLATENTS     sizes (default 640, 16384, 32, 4, 16)
#   SECONDS_EACH         time for a setting's steps, after the first (default 15; at least two steps)
#   PYTHON, HSAE, DATA   the interpreter, the executable, rows for hsae (default: see hsae bench --help)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-out/peers}
shift || true
hsae=${HSAE:-.build/release/hsae}
k=(--k "${K:-32}")
sizes=(--width "${WIDTH:-640}" --experts "${EXPERTS:-16384}"
  --subspace "${SUBSPACE:-4}" --sublatents "${SUBLATENTS:-16}")
mkdir -p "$folder"

# Name, batch, settings. Memory limits the other tools' batches: dense codes are batch × experts × 4 bytes.
settings=(
  hsae:32768: hsae:32768:batchtopk hsae:32768:matryoshka hsae:32768:jumprelu
  sae_lens:8192:batchtopk,bf16 sae_lens:8192:matryoshka,bf16 sae_lens:8192:jumprelu,bf16
  sae_lens:8192:batchtopk sae_lens:8192:matryoshka sae_lens:8192:jumprelu
  sae_lens:4096:bf16 sae_lens:8192:bf16 sae_lens:16384:bf16 sae_lens:8192:
  sparsify:2048:bf16 sparsify:8192:bf16 sparsify:8192: sparsify:8192:adam,bf16
  sparsify:16384:bf16 sparsify:32768:bf16,chunks
  dictionary_learning:2048:bf16 dictionary_learning:8192:bf16 dictionary_learning:8192:
  plain_hsae:1024: plain_hsae:2048: plain_hsae:2048:bf16 plain_hsae:4096:bf16
)
[ -z "${JAX_STEP:-}" ] || settings+=(jax:512: jax:2048:)

# measure NAME BATCH SETTINGS: a line of JSON in FOLDER; a setting that fails is reported and skipped.
measure() {
  local name=$1 batch=$2 variant=$3 out
  out="$folder/$name-$batch-${variant:-plain}.json"
  echo "$name, batch $batch${variant:+, $variant} …" >&2
  case $name in
    hsae)
      local m=${EXPERTS:-16384} own=("${k[@]}")
      case $variant in
      batchtopk) own+=(--activation batchtopk) ;;
      matryoshka) own+=(--activation batchtopk --matryoshka "$((m / 16)),$((m / 4)),$m") ;;
      jumprelu) own=(--activation jumprelu --l0-target "${K:-32}") ;;
      esac
      # --width is for made-up rows; given rows have their own width.
      "$hsae" bench ${DATA:+"$DATA"} --preset gemma-3-270m "${sizes[@]:${DATA:+2}}" "${own[@]}" \
        --batch "$batch" --comparison-batch "$batch" --warm-steps 1 --blocks 3 --block-steps 1 \
        --json 2>"$out.log" >"$out.part" ;;
    jax)
      "$JAX_STEP" "${sizes[@]}" "${k[@]}" --batch "$batch" 2>"$out.log" | tail -n 1 |
        sed "s/.*/{\"name\": \"jax\", \"variant\": \"\", \"batch\": $batch, \"tokensPerSecond\": &}/" \
          >"$out.part" ;;
    *)
      python=${python:-$(runs/peers/python.sh)} || exit 69
      # Keep a step's memory for the next step instead of returning it to the system.
      MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 \
        "$python" runs/peers/peer.py "$name" "${sizes[@]}" "${k[@]}" --batch "$batch" \
        --variant "$variant" --seconds "${SECONDS_EACH:-15}" 2>"$out.log" | tail -n 1 \
        >"$out.part" ;;
  esac && [ -s "$out.part" ] && mv "$out.part" "$out" || {
    echo "$0: $name, batch $batch, ${variant:-plain} failed; see $out.log" >&2
    rm -f "$out.part"
  }
}

for setting in "${settings[@]}"; do
  IFS=: read -r name batch variant <<<"$setting"
  wanted=$([ $# = 0 ] && echo yes || echo no)
  for what in "$@"; do
    case $setting in "$what" | "$what":*) wanted=yes ;; esac
  done
  [ "$wanted" = no ] || measure "$name" "$batch" "$variant"
done
python3 runs/peers/table.py "$folder"
