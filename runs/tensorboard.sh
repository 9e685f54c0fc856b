#!/usr/bin/env bash
# Checks that TensorBoard itself reads the event files of RUN (hsae train --tensorboard): every number of metrics.jsonl
# under its name, and the histograms. dev/LOG.md has results.
#
#   runs/tensorboard.sh FOLDER RUN     FOLDER for the Python environment (TensorBoard from PyPI)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 run=$2
if [ ! -f "$folder/venv/installed" ]; then
  "${PYTHON:-python3}" -m venv "$folder/venv"
  "$folder/venv/bin/python" -m pip install --quiet tensorboard==2.20.0 'setuptools<81'
  : >"$folder/venv/installed"
fi
"$folder/venv/bin/python" runs/interop/tensorboard_equal.py "$run"
