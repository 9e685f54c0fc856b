#!/usr/bin/env bash
# Trains dictionaries on a synthetic forest whose features and edges are known, at equal codes of a row, and measures which
# of them find it: suites truth and structure, several seeds. docs/truth.md has results, dev/LOG.md more of them.
#
#   runs/truth.sh FOLDER      keeps what an earlier call finished, and continues what it began
#
# Environment (defaults in brackets):
#   LAW      options of hsae synth [a quarter of SynthSAEBench-16k: 4,096 features in 192 dimensions, 32 trees]
#   KINDS    see `kind` below; a number after a name is k      SEEDS  [0 1 2]     M  top-level latents [1024]
#   STEPS    [2000]   BATCH  [1024]    RATE  learning rate [1e-3]; RATE_flat, RATE_h4 …: of a kind
#   BETA     [1] and ORTHO [0] of hierarchical ones: weights of the top level's own error and of orthogonality
#   ROWS     to evaluate on [100k]     OPTIONS  further options of hsae train for all runs
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
hsae=${HSAE:-.build/release/hsae}
read -ra law <<<"${LAW:---features 4096 --width 192 --roots 32}"
read -ra kinds <<<"${KINDS:-flat-16 wide-16 batchtopk-16 matryoshka-16 jumprelu-16 h4-8 h4-11-sub-5 h4-bk-11-sub-5 frozen-16 cosine-16}"
read -ra seeds <<<"${SEEDS:-0 1 2}"
read -ra options <<<"${OPTIONS:-}"
m=${M:-1024}
mkdir -p "$folder"
forest=$folder/forest.safetensors
"$hsae" synth "$forest" "${law[@]}"

# kind NAME: the options of a kind of dictionary. hA has A sublatents in A dimensions, hAsS in S; -bk: BatchTopK selects experts;
# -sub-N: N sublatents a row.
kind() {
  local name=$1 own=(--sublatents 0 --auxk 0.03125) experts=$m
  case $name in
  flat*) ;;
  wide*) experts=$((5 * m)) ;; # as many latents as h4 has at both levels
  batchtopk*) own+=(--activation batchtopk) ;;
  matryoshka*) own+=(--activation batchtopk --matryoshka "$((m / 16)),$((m / 4)),$m") ;;
  jumprelu*) own=(--sublatents 0 --auxk 0 --activation jumprelu) ;;
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
  case $name in *-bk*) own+=(--activation batchtopk) ;; esac
  case $name in jumprelu*) own+=(--l0-target "${name##*-}") ;; *) own+=(--k "${name##*-}") ;; esac
  local rate=RATE_${1%%-*}
  own+=(--experts "$experts" --learning-rate "${!rate:-${RATE:-1e-3}}")
  echo "${own[@]}"
}

common=(--normalize none --bias geometric-median --threshold 0 --threshold-sub 0 --steps "${STEPS:-2000}"
  --batch "${BATCH:-1024}" --keep 1)
for seed in "${seeds[@]}"; do
  runs=()
  for name in "${kinds[@]}"; do
    run=$folder/$name-seed$seed
    runs+=("$run")
    settings=$(kind "$name")
    read -ra own <<<"$settings"
    [ -e "$run/done" ] && continue
    "$hsae" train "$forest" "${common[@]}" "${own[@]}" "${options[@]}" --seed "$seed" --out "$run" --resume
    : >"$run/done"
  done
  file=$folder/truth-seed$seed.json
  if [ ! -e "$file" ] || [ -n "$(find "${runs[@]}" -maxdepth 1 -name done -newer "$file")" ]; then
    "$hsae" evaluate "${runs[@]}" --suite truth,structure --tokens "${ROWS:-100k}" --out "$file" >"${file%.json}.txt"
  fi
done
python3 - "$folder" "${seeds[@]}" <<'P'
import json
import sys
from pathlib import Path

folder, seeds = Path(sys.argv[1]), sys.argv[2:]
columns = [
    ("codes_row", "codes", 1), ("explained_variance", "EV", 3), ("mcc", "MCC", 3), ("f1", "F1", 3), ("precision", "precision", 3),
    ("recall", "recall", 3), ("uniqueness", "uniqueness", 3), ("mcc_both", "MCC both", 3), ("f1_sublatents", "F1 sub", 3),
    ("edge_precision_tree", "tree: right", 3), ("edge_precision_tree_chance", "chance", 3), ("edge_recall_tree", "found", 3),
    ("edge_precision_coactivation", "coactivation: right", 3), ("edge_recall_coactivation", "found", 3),
    ("edge_precision_clusters", "clusters: right", 3), ("edge_recall_clusters", "found", 3), ("dead", "dead", 3)]
print("| dictionary |", " | ".join(title for _, title, _ in columns), "|")
print("|---" * (1 + len(columns)) + "|")
table = {}
for seed in seeds:
    for run in json.loads((folder / f"truth-seed{seed}.json").read_text())["runs"]:
        for result in run["results"]:
            if result["suite"] == "truth":
                values = {n["key"]: n["value"] for n in result["numbers"]}
                table.setdefault(run["name"].rsplit("-seed", 1)[0], []).append(values)
for name, runs in table.items():
    cells = []
    for key, _, digits in columns:
        found = [float(r[key]) for r in runs if key in r]
        found = [v for v in found if v == v]
        if not found:
            cells.append("")
        elif len(found) == 1:
            cells.append(f"{found[0]:.{digits}f}")
        else:
            cells.append(f"{sum(found) / len(found):.{digits}f} ({min(found):.{digits}f}–{max(found):.{digits}f})")
    print(f"| {name} | {' | '.join(cells)} |")
P
