#!/usr/bin/env bash
# Prints the path of a Python that has what requirements.txt names: PyTorch, SAELens, sparsify, dictionary_learning. They
# come from PyPI into the cache once (2.3 GB with a build of PyTorch for CPUs, 3 minutes). VENV names another
# environment; PYTHON the interpreter that makes it.
set -euo pipefail
if [ -n "${VENV:-}" ]; then
  printf '%s\n' "$VENV/bin/python"
  exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
folder=$cache/peers-$(sha256sum "$here/requirements.txt" | cut -c 1-16)
if [ ! -e "$folder/installed" ]; then
  mkdir -p "$cache"
  rm -rf "$folder"
  if ! "${PYTHON:-python3}" -m venv "$folder" >&2 || ! "$folder/bin/python" -m pip install --quiet \
    --disable-pip-version-check --requirement "$here/requirements.txt" >&2; then
    echo "$0: the packages of $here/requirements.txt could not be installed in $folder" >&2
    exit 69
  fi
  # A dependency of a dependency that nothing here needs; with a CPU build of torch it fails to load.
  "$folder/bin/python" -m pip uninstall --quiet --yes torchvision >&2
  : >"$folder/installed"
fi
printf '%s\n' "$folder/bin/python"
