#!/usr/bin/env bash
# Makes a Python environment with zarr-python and TensorStore in the cache, for tests that compare stores with
# them, and prints its interpreter's path. It takes 30 seconds and 210 MB, once. If it cannot be made (no
# network), the script prints a note, no path, and succeeds; those tests are then skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
requirements=$here/dev/interop/requirements.txt
folder=$cache/interop-$(sha256sum "$requirements" | cut -c 1-16)
if [ ! -e "$folder/complete" ]; then
  mkdir -p "$cache"
  rm -rf "$folder"
  if ! { python3 -m venv "$folder" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement "$requirements"; } >"$cache/interop.log" 2>&1; then
    tail -n 3 "$cache/interop.log" >&2
    echo "interop: no Python environment (above); tests against zarr-python are skipped" >&2
    rm -rf "$folder"
    exit 0
  fi
  : >"$folder/complete"
fi
printf '%s\n' "$folder/bin/python"
