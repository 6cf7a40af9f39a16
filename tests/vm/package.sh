# Runs as root inside a machine of machine.sh, beside the Debian package, the original's benchmark and the
# scripts that it sources: installs the package as an administrator would, uses it as users do, upgrades
# it, boots again, and purges it. Exit status 1 when a check failed.
set -u
. ./checks.sh
. ./ways.sh
. ./faults.sh
readonly PHASE=/job/.phase

# Files of the system, but those that change by themselves.
files() {
  find / -xdev \( -path /job -o -path /root -o -path /tmp -o -path /proc -o -path /sys -o -path /run -o -path /home \
    -o -path /var/log -o -path /var/backups -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd \
    -o -path /var/lib/apt -o -path /var/spool -o -path '/etc/*-' -o -path '/var/tmp/systemd-private-*-systemd-*' \
    -o -path /etc/.pwd.lock \) -prune -o -print | sort
}

first_boot() {
  echo "kernel $(uname -r), systemd $(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
  files >/job/files.before
  make_hog
  # The package before this one: the same, but for its number.
  dpkg-deb -R ./toom_*.deb /tmp/previous
  sed -i 's/^Version: .*/Version: 0.0.1-1/' /tmp/previous/DEBIAN/control
  dpkg-deb -Znone -b /tmp/previous /tmp/previous.deb >/dev/null
  rm -rf /tmp/previous
  check "the package is installed" dpkg -i /tmp/previous.deb
  check "which starts nothing by itself" fails is_active
  limit_all 64MiB
  check "the configuration is in order" toom check-config
  check "the unit is in order" systemd-analyze verify toom.service
  check "systemctl enable --now toom is ready when limits are enforced" \
    systemctl enable --now toom
  check "systemd knows how things stand" \
    sh -c '[ -n "$(systemctl show -p StatusText --value toom)" ]'
  toom status | head -n 12

  # bob's: below its limit all the time, also beside a `toom status` of his (some 30 MiB), and beside
  # everything that happens to alice.
  setsid su bob -c 'exec python3 -c "
import time
b = bytearray(10 << 20)
time.sleep(36000)"' &
  neighbour=$!
  check_ways
  check_told
  check_asking
  check_hook
  check_reload
  check_deaths
  check_clock
  check_sleep
  check_floor
  check_upgrade
  systemd-analyze security toom.service 2>/dev/null | tail -n 1
  kill -0 "$neighbour" 2>/dev/null || journalctl --no-pager | grep -E "uid=1002|bob" | tail -n 30
  check "the neighbour has lived through all of it" kill -0 "$neighbour"
  if [ "$failed" -ne 0 ]; then finish; fi
  echo booted >"$PHASE"
  sync
  systemctl reboot
  sleep 3600
}

# Who is killed is told on its terminal: one of alice's, over ssh, in a tmux of root's.
check_told() {
  check "users may ask about themselves" as_ssh alice 'toom me'
  tmux new-session -d -s seen -x 200 -y 50 \
    "ssh -tt -o StrictHostKeyChecking=no -o LogLevel=ERROR -i /root/key alice@127.0.0.1"
  sleep 5
  tmux send-keys -t seen "mesg y; hog" Enter
  check "who is killed over ssh is told on its terminal" wait_for is_told
  sed -n '/toom has ended/,/toom exec/s/^/    /p' /tmp/screen | head -n 3
  tmux kill-session -t seen
}
is_told() { tmux capture-pane -p -t seen >/tmp/screen && grep -q "toom has ended your process" /tmp/screen; }

# What the configuration says is run beside a kill, as a user of its choice, within the unit's bounds.
check_hook() {
  echo '{ "limits": { "1000-59999": "64MiB" }, "control": { "readGroup": "toom" },
    "hooks": { "after": { "command": ["/usr/bin/logger", "-t", "toom-hook"], "user": "bob" } } }' \
    >/etc/toom/config.jsonc
  check "a hook is configured" systemctl restart toom
  su alice -c hog
  check "and run as the user that it names" wait_for hook_was_run
  usermod -aG toom bob
  check "who is in the group may look" as_ssh bob 'toom status'
  check "who is not may not" fails as_ssh alice 'toom status'
}
hook_was_run() { journalctl -t toom-hook _UID=1002 --no-pager -q | grep -q .; }

check_reload() {
  limit_all 96MiB
  check "systemctl reload takes a good file" systemctl reload toom
  check "which is in force then" sh -c 'toom limit list | grep -q "96.0 MiB"'
  echo '{ "limits": { "1000-59999": "128MiB" ' >/etc/toom/config.jsonc
  check "systemctl reload refuses a bad one" fails systemctl reload toom
  check "which changes nothing" sh -c 'toom limit list | grep -q "96.0 MiB"'
  limit_all 64MiB
  check "and a good one is taken again" systemctl reload toom
  check "toom limit set" toom limit set bob 80MiB
}

# However it ends it comes back, with the limits that it had.
check_deaths() {
  local before name tid
  before=$(main_pid)
  kill -9 "$before"
  check "after kill -9 it is back" wait_for is_anew "$before"
  check "and enforces" is_killed su alice -c hog
  check "with the limit that was set while it ran" wait_for has_limit bob "80.0 MiB"
  for name in accounting killer coordinator sweeper reader; do
    before=$(main_pid)
    # The kernel keeps 15 characters of a name.
    tid=$(grep -l "^toom-${name:0:10}" /proc/"$before"/task/*/comm | head -n 1 | cut -d/ -f5)
    check "kill -9 of the thread $name" kill -9 "$tid"
    check "after which it is back" wait_for is_anew "$before"
  done
  check "and enforces after all of them" is_killed su alice -c hog
  before=$(main_pid)
  kill -STOP "$before"
  check "one that stands still is ended by systemd's watchdog" wait_for is_anew "$before"
  check "whose successor enforces" is_killed su alice -c hog
}

# Limits, promises, and the file that the administrator has changed outlive an upgrade.
check_upgrade() {
  as_ssh alice 'toom-exec python3 -c "
import time
b = bytearray(20 << 20)
open(\"/tmp/promised.alice\", \"w\").write(\"0\")
time.sleep(36000)"' &
  check "a program is promised memory" wait_for test -s /tmp/promised.alice
  check "and has more of it than it uses" has_promise
  check "an upgrade restarts it" dpkg -i ./toom_*.deb
  check "and is one" sh -c '[ "$(dpkg-query -f "\${Version}" -W toom)" != 0.0.1-1 ]'
  check "with the limits that it had" has_limit bob "80.0 MiB"
  check "with the file as it was" grep -q 64MiB /etc/toom/config.jsonc
  check "with what it had promised" has_promise
  check "and enforces after it" is_killed su alice -c hog
}
# What is promised and not in use yet is little once the program runs: its allocator's next steps.
has_promise() { toom status --json | grep -qE '"promisedPages": ?[1-9]'; }

# Milliseconds after the boot at which a unit was there.
since_boot_us() { systemctl show -p ActiveEnterTimestampMonotonic --value "$1"; }

second_boot() {
  check "after a boot it runs" wait_for is_active
  check "before anybody could log in" \
    [ "$(since_boot_us toom.service)" -lt "$(since_boot_us systemd-user-sessions.service)" ]
  check "with the limit that was set before it" has_limit bob "80.0 MiB"
  check "and the first login is held to its limit" is_killed as_ssh alice hog
  systemctl stop toom
  check "after a stop nothing is left in tracefs" sh -c \
    '! ls /sys/kernel/tracing/instances | grep -q toom'
  check "it is removed" dpkg -r toom
  check "and its configuration is kept" [ -e /etc/toom/config.jsonc ]
  rm -f /usr/local/bin/hog /usr/local/bin/tmalloc-benchmark
  check "it is purged" dpkg -P toom
  check "and nothing is left" nothing_left
  finish
}
nothing_left() {
  files >/job/files.after
  ! comm -13 /job/files.before /job/files.after | grep . && ! [ -e /run/toom ]
}

if [ -e "$PHASE" ]; then second_boot; else first_boot; fi
