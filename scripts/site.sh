#!/usr/bin/env bash
# Makes the documentation a site, out/site/index.html, which opens from the disk. Any link that leads
# nowhere, to a page or a heading, is an error.
#
#   scripts/site.sh HSAE      HSAE: the executable, which the command line's reference is made from
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
cp -r "$here/docs" "$work/docs"
cp -r "$here/interop" "$work/docs/interop"
python3 "$here/scripts/manual.py" "$hsae" markdown "$work/docs/command-line.md"
# What lies above docs becomes pages too: what links to it, and its own links, must follow.
sed -e 's|](docs/decisions)|](decisions/0001-one-model.md)|' -e 's|](docs/|](|g' \
  -e 's|](CONTRIBUTING.md|](contributing.md|g' -e 's|](dev/LOG.md|](log.md|g' \
  "$here/README.md" >"$work/docs/readme.md"
sed -e 's|](docs/|](|g' "$here/CONTRIBUTING.md" >"$work/docs/contributing.md"
sed -e 's|](\.\./docs/|](|g' "$here/dev/LOG.md" >"$work/docs/log.md"
find "$work/docs" -name '*.md' -exec sed -i \
  -e "s|and a page of this site|[and a page of this site](command-line.md)|" \
  -e 's|](\(\(\.\./\)*\)\.\./README.md|](\1readme.md|g' \
  -e 's|](\(\(\.\./\)*\)\.\./interop/|](\1interop/|g' {} +

decisions=$(cd "$work/docs" && for file in decisions/*.md; do
  printf '          - "%s": %s\n' "$(sed -n '1s/^# //p' "$file")" "$file"
done)
awk -v decisions="$decisions" '/@DECISIONS@/ { print decisions; next } { print }' \
  "$here/scripts/site/properdocs.yml" >"$work/properdocs.yml"
printf 'docs_dir: docs\nsite_dir: site\n' >>"$work/properdocs.yml"
# Without --quiet, which also silences what --strict counts.
"$tools/bin/python" -m properdocs build --strict --config-file "$work/properdocs.yml" >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
mkdir -p "$here/out"
rm -rf "$here/out/site"
mv "$work/site" "$here/out/site"
printf '%s\n' "$here/out/site/index.html"
