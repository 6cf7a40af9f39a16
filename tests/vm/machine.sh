#!/usr/bin/env bash
# A real Debian 12 with its own kernel and systemd as pid 1, emulated by qemu, for one script:
#
#   machine.sh [--kernel 6.1|6.12|6.12-rt] [--disk full|small] [--seconds N] SCRIPT [FILE...]
#
# SCRIPT runs as root once the machine has booted, in a folder that has the FILEs beside it. What it
# prints is printed here, and its exit status is this one's; 124: there was no more time. It may reboot
# the machine, and is run again then. The machine has sshd, cron, at, tmux, python3, and the users alice
# (1001) and bob (1002), whom root may log in as with /root/key; no network but its own. Each run begins
# with the same disk, and nothing of it is kept.
#
# A disk is made once, in two minutes, from Debian's packages: as root, with apt-get and mmdebstrap. It
# is kept in $TOOM_VM_CACHE (default: ~/.cache/toom-vm). The small one, made in one minute, has the kernel
# 6.12, sshd and python3 alone.
#
# Time in the machine is counted by its instructions, two nanoseconds each, and passes at once while it
# sleeps: so it is as quick for itself as a real one, however slow or busy the one is that emulates it,
# and nothing in it is late for another reason than its own. It takes some 20 times as long from outside.
set -euo pipefail

kernel=6.12
seconds=600
size=full
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) kernel=$2; shift 2 ;;
    --disk) size=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --*) echo "machine.sh: expected --kernel, --disk or --seconds, not $1" >&2; exit 2 ;;
    *) break ;;
  esac
done
[ $# -ge 1 ] || { sed -n '2,21s/^# \?//p' "$0" >&2; exit 2; }
case $kernel in
  6.1) pattern='vmlinuz-6.1.*-cloud-*' ;;
  6.12) pattern='vmlinuz-6.12*-cloud-*' ;;
  6.12-rt) pattern='vmlinuz-6.12*-rt-*' ;;
  *) echo "machine.sh: expected the kernel 6.1, 6.12 or 6.12-rt, not $kernel" >&2; exit 2 ;;
esac

packages=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,procps,python3-minimal,util-linux,\
kmod,iproute2,initramfs-tools
kernels='6\.12[.+~bpo0-9a-z-]*-cloud-amd64'
case $size in
  small) [ "$kernel" = 6.12 ] || { echo "machine.sh: the small disk has the kernel 6.12 only" >&2; exit 2; } ;;
  full)
    packages+=,sudo,cron,at,uidmap,tmux,gcc,libc6-dev,make,man-db,bash-completion
    kernels+=' 6\.1\.0-[0-9]+-cloud-amd64 6\.12[.+~bpo0-9a-z-]*-rt-amd64'
    ;;
  *) echo "machine.sh: expected the disk full or small, not $size" >&2; exit 2 ;;
esac
cache=${TOOM_VM_CACHE:-$HOME/.cache/toom-vm}/$size-$(echo "$packages $kernels" | md5sum | cut -c1-8)
readonly cache packages kernels disk=$cache/disk.img

# Newest package of a kernel, by the pattern of its name.
newest() {
  apt-cache search --names-only "^linux-image-$1\$" | cut -d' ' -f1 | sort -V | tail -n 1
}

make_disk() {
  local root=$cache/root user pattern images=
  if ! command -v qemu-system-x86_64 >/dev/null || ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      qemu-system-x86 mmdebstrap e2fsprogs openssh-client >&2
  fi
  rm -rf --one-file-system "$root"
  for pattern in $kernels; do images+=,$(newest "$pattern"); done
  # In a mount namespace of its own: what it mounts below the folder is gone with it.
  unshare --mount --propagation private mmdebstrap --quiet --variant=minbase --mode=root --include="$packages$images" \
    --aptopt='Acquire::Languages "none"' \
    bookworm "$root" >"$cache/disk.log" 2>&1
  ssh-keygen -q -t ed25519 -N '' -f "$root/root/key"
  for user in alice:1001 bob:1002; do
    chroot "$root" useradd -m -u "${user#*:}" -s /bin/bash "${user%:*}"
    install -D -m 600 "$root/root/key.pub" "$root/home/${user%:*}/.ssh/authorized_keys"
    chown -R "${user#*:}:${user#*:}" "$root/home/${user%:*}"
  done
  ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
  echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
  echo login1 >"$root/etc/hostname"
  echo '127.0.0.1 localhost login1' >"$root/etc/hosts"
  cat >"$root/etc/systemd/system/job.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/bash -c 'mkdir -p /job && mount /dev/vdb /job && cd /job; echo "=== job"; \
  bash ./.script </dev/null 2>&1 | cat; echo "=== exit $${PIPESTATUS[0]}"; sync; \
  systemctl poweroff --force'
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
UNIT
  ln -sf ../job.service "$root/etc/systemd/system/multi-user.target.wants/job.service"
  rm -rf "${cache:?}/boot"
  cp -a "$root/boot" "$cache/boot"
  truncate -s 4G "$disk.new"
  mke2fs -q -t ext4 -d "$root" "$disk.new"
  mv "$disk.new" "$disk"
  rm -rf --one-file-system "$root"
}

# One makes it, others wait for it.
mkdir -p "$cache"
(
  flock 9
  [ -s "$disk" ] || make_disk
) 9>"$cache/lock"

image=$(find "$cache/boot" -name "$pattern" | sort -V | tail -n 1)
version=${image##*/vmlinuz-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/files"
cp "$1" "$work/files/.script"
shift
[ $# -eq 0 ] || cp -a "$@" "$work/files/"
mib=$(du -sm "$work/files" | cut -f1)
truncate -s $((mib * 12 / 10 + 64))M "$work/job.img"
mke2fs -q -t ext4 -d "$work/files" "$work/job.img"

timeout -k 5 "$seconds" qemu-system-x86_64 -accel tcg,thread=single,tb-size=1024 \
  -icount shift=1,sleep=off -cpu Haswell-noTSX -smp 2 -m 2048 \
  -nographic -net none -kernel "$image" -initrd "$cache/boot/initrd.img-$version" \
  -append "root=/dev/vda rw console=ttyS0 quiet loglevel=3 psi=1 systemd.show_status=0 mitigations=off" \
  -drive "file=$disk,if=virtio,format=raw,snapshot=on" \
  -drive "file=$work/job.img,if=virtio,format=raw,snapshot=on" </dev/null 2>/dev/null |
  sed -u -e 's/\r$//' -e 's/\x1b\[[0-9;?]*[a-zA-Z]//g' | tee "$work/console" |
  sed -u -n '/=== job$/,/^=== exit /{/^=== exit /!{/=== job$/!p}}' || true
status=$(sed -n 's/^=== exit \([0-9]*\)$/\1/p' "$work/console" | tail -n 1)
exit "${status:-124}"
