# The ways by which users get their processes: each is held to its user's limit, and told by the status
# with which the hog ended (137: by SIGKILL). Sourced by package.sh.

# Whether a file says that a hog was killed.
says_killed() { [ "$(cat "$1" 2>/dev/null)" = 137 ]; }

check_ways() {
  local before
  before=$(kills)
  check "a hog over ssh is ended" is_killed as_ssh alice hog
  check "a hog by su is ended" is_killed su alice -c hog
  check "a hog by sudo is ended" is_killed sudo -u alice hog
  check "a hog of systemd-run is ended" is_killed systemd-run -q --uid alice --wait --pipe \
    /usr/local/bin/hog
  # Without --wait, for which systemd-run asks a bus that only dbus-user-session starts.
  as_ssh alice 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user -q \
    sh -c "hog; echo \$? >/tmp/own.alice"
    timeout 60 sh -c "until [ -s /tmp/own.alice ]; do sleep 1; done"'
  check "a hog of the user's own systemd is ended" wait_for says_killed /tmp/own.alice
  echo 'hog; echo $? >/tmp/at.alice' | su alice -c 'at now' 2>/dev/null
  check "a hog of at is ended" wait_for says_killed /tmp/at.alice
  # In a session that has ended: only tmux is left of it.
  as_ssh alice 'tmux new-session -d -s s "sleep 10; hog; echo \$? >/tmp/tmux.alice; sleep 3600"'
  check "a hog in a tmux that outlives its session is ended" wait_for says_killed /tmp/tmux.alice
  check "and its tmux lives" pgrep -u alice tmux
  # In a user namespace it has another uid, which is alice's by /etc/subuid.
  check "a hog of a rootless container is ended" is_killed as_ssh alice \
    'unshare --user --map-auto --map-root-user setpriv --reuid 1000 --clear-groups hog'
  check "and so is its root" is_killed as_ssh alice 'unshare --user --map-root-user hog'
  check "each of them is in the history, as alice's" wait_for enough_kills "$((before + 9))"
  toom kills --user alice
  check "nobody else's is" sh -c '! toom kills --user bob --json | grep -q "\"id\""'
  # cron looks once a minute; the clock of an emulated machine is that of all others.
  echo '* * * * * /usr/local/bin/hog; echo $? >/tmp/cron.alice' | crontab -u alice -
  check "a hog of cron is ended" wait_for says_killed /tmp/cron.alice
  crontab -u alice -r
  check "the neighbour lives" kill -0 "$neighbour"
}

enough_kills() { [ "$(toom kills --user alice --json | grep -o '"id"' | wc -l)" -ge "$1" ]; }

# The original's benchmark and an unmodified program ask first: they get NULL, and nobody is killed.
check_asking() {
  local before
  before=$(kills)
  install -m 755 ./benchmark /usr/local/bin/tmalloc-benchmark
  check "toom exec gives NULL instead" as_ssh alice 'toom exec -- python3 -c "
try:
    b = bytearray(200 << 20)
    raise SystemExit(1)
except MemoryError:
    pass"'
  check "so does toom-exec" as_ssh alice 'toom-exec python3 -c "
try:
    b = bytearray(200 << 20)
    raise SystemExit(1)
except MemoryError:
    pass"'
  as_ssh alice 'tmalloc-benchmark 4 200000000 1' >/tmp/benchmark 2>&1
  check "the original's benchmark gets NULL" grep -q 'tmalloc returns NULL' /tmp/benchmark
  check "and nobody is killed for it" [ "$(kills)" -eq "$before" ]
}
