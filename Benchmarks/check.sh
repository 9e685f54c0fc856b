#!/usr/bin/env bash
# Counts the instructions of every kernel (AVX2) and of every phase of a training step under callgrind and
# compares them with thresholds.txt. More than 2 % above fails; more than 2 % below gives a note.
#
#   Benchmarks/check.sh BINARY            compares                (make bench-check)
#   Benchmarks/check.sh BINARY --record   writes thresholds.txt   (make bench-record)
#
# The workloads use one thread and one instruction set, so machine and load do not matter; the compiler, the
# C library and oneDNN do. Exit codes: 1 too many instructions, 69 no valgrind.
set -euo pipefail

binary=${1:?usage: Benchmarks/check.sh BINARY [--record]}
here=$(cd "$(dirname "$0")" && pwd)
thresholds=$here/thresholds.txt
tolerance=0.02
if ! command -v valgrind >/dev/null; then
  echo "bench-check: valgrind is not installed; make bench-check installs it." >&2
  exit 69
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# valgrind 3.19 fails on the debug information of some builds; names of functions do not need it.
cp "$binary" "$work/benchmarks"
strip --strip-debug "$work/benchmarks"
binary=$work/benchmarks
export HSAE_ISA=avx2 ONEDNN_MAX_CPU_ISA=AVX2 SWIFT_DETERMINISTIC_HASHING=1

# The kernels and the methods of the engine to count.
kernels="to_bfloat16 dot axpy scale sum_squares residuals rows_dot rows_dot_bfloat16
  outer outer_bfloat16 spread
  panel_sums panel_sums_bfloat16 pair_columns expand_bits fourth_powers scan
  sub_forward sub_backward adam adam_bfloat16"
phases="step prepareRows encode groupPairs forward auxiliaryLoss orthogonality
  penaliseLatents backward update"

# count WORKLOAD: prints inclusive counts of all functions, as lines of COUNT NAME.
count() {
  valgrind --tool=callgrind --callgrind-out-file="$work/$1.out" --error-exitcode=70 \
    "$binary" "$1" >"$work/$1.log" 2>&1 || {
    tail -n 20 "$work/$1.log" >&2
    echo "bench-check: the workload $1 failed under valgrind (above)." >&2
    exit 70
  }
  callgrind_annotate --auto=no --inclusive=yes --threshold=100 --show-percs=no "$work/$1.out" |
    sed -nE 's/^ *([0-9][0-9,]*) +[^ :]*:(.*)$/\1 \2/p' | sed -E 's/ \[[^]]*\]$//' |
    sed -E ':a; s/^([0-9]+),/\1/; ta' | swift demangle --compact
}

# pick NAME PATTERN [LEAST]: prints the largest count among the functions on standard input whose name contains
# PATTERN, unless it is below LEAST. It may be a closure in the function, if the compiler inlined the rest.
pick() {
  awk -v name="$1" -v pattern="$2" -v least="${3:-0}" '
    index($0, pattern) && $1 + 0 > most { most = $1 + 0 }
    END { if (most && most >= least) printf "%s %d\n", name, most }'
}

{
  count kernels >"$work/kernels"
  for name in $kernels; do pick "kernel/$name" " ${name}_avx2" <"$work/kernels"; done
  for name in keys_top transpose_bits; do pick "kernel/$name" " hsae_$name" <"$work/kernels"; done
  for workload in hierarchical flat; do
    count "$workload" >"$work/$workload"
    for name in $phases; do
      pick "$workload/$name" "HSAEEngine.TrainingEngine.$name(" 10000 <"$work/$workload"
    done
    pick "$workload/usage" "TrainingEngine.(countUsage in" <"$work/$workload"
  done
} >"$work/counts"

if [ "${2:-}" = --record ]; then
  {
    echo "# Instructions of every kernel and phase (Benchmarks/check.sh). Record again with make bench-record,"
    echo "# after an intended change, and explain the change in the commit."
    echo "# $(swift --version 2>&1 | sed -nE 's/.*(Swift version [0-9.]+).*/\1/p' | head -n 1), $(valgrind --version)"
    cat "$work/counts"
  } >"$thresholds"
  echo "bench-check: recorded $(wc -l <"$work/counts") counts in $thresholds" >&2
  exit
fi

awk -v tolerance="$tolerance" '
  /^#/ { next }
  NR == FNR { old[$1] = $2; next }
  { new[$1] = $2
    if (!($1 in old)) { printf "%-28s %12d  new: record it\n", $1, $2; bad = 1; next }
    change = $2 / old[$1] - 1
    note = change > tolerance ? "  MORE" : (change < -tolerance ? "  fewer: record it" : "")
    if (change > tolerance) bad = 1
    printf "%-28s %12d %+7.2f %%%s\n", $1, $2, 100 * change, note }
  END { for (name in old) if (!(name in new)) { printf "%-28s gone: record it\n", name; bad = 1 }
    exit bad }' "$thresholds" "$work/counts" || {
  echo "bench-check: counts differ from $thresholds (above)." >&2
  exit 1
}
