#!/usr/bin/env bash
# Prepares a machine to build and run hsae. On Debian it installs missing packages, then builds llama.cpp from its
# pinned source into a cache outside the tree. A second run does nothing. `hsae fetch` downloads models.
#
# Environment: HSAE_CACHE    the cache folder (default ${XDG_CACHE_HOME:-~/.cache}/hsae)
#              HSAE_NATIVE   OFF builds llama.cpp for any processor of this architecture, at about a quarter of
#                            the speed (default ON: for this processor)
#              HSAE_JOBS     compilers that run at once (default: one for each processor)
#              HSAE_VALGRIND 1 installs valgrind too, which make bench-check needs
#              HSAE_MPI      1 installs Open MPI too, which make mpi needs
#              HSAE_PACKAGING 1 installs dpkg-dev and libcurl's headers too, which make deb needs
#              HSAE_SITE     1 installs Python's venv too, which make site needs
#              HSAE_WORDNET  1 installs WordNet 3.0 too, which hsae evaluate --suite hierarchy uses for
#                            dictionaries of words
# Exit codes follow sysexits.h: 65 wrong hash, 69 something needed is not available.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

source_version=0.3.36
source_name=llama_cpp_python-$source_version
source_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
native=${HSAE_NATIVE:-ON}
cache=${HSAE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsae}

# Swift -------------------------------------------------------------------------------------------

command -v swift >/dev/null ||
  fail 69 "Swift 6.3 is not on the PATH; install it from swift.org and run this again."
# The toolchain's own clang: gcc 12 miscompiles ggml's AMX kernels.
resources=$(swift -print-target-info | sed -n 's/.*"runtimeResourcePath": *"\(.*\)".*/\1/p')
clang=${resources%/lib/swift}/bin/clang
[ -x "$clang" ] || clang=$(command -v clang) ||
  fail 69 "The Swift toolchain at ${resources%/lib/swift} has no clang; reinstall it whole."
clang_version=$("$clang" --version | head -n 1)

# Packages ----------------------------------------------------------------------------------------

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_header() {
  local folder
  for folder in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/local/include \
    /opt/homebrew/include /home/linuxbrew/.linuxbrew/include; do
    [ ! -e "$folder/$1" ] || return 0
  done
  missing+=("$2")
}
need_command git git
need_command curl curl
need_command cmake cmake
need_command ninja ninja-build
need_command g++ g++ # for libstdc++'s headers
need_command pkg-config pkg-config
need_command zstd zstd # the texts of hsae evaluate --suite probing
need_command python3 python3
python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("pip") is None)' \
  2>/dev/null || missing+=(python3-pip)
need_header dnnl.h libdnnl-dev
need_header lapacke.h liblapacke-dev
need_header openssl/evp.h libssl-dev
need_header zlib.h zlib1g-dev
need_header zip.h libzip-dev
need_header sqlite3.h libsqlite3-dev
if [ "${HSAE_MPI:-0}" != 0 ]; then
  need_command mpirun openmpi-bin
  pkg-config --exists ompi-c 2>/dev/null || missing+=(libopenmpi-dev)
fi
[ "${HSAE_VALGRIND:-0}" = 0 ] || need_command valgrind valgrind
if [ "${HSAE_BROWSER:-0}" != 0 ]; then
  need_command chromium chromium
  need_command chromedriver chromium-driver
  /usr/bin/python3 -c 'import selenium' 2>/dev/null || missing+=(python3-selenium)
fi
if [ "${HSAE_PACKAGING:-0}" != 0 ]; then
  need_command dpkg-shlibdeps dpkg-dev
  need_header curl/curl.h libcurl4-openssl-dev
fi
[ "${HSAE_SITE:-0}" = 0 ] || python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ "${HSAE_WORDNET:-0}" = 0 ] || [ -e /usr/share/wordnet/data.noun ] || missing+=(wordnet-base)

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null ||
    fail 69 "These are missing; install them (names are Debian's): ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      fail 69 "Not root and no sudo; ask an administrator for: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  log=$(mktemp)
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    say "apt-get update failed; trying the package lists that are here."
  }
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends ca-certificates "${missing[@]}" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail 69 "apt-get install failed (above); install by hand: ${missing[*]}"
  }
  rm -f "$log"
fi

# llama.cpp ---------------------------------------------------------------------------------------

flags=(
  -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_OPENMP=OFF
  "-DGGML_NATIVE=$native" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF
  -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON
  -DCMAKE_INSTALL_LIBDIR=lib
)
# One prefix for each source, compiler, flags and processor, so that different machines can share a cache.
processor=portable
if [ "$native" = ON ]; then
  processor=$(awk -F ': ' '/^(model name|flags|Features)/ && !seen[$1]++ { print $2 }' \
    /proc/cpuinfo 2>/dev/null || uname -m)
fi
recipe=1 # raise it when the steps below change what they leave
key=$(printf '%s\n' "$recipe" "$source_sha256" "$clang_version" "${flags[*]}" "$(uname -m)" \
  "$processor" | sha256sum | cut -c 1-16)
mkdir -p "$cache" 2>/dev/null || fail 73 "Cannot create the cache folder $cache; set HSAE_CACHE."
cache=$(cd "$cache" && pwd)
prefix=$cache/llama.cpp-$key
stamp=$prefix/complete

# $cache/llama.cpp always links to the build for this machine; the Makefile points pkg-config at it.
publish() {
  [ "$(readlink "$cache/llama.cpp" 2>/dev/null)" = "llama.cpp-$key" ] && return
  ln -sfn "llama.cpp-$key" "$cache/llama.cpp.$$"
  mv -fT "$cache/llama.cpp.$$" "$cache/llama.cpp"
}

if [ -e "$stamp" ]; then
  publish
  say "ready (llama.cpp in $prefix)"
  exit 0
fi

exec 9>"$cache/llama.cpp.lock"
if ! flock -n 9; then
  say "another set-up is building llama.cpp; waiting for it."
  flock 9
fi
if [ ! -e "$stamp" ]; then
  work=$cache/build-llama.cpp-$key
  rm -rf "$work" "$prefix"
  mkdir -p "$work"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  archive=$work/$source_name.tar.gz
  say "downloading the source of llama.cpp (77 MB)"
  for attempt in 1 2 3; do
    python3 -m pip download --quiet --disable-pip-version-check --no-deps \
      --no-binary llama-cpp-python --dest "$work" "llama-cpp-python==$source_version" \
      >"$work/log" 2>&1 9>&- && break
    tail -n 5 "$work/log" >&2
    [ "$attempt" -lt 3 ] || fail 75 "The download failed three times; run this again later."
    say "the download failed; trying again"
    sleep $((attempt * 2))
  done
  echo "$source_sha256  $archive" | sha256sum --check --status 2>/dev/null ||
    fail 65 "$source_name.tar.gz is not the pinned source (SHA-256 differs); run this again."
  tar -xzf "$archive" -C "$work"

  say "building llama.cpp with $clang_version (some minutes, once)"
  tree=$work/$source_name/vendor/llama.cpp
  quietly() {
    "$@" >"$work/log" 2>&1 9>&- || {
      tail -n 30 "$work/log" >&2
      fail 70 "Building llama.cpp failed (above) at: $1 $2"
    }
  }
  quietly cmake -S "$tree" -B "$work/build" "${flags[@]}" \
    "-DCMAKE_C_COMPILER=$clang" "-DCMAKE_CXX_COMPILER=$clang++" "-DCMAKE_INSTALL_PREFIX=$prefix"
  quietly cmake --build "$work/build" --target llama ggml --parallel "${HSAE_JOBS:-$(nproc)}"
  quietly cmake --install "$work/build"
  # llama.cpp's own llama.pc omits what a static library needs.
  mkdir -p "$prefix/lib/pkgconfig"
  cat >"$prefix/lib/pkgconfig/llama.pc" <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: llama
Description: llama.cpp from llama-cpp-python $source_version, static
Version: $source_version
Libs: -L\${libdir} -lllama -lggml -lggml-cpu -lggml-base -lstdc++ -lm -lpthread
Cflags: -I\${includedir}
PC
  sync "$prefix/lib/pkgconfig/llama.pc"
  : >"$stamp" # last: an interrupted build is done again
fi
publish
say "ready (llama.cpp in $prefix)"
