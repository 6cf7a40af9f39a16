#!/usr/bin/env bash
# Gets what `deno compile` needs where Deno's runtime stub cannot be downloaded, all of it from npm.
#
#   .ci/compile-kit.sh [DIR]      DIR is ~/.cache/compile-kit if not given
#
# It leaves DIR/deno, the Deno CLI 2.4.2, and DIR/denort, the runtime stub of the same release. The
# stub is the program of a package that was itself made with `deno compile`: what compile appends
# comes behind it. tests/e2e/compile_test.ts uses the kit when it is there. Nobody needs it who can
# reach dl.deno.land.
#
# Linux on x86-64 with glibc only. Exit status 1: the kit cannot be had here.
set -euo pipefail

dir=${1:-${HOME:?}/.cache/compile-kit}
[ -x "$dir/deno" ] && [ -x "$dir/denort" ] && exit 0
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || {
  echo "compile-kit: there is none for $(uname -s)-$(uname -m)" >&2
  exit 1
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

# get PACKAGE@VERSION SHA256 FILE NAME: puts a file of a package at DIR/NAME.
get() {
  local tarball
  tarball=$(npm pack --silent "$1")
  echo "$2  $tarball" | sha256sum --check --quiet
  tar xzf "$tarball" "package/$3"
  mkdir -p "$dir"
  # Moved at the end, so that half a program is never taken for one.
  install -m 755 "package/$3" "$dir/$4.new"
  mv "$dir/$4.new" "$dir/$4"
}

get @deno/linux-x64-glibc@2.4.2 \
  8a0a4c77c6d994d21f8242f86a76edd7a22d158edb2251af7cefea5ff1237304 deno deno
get @vltpkg/cli-linux-x64@0.0.0-18 \
  e8e7a9570742dfb6d9de0c601b43c070b5cfa860064742783e11bff6569e2208 vlt denort
