#!/usr/bin/env bash
# Checks and builds the library's documentation with the toolchain's own tools (docs/decisions/0013).
#
#   scripts/docs.sh check BUILD        every public symbol has a doc comment, and the library's pages name only
#                                      symbols that exist                         (part of make test)
#   scripts/docs.sh site BUILD OUT     the same, and writes the pages of all modules to files (make docs)
#
# BUILD is a build folder such as .build-test/release, with all library modules. Any warning of docc is an
# error: an unknown symbol on a page, a missing snippet, a misspelt parameter.
set -euo pipefail

action=${1:?usage: scripts/docs.sh check|site BUILD [OUT]}
build=${2:?usage: scripts/docs.sh check|site BUILD [OUT]}
cd "$(dirname "$0")/.."
# The first is the library's face; it documents what it passes on of the others.
modules=(HSAE HSAEPlatform HSAESupport HSAEHTML HSAETensors HSAEModels HSAEActivations HSAEDistribution HSAERuns
  HSAEDevices HSAEEngine HSAETraining HSAELanguageModels HSAEEvaluation HSAEInterop HSAEReport HSAEExplorer)
tools=$(dirname "$(readlink -f "$(command -v swift)")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

maps=()
for map in Sources/C*/module.modulemap; do maps+=(-Xcc "-fmodule-map-file=$PWD/$map"); done
# C modules for which SwiftPM writes a map, and those of packages that bring one.
packages=${build%/*}/checkouts
for map in "$build"/{CHSAEKernels,CHSAEPlatform,CMPI,CPJRT}.build/module.modulemap \
  "$packages"/GRDB.swift/Sources/GRDBSQLite/module.modulemap \
  "$packages"/FlyingFox/CSystemLinux/include/module.modulemap; do
  if [[ -f $map ]]; then maps+=(-Xcc "-fmodule-map-file=$(realpath "$map")"); fi
done
# Headers outside the system's folders, as `swift build` finds them.
read -ra headers < <(pkg-config --cflags-only-I lapacke libcrypto zlib libzip llama)
target=$("$tools/swiftc" -print-target-info | sed -n 's/^ *"triple": "\(.*\)",$/\1/p' | head -1)
others=$(IFS=,; echo "${modules[*]:1}")
for module in "${modules[@]}"; do
  mkdir "$work/$module"
  "$tools/swift-symbolgraph-extract" -module-name "$module" -I "$build/Modules" -target "$target" \
    -module-cache-path "$work/modules" -minimum-access-level public -skip-synthesized-members -output-dir "$work/$module" \
    "-experimental-allowed-reexported-modules=$others" "${maps[@]}" "${headers[@]}"
done
python3 scripts/symbol-graphs.py undocumented "$work"/*/*.symbols.json
python3 scripts/symbol-graphs.py snippets Snippets "$work/HSAE/hsae-snippets.symbols.json"
if [[ $action == check ]]; then modules=(HSAE); fi
archives=()
for module in "${modules[@]}"; do
  "$tools/docc" convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$work/$module" \
    --fallback-display-name "$module" --fallback-bundle-identifier "hsae.$module" --warnings-as-errors \
    --transform-for-static-hosting --hosting-base-path "${HSAE_DOCS_BASE:-}" \
    --output-path "$work/$module.doccarchive"
  archives+=("$work/$module.doccarchive")
done
if [[ $action == check ]]; then exit; fi

out=${3:?usage: scripts/docs.sh site BUILD OUT}
rm -rf "$out"
mkdir -p "$(dirname "$out")"
"$tools/docc" merge "${archives[@]}" --synthesized-landing-page-name hsae \
  --synthesized-landing-page-kind Package --output-path "$out"
echo "$out: $(find "$out" -name '*.json' -path '*/data/*' | wc -l) pages, which need a web server:"
echo "python3 -m http.server -d $out, then http://localhost:8000/documentation/"
