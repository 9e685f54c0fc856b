#!/usr/bin/env bash
# Builds the tests and what they need, and runs them. Part of `make test`, which sets the environment. What waits for
# the network, and the package in Examples, whose build leaves cores idle, run beside the build of the tests.
#
#   scripts/test.sh OPTION…        options of `swift test`, such as --scratch-path
set -euo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
names=() jobs=()
finish() {
  kill "${jobs[@]}" 2>/dev/null || true
  rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# beside NAME COMMAND…: runs the command beside the next ones; `join` waits for all of them and prints what they said.
beside() {
  local name=$1
  shift
  "$@" >"$logs/$name" 2>&1 &
  names+=("$name") jobs+=($!)
}
join() {
  local index failed=0
  for index in "${!jobs[@]}"; do
    wait "${jobs[index]}" || failed=1
    cat "$logs/${names[index]}" >&2
  done
  names=() jobs=()
  return $failed
}
prepare() { HSAE_BROWSER=1 scripts/setup.sh && scripts/interop-python.sh; }
models() {
  "$HSAE_EXECUTABLE" fetch gemma-3-270m && "$HSAE_EXECUTABLE" fetch smollm2-135m && "$HSAE_EXECUTABLE" fetch plugin cpu
}

beside prepare prepare
beside examples scripts/examples.sh
swift test list "$@" >/dev/null
beside models models
scripts/docs.sh check .build-test/release
join
# The summary of the tests comes last.
HSAE_PLUGIN=$("$HSAE_EXECUTABLE" fetch plugin cpu)
export HSAE_PLUGIN
HSAE_BROWSER_PYTHON=/usr/bin/python3 HSAE_INTEROP_PYTHON=$(scripts/interop-python.sh) \
  swift test "$@" --disable-xctest
