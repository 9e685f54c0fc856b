#!/usr/bin/env bash
# Installs manual pages, and completions for bash, zsh and fish, under a prefix. The program itself makes them
# all.
#
#   scripts/install-shell.sh HSAE PREFIX [DATE]      PREFIX as in /usr/local; DATE for the pages
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hsae=$1 prefix=$2
date=${3:-$(git -C "$here" log -1 --format=%cs 2>/dev/null || date +%F)}
man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions/hsae
# Debian's zsh looks in vendor-completions for files of packages and in site-functions for files of
# administrators.
zsh=$prefix/share/zsh/$([ "${prefix%/usr}" != "$prefix" ] && echo vendor-completions || echo site-functions)/_hsae
fish=$prefix/share/fish/vendor_completions.d/hsae.fish

mkdir -p "$man" "$(dirname "$bash")" "$(dirname "$zsh")" "$(dirname "$fish")"
python3 "$here/manual.py" "$hsae" man "$man" "$date"
gzip -9nf "$man"/hsae*.1
# Shells read this file and do not run it.
"$hsae" --generate-completion-script bash | sed '1{/^#!/d}' >"$bash"
"$hsae" --generate-completion-script zsh >"$zsh"
"$hsae" --generate-completion-script fish >"$fish"
