#!/usr/bin/env bash
# Makes a Python environment with zarr-python and TensorStore in the cache, for tests that compare stores with
# them, and with axe-core, which checks that people with disabilities can use the explorer's pages. Prints its
# interpreter's path. It takes 30 seconds and 210 MB, once. If it cannot be made (no network), the script prints a note,
# no path, and succeeds; those tests are then skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
requirements=$here/dev/interop/requirements.txt
# A wheel of which only the script of axe-core is used, not the packages that it asks for.
axe="axe-playwright-python==0.1.8 --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"
folder=$cache/interop-$({ cat "$requirements"; echo "$axe"; } | sha256sum | cut -c 1-16)
if [ ! -e "$folder/complete" ]; then
  mkdir -p "$cache"
  rm -rf "$folder"
  if ! { python3 -m venv "$folder" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement "$requirements" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
      --requirement <(echo "$axe"); } >"$cache/interop.log" 2>&1; then
    tail -n 3 "$cache/interop.log" >&2
    echo "interop: no Python environment (above); tests against zarr-python are skipped" >&2
    rm -rf "$folder"
    exit 0
  fi
  : >"$folder/complete"
fi
printf '%s\n' "$folder/bin/python"
