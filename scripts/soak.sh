#!/usr/bin/env bash
# Runs the long tests in parts, each with its log. It skips a part that passed for the same commit, so a soak that was
# stopped continues when it is started again. At the end it prints what passed, failed and was skipped, with seconds.
#
#   make soak                      all parts
#   make soak PARTS="asan tsan"    these parts; `scripts/soak.sh --list` prints all
#
# Stamps and logs are in .build-test/soak/COMMIT; delete it to run all parts again. With changes that are not committed
# every part runs. It is started by make, which sets the environment. A part of a million inputs under AddressSanitizer
# runs in slices of 25,000 with seeds of their own, two at a time; a slice that passed is kept like a part.
set -uo pipefail
cd "$(dirname "$0")/.."

# Tests that use `Fuzz` with a million inputs, suite by suite, without other tests beside them: they watch the peak of
# memory. AddressSanitizer runs those that read the most formats of others.
mapfile -t suites < <(grep -rl 'Fuzz()' Tests --include='*Tests.swift' | xargs -rn 1 basename -s .swift | sort)
parts=(bench-check test-mpi two-hosts tests)
for suite in "${suites[@]}"; do parts+=("fuzz-$suite"); done
parts+=(asan asan-fuzz-ImportFuzzTests asan-fuzz-GGUFFuzzTests tsan)
if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${parts[@]}"
  exit
fi
chosen=("$@")
[[ $# -gt 0 ]] || chosen=("${parts[@]}")
for part in "${chosen[@]}"; do
  [[ " ${parts[*]} " == *" $part "* ]] || {
    echo "soak: there is no part \"$part\"; scripts/soak.sh --list prints all." >&2
    exit 64
  }
done

# The commit, "changed" if files differ from it.
commit() {
  [[ -z $(git status --porcelain 2>/dev/null || echo "?") ]] && git rev-parse HEAD || echo changed
}
commit=$(commit)
[[ $commit != changed ]] || rm -rf .build-test/soak/changed*
folder=.build-test/soak/$commit${HSAE_FUZZ_SEED:+-seed-$HSAE_FUZZ_SEED}
mkdir -p "$folder"

tests() { swift test --configuration release --scratch-path .build-test --disable-xctest "$@"; }
asan=(-c release --scratch-path .build-asan --sanitize address)

# slices SUITE FOLDER: 40 slices of 25,000 inputs, of which two run at a time.
slices() {
  local suite=$1 folder=$2
  mkdir -p "$folder"
  swift test list "${asan[@]}" >/dev/null || return
  local program
  program=$(swift build "${asan[@]}" --show-bin-path)/hsaePackageTests.xctest || return
  slice() {
    [[ ! -e $folder/$1.passed ]] || return 0
    # The program itself: of two `swift test` in one build folder the second waits. Inputs are small, so a short memory
    # of freed blocks is enough, and who allocated them is asked only after a failure. That saves a fifth of the time.
    ASAN_OPTIONS=$ASAN_OPTIONS:malloc_context_size=1:quarantine_size_mb=16 HSAE_FUZZ_ITERATIONS=25000 HSAE_FUZZ_SEED=$((1 + 25000 * $1)) \
      "$program" --testing-library swift-testing --filter "$suite" >"$folder/$1.log" 2>&1 &
    child=$!
    wait "$child" || {
      echo "The slice of 25,000 inputs from seed $((1 + 25000 * $1)) on failed; see $folder/$1.log:"
      tail -n 20 "$folder/$1.log"
      return 1
    }
    mv "$folder/$1.log" "$folder/$1.passed"
  }
  worker() {
    local number child="" result=0
    trap '[[ -z $child ]] || kill "$child"; exit 143' TERM
    for ((number = $1; number < 40; number += 2)); do slice "$number" || result=1; done
    return $result
  }
  worker 0 &
  local first=$! result=0
  # In a process of its own too, so that its trap is not the script's.
  worker 1 &
  wait $! || result=1
  wait "$first" && return $result
}

run() {
  export ASAN_OPTIONS=detect_leaks=0
  case $1 in
  bench-check | test-mpi | two-hosts) "${MAKE:-make}" "$1" ;;
  tests) HSAE_SOAK=1 HSAE_INTEROP_PYTHON=$(scripts/interop-python.sh) tests ;;
  fuzz-*) HSAE_FUZZ_ITERATIONS=1000000 tests --no-parallel --filter "${1#fuzz-}" ;;
  asan)
    swift test "${asan[@]}" \
      --filter 'HSAE(Platform|Support|Activations|LanguageModels|Tensors|Runs|Engine|Training|Interop)Tests'
    ;;
  asan-fuzz-*) slices "${1#asan-fuzz-}" "$folder/$1" ;;
  tsan)
    # Swift's Mutex waits with a futex that ThreadSanitizer does not see, so it may report what a Mutex guards.
    printf 'race:AgreedFailures\n' >"$folder/tsan.supp"
    TSAN_OPTIONS="suppressions=$PWD/$folder/tsan.supp" swift test -c release --scratch-path .build-tsan --sanitize thread \
      --filter 'HSAE(Tensors|Models|Engine|Training)Tests'
    ;;
  esac
}

# Why the part $1 cannot run here; nothing if it can.
obstacle() {
  [[ $1 == two-hosts ]] || return 0
  [[ $(id -u) -eq 0 ]] && ip netns list >/dev/null 2>&1 || echo "it needs root and iproute2"
}

summary=() failed=0
finish() {
  kill $(jobs -p) 2>/dev/null
  [[ ${#summary[@]} -eq 0 ]] || printf 'soak: %-8s %-28s %s\n' "${summary[@]}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for part in "${chosen[@]}"; do
  stamp=$folder/$part.passed log=$folder/$part.log
  why=$(obstacle "$part")
  if [[ -n $why ]]; then
    summary+=(skipped "$part" "$why")
    continue
  elif [[ -e $stamp ]]; then
    summary+=(skipped "$part" "it passed for this commit in $(<"$stamp") s")
    continue
  fi
  echo "soak: $part (log: $log)"
  start=$SECONDS
  if run "$part" >"$log" 2>&1; then
    seconds=$((SECONDS - start))
    if [[ $(commit) == "$commit" ]]; then
      echo "$seconds" >"$stamp"
      summary+=(passed "$part" "$seconds s")
    else
      summary+=(passed "$part" "$seconds s, but files changed meanwhile, so it will run again")
    fi
  else
    failed=1
    summary+=(failed "$part" "$((SECONDS - start)) s, see $log")
    tail -n 30 "$log" >&2
  fi
done
exit "$failed"
