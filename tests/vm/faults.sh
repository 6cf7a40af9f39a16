# What happens to whole machines, and cannot be done to one that others use: the clock is set, it sleeps, it
# is nearly out of memory. Sourced by package.sh.

check_clock() {
  local before
  before=$(main_pid)
  date -s '+3 days' >/dev/null
  check "with the clock set three days on it enforces" is_killed su alice -c hog
  date -s '-10 days' >/dev/null
  check "and with the clock set ten days back" is_killed su alice -c hog
  check "which the history takes" wait_for has_kill_since "$(date +%Y-%m-%d)"
  date -s '+7 days' >/dev/null
  check "as the same process" [ "$(main_pid)" = "$before" ]
}
has_kill_since() { toom kills --user alice --since "$1" --json | grep -q '"id"'; }

check_sleep() {
  local before
  before=$(main_pid)
  if ! grep -q freeze /sys/power/state || ! rtcwake -q -m freeze -s 5; then
    echo "skipped: this machine cannot sleep"
    return
  fi
  check "after a sleep of the machine it is there" is_active
  check "as the same process" [ "$(main_pid)" = "$before" ]
  check "and enforces" is_killed su alice -c hog
}

# A process of root's, which nobody limits, takes all but some 110 MiB and goes on using it. It is exempt
# from the kernel's OOM killer, so that it is the machine that has too little.
check_floor() {
  local before eater
  before=$(main_pid)
  python3 -c '
import time
open("/proc/self/oom_score_adj", "w").write("-1000")
def left():
    for line in open("/proc/meminfo"):
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) >> 10
held = []
while True:
    if left() > 110:
        held.append(bytearray(4 << 20))
        continue
    open("/tmp/floor", "w").write("there")
    for block in held[::16]:
        block[::4096] = bytes(len(block) // 4096)
    time.sleep(0.1)' &
  eater=$!
  check "the machine is nearly out of memory" wait_for test -s /tmp/floor
  grep MemAvailable /proc/meminfo
  check "and a hog is still ended" is_killed su alice -c hog
  check "by the same process" [ "$(main_pid)" = "$before" ]
  check "none of which has been swapped or given back" is_locked
  kill -9 "$eater"
  rm -f /tmp/floor
}
is_locked() { [ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(main_pid)/status")" -gt 0 ]; }
