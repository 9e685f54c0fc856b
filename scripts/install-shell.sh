#!/usr/bin/env bash
# Installs what a shell knows of hsae under a prefix: manual pages, and completions for bash, zsh and
# fish, all made by the program itself.
#
#   scripts/install-shell.sh HSAE PREFIX [DATE]      PREFIX as in /usr/local; DATE for the pages
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
hsae=$1 prefix=$2
date=${3:-$(git -C "$here" log -1 --format=%cs 2>/dev/null || date +%F)}
man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions/hsae
# Debian's zsh looks for what packages bring in vendor-completions, and for what administrators
# install in site-functions.
zsh=$prefix/share/zsh/$([ "${prefix%/usr}" != "$prefix" ] && echo vendor-completions || echo site-functions)/_hsae
fish=$prefix/share/fish/vendor_completions.d/hsae.fish

mkdir -p "$man" "$(dirname "$bash")" "$(dirname "$zsh")" "$(dirname "$fish")"
python3 "$here/manual.py" "$hsae" man "$man" "$date"
gzip -9nf "$man"/hsae*.1
# It is read by a shell, not run.
"$hsae" --generate-completion-script bash | sed '1{/^#!/d}' >"$bash"
"$hsae" --generate-completion-script zsh >"$zsh"
"$hsae" --generate-completion-script fish >"$fish"
