# Runs as root inside a small machine of machine.sh, beside the Debian package and checks.sh: what each
# change must pass. The package is installed, enforces, comes back, and is purged.
set -u
. ./checks.sh

echo "kernel $(uname -r), systemd $(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
make_hog
check "the package is installed" apt install -y ./toom_*.deb
limit_all 64MiB
check "the configuration is in order" toom check-config
check "systemctl enable --now toom is ready when limits are enforced" systemctl enable --now toom
check "and says how things stand" toom status
setsid su bob -c 'exec python3 -c "
import time
b = bytearray(30 << 20)
time.sleep(3600)"' &
neighbour=$!
check "a hog over ssh is ended" is_killed as_ssh alice hog
check "a hog by su is ended" is_killed su alice -c hog
check "toom exec gives NULL instead" as_ssh alice 'toom-exec python3 -c "
try:
    b = bytearray(200 << 20)
    raise SystemExit(1)
except MemoryError:
    pass"'
check "the kills are in the history" [ "$(kills)" -eq 2 ]
check "the neighbour lives" kill -0 "$neighbour"
before=$(main_pid)
kill -9 "$before"
check "after kill -9 it is back" wait_for is_anew "$before"
check "and enforces" is_killed su alice -c hog
check "it is purged" dpkg -P toom
check "and nothing is left in tracefs" sh -c '! ls /sys/kernel/tracing/instances | grep -q toom'
finish
