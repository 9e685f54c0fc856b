#!/usr/bin/env bash
# Makes the documentation a site, out/site/index.html, which opens from the disk. A link to a missing page or
# heading is an error.
#
#   scripts/site.sh HSAE      HSAE: the executable, which gives the command line's reference
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
hsae=$1
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}
requirements=$here/scripts/site/requirements.txt
tools=$cache/site-$(sha256sum "$requirements" | cut -c 1-16)
if [ ! -e "$tools/complete" ]; then
  mkdir -p "$cache"
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$requirements"
  : >"$tools/complete"
fi

work=$here/.build-site
rm -rf "$work"
mkdir -p "$work"
cp -r "$here/scripts/site/theme" "$work/theme"
# Files above docs become pages too; a link to a folder or a source file becomes plain text.
python3 "$here/scripts/links.py" site "$here" "$work/docs"
python3 "$here/scripts/manual.py" "$hsae" markdown "$work/docs/command-line.md"
sed -i 's|and a page of this site|[and a page of this site](command-line.md)|' "$work/docs/index.md"

decisions=$(cd "$work/docs" && for file in decisions/*.md; do
  printf '          - "%s": %s\n' "$(sed -n '1s/^# //p' "$file")" "$file"
done)
awk -v decisions="$decisions" '/@DECISIONS@/ { print decisions; next } { print }' \
  "$here/scripts/site/properdocs.yml" >"$work/properdocs.yml"
printf 'docs_dir: docs\nsite_dir: site\n' >>"$work/properdocs.yml"
# Not with --quiet, which also hides what --strict counts.
"$tools/bin/python" -m properdocs build --strict --config-file "$work/properdocs.yml" >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
mkdir -p "$here/out"
rm -rf "$here/out/site"
mv "$work/site" "$here/out/site"
printf '%s\n' "$here/out/site/index.html"
