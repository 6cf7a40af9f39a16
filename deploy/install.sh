#!/bin/sh
# Installs what a package has, below DESTDIR. For packagers, and for machines without a package:
#
#   deploy/install.sh [--destdir DIR] [--prefix DIR] [--libdir DIR] [--binary FILE] [--init systemd|openrc]
#
# Needs make and a C compiler, and the program of `deno task compile` (FILE; default: dist/toom). The
# prefix is /usr/local unless told otherwise; configuration, /etc/toom, and units lie where they are read.
set -eu
cd "$(dirname "$0")/.."

destdir='' prefix=/usr/local libdir='' binary=dist/toom init=systemd
while [ $# -gt 0 ]; do
  case $1 in
    --destdir) destdir=$2 ;;
    --prefix) prefix=$2 ;;
    --libdir) libdir=$2 ;;
    --binary) binary=$2 ;;
    --init) init=$2 ;;
    *)
      echo "install.sh: expected --destdir, --prefix, --libdir, --binary or --init, not $1" >&2
      exit 2
      ;;
  esac
  shift 2
done
[ -x "$binary" ] || {
  echo "install.sh: expected the program at $binary, made by deno task compile" >&2
  exit 2
}
case $init in systemd | openrc) ;; *)
  echo "install.sh: expected the init systemd or openrc, not $init" >&2
  exit 2
  ;;
esac

share=$destdir$prefix/share
# put MODE FILE TARGET
put() { install -D -m "$1" "$2" "$3"; }

make -s -C tmalloc install PREFIX="$prefix" LIBDIR="${libdir:-$prefix/lib}" DESTDIR="$destdir"
put 755 "$binary" "$destdir$prefix/bin/toom"
put 644 deploy/config.schema.json "$destdir/usr/share/toom/config.schema.json"
# What the administrator has changed is kept.
[ -e "$destdir/etc/toom/config.jsonc" ] || put 644 deploy/config.jsonc "$destdir/etc/toom/config.jsonc"
install -d -m 755 "$destdir/etc/toom/config.d"
for page in deploy/man/*; do
  put 644 "$page" "$share/man/man${page##*.}/${page##*/}"
done
put 644 deploy/completions/toom.bash "$share/bash-completion/completions/toom"
put 644 deploy/completions/_toom "$share/zsh/site-functions/_toom"
put 644 deploy/completions/toom.fish "$share/fish/vendor_completions.d/toom.fish"
put 644 LICENSE "$share/licenses/toom/LICENSE"
# adapt MODE FILE TARGET: with the prefix in the place of the one that it has.
adapt() {
  install -d "${3%/*}"
  sed -e "s|/usr/local/bin/|/usr/bin/|g" -e "s|/usr/bin/toom|$prefix/bin/toom|g" "$2" >"$3"
  chmod "$1" "$3"
}
if [ "$init" = systemd ]; then
  # Of /usr, a package's; else an administrator's.
  units=/etc/systemd/system
  [ "$prefix" != /usr ] || units=/usr/lib/systemd/system
  adapt 644 deploy/toom.service "$destdir$units/toom.service"
  put 644 deploy/tmpfiles.d/toom.conf "$destdir/usr/lib/tmpfiles.d/toom.conf"
  put 644 deploy/sysusers.d/toom.conf "$destdir/usr/lib/sysusers.d/toom.conf"
else
  adapt 755 deploy/openrc/toom "$destdir/etc/init.d/toom"
fi
