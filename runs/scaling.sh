#!/usr/bin/env bash
# Measures how the cost of a row grows with the number of rows trained (it should not) and with m (linearly).
#
#   runs/scaling.sh [FOLDER] [rows | 2k | 4k | … | 64k | table]…     (default: everything)
#
# rows: one run of the unembedding preset, batch 2,048, 3,000 steps: the time of a row in parts of the run.
# 2k … 64k: bench at d 640, k 32, s 4, a 16, batch 8,192, with weights after STEPS steps (default 200) of
# 4,096 rows. A run is removed after it was measured (64k: 5 GB). Results are in dev/LOG.md.
set -euo pipefail
cd "$(dirname "$0")/.."
hsae=${HSAE:-.build/release/hsae}
folder=${1:-out/scaling}
shift || true
[ $# != 0 ] || set -- rows 2k 4k 8k 16k 32k 64k
mkdir -p "$folder"
store=${DATA:-$folder/words.store}
[ -d "$store" ] || "$hsae" unembed gemma-3-270m --out "$store"

for what in "$@"; do
  case $what in
    table) ;;
    rows)
      rm -rf "$folder/rows"
      "$hsae" train "$store" --preset unembedding --batch 2048 --steps 3000 --record-every 100 \
        --checkpoint-every 0 --out "$folder/rows" ;;
    *)
      if [ ! -d "$folder/m-$what/checkpoints" ]; then
        rm -rf "$folder/m-$what"
        "$hsae" train "$store" --preset gemma-3-270m --experts "$what" --batch 4096 \
          --steps "${STEPS:-200}" --checkpoint-every 0 --out "$folder/m-$what"
      fi
      "$hsae" bench --from "$folder/m-$what" --batch 8192 --comparison-batch 0 --warm-steps 2 \
        --blocks 5 --block-steps 2 --json >"$folder/m-$what.json.part"
      mv "$folder/m-$what.json.part" "$folder/m-$what.json"
      rm -rf "$folder/m-$what" ;;
  esac
done

python3 - "$folder" <<'PYTHON'
import glob, json, os, sys
folder = sys.argv[1]
path = os.path.join(folder, "rows", "metrics.jsonl")
if os.path.exists(path):
    records = {r["step"]: r for r in map(json.loads, open(path))}
    print("\n| steps | µs a row | latents above the threshold |\n|---|---|---|")
    for first, last in [(0, 100), (100, 300), (300, 1000), (1000, 2000), (2000, 3000)]:
        if last in records:
            begin = records.get(first, {"seconds": 0, "tokens": 0})
            end = records[last]
            cost = (end["seconds"] - begin["seconds"]) / (end["tokens"] - begin["tokens"])
            print("| %d–%d | %.2f | %.1f %% |" % (first + 1, last, cost * 1e6, end["aboveThreshold"] * 100))
results = [json.load(open(path)) for path in glob.glob(os.path.join(folder, "m-*.json"))]
if results:
    print("\n| m | rows/s | µs a row | per 1,000 latents | step / limit | with pairs | above the threshold |")
    print("|---|---|---|---|---|---|---|")
    for r in sorted(results, key=lambda r: r["shape"]["experts"]):
        m, cost = r["shape"]["experts"], 1e6 / r["tokensPerSecond"]
        print("| %d | %d | %.1f | %.2f | %.2f | %.2f | %.1f %% |" % (
            m, r["tokensPerSecond"], cost, cost / m * 1000, r["stepOverLimit"],
            r.get("stepOverLimitWithPairs", float("nan")), r["aboveThreshold"] * 100))
PYTHON
