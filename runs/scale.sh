#!/usr/bin/env bash
# Measures how a step's time falls with the number of ranks, each with one processor: 1 and 2 ranks in turn, REPEATS
# times, so that a machine that slows down does so for both. docs/scale.md explains the result.
#
#   runs/scale.sh STORE [FOLDER]
#
# Environment: RANKS [1 2]  EXPERTS [16k]  BATCH [32768]  STEPS [4, after a first one that does not count]  REPEATS [3]
#   OPTIONS of hsae train [--preset gemma-3-270m]  HSAE [.build-mpi/release/hsae]
# With more ranks than processors, ranks share them: bytes and bits are then right, but times are not.
set -euo pipefail
cd "$(dirname "$0")/.."
store=$1
folder=${2:-out/scale}
hsae=${HSAE:-.build-mpi/release/hsae}
steps=${STEPS:-4}
read -ra options <<<"${OPTIONS:---preset gemma-3-270m}"
mkdir -p "$folder"
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
processors=$(nproc)

for repeat in $(seq "${REPEATS:-3}"); do
  for ranks in ${RANKS:-1 2}; do
    out=$folder/r$ranks-$repeat
    rm -rf "$out"
    bind=(--bind-to core)
    [ "$ranks" -le "$processors" ] || bind=(--bind-to none --oversubscribe)
    mpirun -n "$ranks" "${bind[@]}" "$hsae" train "$store" "${options[@]}" --experts "${EXPERTS:-16k}" \
      --batch "${BATCH:-32768}" --steps $((steps + 1)) --record-every 1 --checkpoint-every 0 --threads 1 \
      --out "$out" 2>"$out.log" >/dev/null
    rm -rf "$out/checkpoints"
  done
done

python3 - "$folder" <<'PYTHON'
import glob, json, statistics, sys
times = {}
for path in glob.glob(sys.argv[1] + "/r*-*/metrics.jsonl"):
    ranks = int(path.split("/")[-2][1:].split("-")[0])
    records = [json.loads(line) for line in open(path)]
    steps = [b["seconds"] - a["seconds"] for a, b in zip(records, records[1:])]
    times.setdefault(ranks, []).append(statistics.median(steps))
print("| ranks | seconds a step, median of each run | times one rank |\n|---|---|---|")
one = statistics.median(times[1]) if 1 in times else None
for ranks, values in sorted(times.items()):
    middle = statistics.median(values)
    print("| %d | %s | %s |" % (ranks, ", ".join("%.3f" % v for v in sorted(values)),
                                "%.2f" % (one / middle) if one else ""))
PYTHON
