#!/usr/bin/env bash
# Builds the package in Examples, which depends on this one as a user's package does, and tries its programs on
# made-up rows. Part of `make test`; it does not build the dependencies of the hsae command.
#
#   scripts/examples.sh
set -euo pipefail

cd "$(dirname "$0")/.."
swift build -c release --package-path Examples --scratch-path .build-examples
programs=$PWD/.build-examples/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 4,000 rows of width 24, each one of 6 directions plus one of its three children; as a .npy file and as lines.
python3 - "$work" <<'PYTHON'
import random, struct, sys

random.seed(1)
rows = []
for index in range(4000):
    row = [random.gauss(0, 0.02) for _ in range(24)]
    row[index % 6] += 1
    row[6 + 3 * (index % 6) + index // 6 % 3] += 0.5
    rows.append(row)
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4000, 24), }"
header += " " * (63 - (len(header) + 10) % 64) + "\n"
with open(sys.argv[1] + "/rows.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    for row in rows:
        file.write(struct.pack("<24f", *row))
with open(sys.argv[1] + "/rows.txt", "w") as file:
    for row in rows[:5]:
        print(*row, file=file)
PYTHON

fail() {
  echo "examples: $1" >&2
  exit 1
}
"$programs/train-on-vectors" "$work/rows.npy" "$work/run" 32 300 >"$work/output" || fail "$(cat "$work/output")"
grep -q '^expert .* active on' "$work/output" || fail "train-on-vectors named no expert: $(cat "$work/output")"
grep -q '^  sublatent ' "$work/output" || fail "train-on-vectors named no sublatent: $(cat "$work/output")"
[[ -f $work/run/config.json ]] || fail "train-on-vectors left no run"
"$programs/encode-stream" "$work/run" <"$work/rows.txt" >"$work/codes"
[[ $(grep -cE '^[0-9]+\.[0-9]+:[0-9.]+' "$work/codes") == 5 ]] || fail "encode-stream: $(cat "$work/codes")"
if echo "1 2 3" | "$programs/encode-stream" "$work/run" >"$work/refusal"; then fail "three numbers were accepted"; fi
grep -q 'line 1: there must be 24' "$work/refusal" || fail "the error message is wrong: $(cat "$work/refusal")"
echo "examples: both programs work."
