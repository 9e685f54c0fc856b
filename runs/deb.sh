#!/usr/bin/env bash
# Installs the Debian package on a clean Debian 12 in a folder, uses it, removes it, and checks that nothing of
# it is left. Needs root and debootstrap; uses the mirror that this machine's apt is configured for.
#
#   make deb
#   runs/deb.sh out/hsae_0.1.0_amd64.deb FOLDER      FOLDER: 700 MB; a system already there is used again
set -euo pipefail

package=$(realpath "$1") folder=$2
name=$(basename "$package")
say() { printf 'deb: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

[ "$(id -u)" -eq 0 ] || fail "needs root, for debootstrap and chroot."
mirror=$({ cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true; } |
  sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\).*/\2/p' | sed -n 1p)
[ -n "$mirror" ] || fail "no Debian mirror in /etc/apt."
mkdir -p "$folder"
system=$(realpath "$folder")/system
# The home folder of its root user.
home=/root
if [ ! -e "$system/complete" ]; then
  say "making a clean Debian 12"
  rm -rf "$system"
  debootstrap --variant=minbase bookworm "$system" "$mirror" >"$folder/debootstrap.log" 2>&1 ||
    fail "debootstrap failed: $folder/debootstrap.log"
  : >"$system/complete"
fi
for file in /etc/resolv.conf /etc/hosts; do
  cp "$file" "$system$file"
done
mount --bind /proc "$system/proc"
trap 'umount "$system/proc"' EXIT
# The environment of a user there, not ours.
there() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=$home LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+http_proxy="$http_proxy"} chroot "$system" "$@"
}

there apt-get update -q >"$folder/apt.log" 2>&1
there apt-get install -q -y --no-install-recommends man-db bash-completion >>"$folder/apt.log" 2>&1
# Models in a user's cache and man's formatted pages do not belong to the package.
everything() {
  there sh -c 'dpkg-query -W
    find / -xdev \( -path $HOME -o -path /var/cache/man \) -prune -o -name "*hsae*" -print'
}
everything >"$folder/before"
cp "$package" "$system$home/$name"
say "installing $name"
there apt-get install -q -y --no-install-recommends "$home/$name" >>"$folder/apt.log" 2>&1 ||
  fail "apt could not install it: $folder/apt.log"

say "using it"
there hsae --version
there hsae --help >/dev/null
there man hsae >/dev/null
there man hsae-train | grep -q -- --sublatents || fail "the manual page does not name --sublatents."
there bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader hsae
  complete -p hsae' >/dev/null || fail "bash does not know how to complete hsae."
python3 - "$system$home/rows.npy" <<'PY'
# 4,000 rows of width 32, sums of a few of 100 directions, written as a NumPy file.
import random, struct, sys
random.seed(0)
directions = [[random.gauss(0, 1) for _ in range(32)] for _ in range(100)]
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4000, 32), }".ljust(117) + "\n"
with open(sys.argv[1], "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    for _ in range(4000):
        chosen = random.sample(directions, 3)
        file.write(struct.pack("<32f", *(sum(c) for c in zip(*chosen))))
PY
there hsae info $home/rows.npy >/dev/null
there hsae train $home/rows.npy --preset residual-stream --experts 128 --k 4 --steps 200 --batch 256 \
  --out $home/h --also $home/flat:sublatents=0
there hsae evaluate $home/h $home/flat | grep 'explained variance' | head -n 2
there hsae report $home/h $home/flat --out $home/page.html >/dev/null
# A language model for llama.cpp, if one is already here.
model=$(find "${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}/models" -name 'smollm2*.gguf' 2>/dev/null | head -n 1)
if [ -n "$model" ]; then
  cp "$model" "$system$home/model.gguf"
  printf 'The dog barked at the mailman.\nParis is the capital of France.\n' >"$system$home/text.txt"
  there hsae collect $home/model.gguf --layer 3 --text $home/text.txt --out $home/text.store --holdout 0% \
    --threads 1 >/dev/null
  there hsae info $home/text.store | head -n 3
fi

say "removing it"
there dpkg -L hsae >"$folder/files"
find "$system/root" -mindepth 1 -delete
there apt-get purge -q -y --autoremove hsae >>"$folder/apt.log" 2>&1
everything >"$folder/after"
# autoremove may remove old packages that nothing needs, but nothing may have been added.
left=$(LC_ALL=C comm -13 <(LC_ALL=C sort "$folder/before") <(LC_ALL=C sort "$folder/after"))
[ -z "$left" ] || fail "left behind: $left"
while read -r path; do
  [ -d "$system$path" ] || [ ! -e "$system$path" ] || fail "left behind: $path"
done <"$folder/files"
[ ! -e "$system/usr/share/doc/hsae" ] || fail "left behind: /usr/share/doc/hsae"
say "nothing is left of it"
