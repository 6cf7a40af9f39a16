#!/bin/bash
# Builds deploy/container/Containerfile with buildah, from a Debian that is bootstrapped here instead of one
# of a registry, and runs toom from the image on this machine: a hog of a scratch user outside is ended.
#
#   tests/vm/image.sh PACKAGE.deb      as root; needs buildah, debootstrap, setpriv, unshare, python3
#
# Each check prints `ok WHAT` or `not ok WHAT`; exit status 1 when one has failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
readonly package=${1:?which package}
readonly uid=60120
for tool in buildah debootstrap setpriv unshare /usr/bin/python3; do
  command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 77; }
done
[ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; exit 77; }

work=$(mktemp -d)
# Storage and settings of its own: images of this machine are left alone.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
build() { buildah --root "$work/images" --runroot "$work/run" "$@"; }
container='' daemon=''
# shellcheck disable=SC2317
finish() {
  [ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; } 2>/dev/null
  [ -z "$container" ] || build rm "$container" >/dev/null
  rm -rf "$work"
}
trap finish EXIT

failed=0
check() {
  local what=$1
  shift
  if "$@" >"$work/out" 2>&1; then echo "ok $what"; else
    failed=1
    echo "not ok $what"
    tail -n 15 "$work/out"
  fi
}
within() {
  for _ in $(seq "$1"); do
    "${@:2}" && return 0
    sleep 0.5
  done
  return 1
}

base() {
  debootstrap --variant=minbase bookworm "$work/base" &&
    from=$(build from scratch) && build copy "$from" "$work/base" / && build commit "$from" debian-here
}
image() {
  mkdir -p "$work/context/dist" "$work/context/deploy" && cp "$package" "$work/context/dist/" &&
    cp -r deploy/container "$work/context/deploy/" &&
    build build --build-arg BASE=localhost/debian-here -f deploy/container/Containerfile -t toom "$work/context"
}
says() { build run "$container" -- "$@"; }
enforces() {
  setpriv --reuid $uid --regid $uid --clear-groups /usr/bin/python3 -c 'b = bytearray(200 << 20)'
  [ $? -eq 137 ]
}

check "a base image of Debian" base
check "the Containerfile is built" image
container=$(build from localhost/toom)
check "the image starts toom" sh -c "buildah --root $work/images --runroot $work/run inspect --type image \
  --format '{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' localhost/toom | grep -qx '\[/usr/bin/toom\] \[run\]'"
check "its toom says its version" says /usr/bin/toom --version
# As a container's runtime would: the image's files, the machine's processes, and its tracefs.
root=$(build mount "$container")
unshare --mount --propagation private sh -c '
  mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" && mount --rbind /dev "$0/dev" &&
    exec chroot "$0" /usr/bin/toom run --limit "$1=64MiB"' "$root" $uid >"$work/log" 2>&1 &
daemon=$!
check "a daemon of the image is ready" within 60 grep -q ready: "$work/log"
check "and ends a hog outside" enforces
check "and tells of it" within 20 grep -q "kill: uid=$uid" "$work/log"
[ "$failed" -eq 0 ] || tail -n 20 "$work/log"
exit "$failed"
