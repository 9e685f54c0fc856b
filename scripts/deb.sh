#!/usr/bin/env bash
# Builds a Debian package that contains what Debian itself lacks (Swift's libraries, llama.cpp), and prints its
# path: out/hsae_VERSION_ARCHITECTURE.deb. If lintian is installed, any of its errors or warnings is an error.
#
# Environment: HSAE_CACHE       the cache folder; the package's llama.cpp is built in its subfolder package
#              DEBFULLNAME, DEBEMAIL   the package's maintainer (default: the author of the last commit)
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
export HSAE_CACHE=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}/package
say() { printf 'deb: %s\n' "$*" >&2; }

# Built for any processor with AVX2, not only for this one, so it has its own cache.
HSAE_NATIVE=OFF HSAE_PACKAGING=1 scripts/setup.sh
export PKG_CONFIG_PATH=$HSAE_CACHE/llama.cpp/lib/pkgconfig
say "building with Swift's libraries inside"
# A part of FlyingFox uses Foundation's URL session, which needs curl; the toolchain forgets to link it.
swift build -c release --product hsae --static-swift-stdlib --scratch-path .build-deb -Xlinker -lcurl >&2

work=.build-deb/package
rm -rf "$work"
mkdir -p "$work/root/usr/bin" "$work/root/usr/share/doc/hsae" "$work/root/DEBIAN" "$work/debian"
root=$here/$work/root
install -m 755 .build-deb/release/hsae "$root/usr/bin/hsae"
strip --remove-section=.comment --remove-section=.note "$root/usr/bin/hsae"

version=$("$root/usr/bin/hsae" --version | awk 'NR == 1 { print $2 }')
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-$(git log -1 --format=%an)} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"
moment=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$moment}

scripts/install-shell.sh "$root/usr/bin/hsae" "$root/usr" "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)"
doc=$root/usr/share/doc/hsae
cp packaging/copyright README.md "$doc"
cp -r docs "$doc/docs"
cp -r interop "$doc/interop"
sed -e "s/@VERSION@/$version/" -e "s/@MAINTAINER@/$maintainer/" \
  -e "s/@DATE@/$(date -u -R -d "@$SOURCE_DATE_EPOCH")/" packaging/changelog |
  gzip -9n >"$doc/changelog.gz"
find "$root/usr" -type d -exec chmod 755 {} +
find "$root/usr/share" -type f -exec chmod 644 {} +

# dpkg-shlibdeps reads debian/control and finds the libraries the program is linked with.
printf 'Source: hsae\n\nPackage: hsae\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -eroot/usr/bin/hsae | sed -n 's/^shlibs:Depends=//p')
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
  -e "s/@MAINTAINER@/$maintainer/" -e "s/@SIZE@/$(du -sk "$root/usr" | cut -f 1)/" \
  packaging/control >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

mkdir -p out
package=$here/out/hsae_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$work/hsae.deb" >/dev/null
mv "$work/hsae.deb" "$package"
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$package" >&2
else
  say "lintian is not installed, so the package was not checked"
fi
printf '%s\n' "$package"
