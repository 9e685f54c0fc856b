#!/usr/bin/env bash
# Makes dashboards of exported dictionaries with sae-dashboard, which Neuronpedia uses: checks that it runs on both
# levels of an H-SAE, with each sublatent inactive unless its expert is active. Prints a line for each folder.
#
#   runs/dashboards.sh FOLDER RUN…        FOLDER is one that runs/saebench.sh made (its environment and model)
#
# RUN are runs on Gemma 3 270M. sae-dashboard 0.8.0 comes from PyPI into FOLDER/dashboard.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift
hsae=${HSAE:-.build/release/hsae}
venv=${VENV:-$folder/venv}
if [ ! -e "$folder/dashboard/installed" ]; then
  "$venv/bin/python" -m pip install --quiet --no-deps --target "$folder/dashboard" \
    sae-dashboard==0.8.0 dataclasses-json==0.6.7 marshmallow==4.4.0 typing-inspect==0.9.0 \
    mypy-extensions==1.2.0 matplotlib==3.11.2 pyparsing==3.3.3 cycler==0.12.1 kiwisolver==1.5.1 eindex-callum==0.1.2
  : >"$folder/dashboard/installed"
fi
for run in "$@"; do
  exported=$folder/$(basename "$run")
  rm -rf "$exported"
  "$hsae" export "$run" --out "$exported" --model-name google/gemma-3-270m
  PYTHONPATH=$folder/dashboard THREADS=${THREADS:-2} "$venv/bin/python" runs/interop/dashboards.py "$folder/model" "$exported"
done
