#!/usr/bin/env bash
# The package in a small Debian machine with the kernel 6.12 and systemd as pid 1, emulated by qemu: compiles
# the program by the kit of .ci/compile-kit.sh, packs it, makes the machine's disk, and runs
# tests/vm/quick.sh in it.
#
#   .ci/machine.sh [SECONDS]      for all of it; 360 if not given
#
# Exit status 0: all is well; 1: a check failed; 77: it cannot be had here, or did not end in time without
# that anything was found to be wrong, and the last line says why. Emulation is slow, and so may the host be.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly seconds=${1:-360}
readonly kit=${TOOM_COMPILE_KIT:-${HOME:?}/.cache/compile-kit}

skip() {
  echo "skipped: $*"
  exit 77
}

[ "$(id -u)" -eq 0 ] || skip "needs root"
[ "$(uname -m)" = x86_64 ] || skip "needs x86-64"
[ -x "$kit/denort" ] || skip "needs the compile kit"
for tool in apt-get deno make cc strip dpkg-deb; do
  command -v "$tool" >/dev/null || skip "needs $tool"
done
if ! command -v qemu-system-x86_64 >/dev/null; then
  apt-get install -s -qq qemu-system-x86 >/dev/null 2>&1 || skip "needs qemu"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2317
run() {
  local compile
  compile=$(deno eval 'console.log(JSON.parse(Deno.readTextFileSync("deno.json")).tasks.compile.command)')
  compile=${compile/#deno/$kit/deno}
  # shellcheck disable=SC2086
  DENORT_BIN=$kit/denort ${compile/dist\/toom/$work\/toom} &&
    deno task -q deb --binary "$work/toom" --out "$work" --compression gzip &&
    deno task -q test:vm --quick --seconds "$seconds" --package "$(echo "$work"/toom_*.deb)"
}
export -f run
export kit work seconds

timeout -k 10 "$seconds" bash -c run </dev/null 2>&1 | tee "$work/log"
status=${PIPESTATUS[0]}
grep -q '^not ok ' "$work/log" && exit 1
[ "$status" -ne 124 ] || skip "did not end within $seconds s"
exit "$status"
