# What the scripts inside a machine share: checks that print `ok WHAT` or `not ok WHAT`, and ways to
# ask about the service. Sourced; $failed is 1 when a check has failed.
failed=0

check() {
  local what=$1
  shift
  if "$@" >/tmp/out 2>&1; then
    echo "ok $what"
  else
    failed=1
    echo "not ok $what"
    sed 's/^/    /' /tmp/out | tail -n 15
    journalctl -u toom --no-pager -n 8 | sed 's/^/    /'
  fi
}

# A program that goes for 200 MiB, three times the limit of the tests, in a child. Its exit status is 137
# when that was ended by SIGKILL, however it was started: ssh, su and systemd-run hand a status on, but
# each makes something else of a signal.
make_hog() {
  printf '#!/bin/sh\npython3 -c "b = bytearray(200 << 20)"\nexit $?\n' >/usr/local/bin/hog
  chmod 755 /usr/local/bin/hog
}
as_ssh() { ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR -i /root/key "$1@127.0.0.1" "$2"; }
is_killed() {
  "$@"
  local status=$?
  [ "$status" -eq 137 ] || echo "exit status $status"
  [ "$status" -eq 137 ]
}
fails() { ! "$@"; }
# Of all users, of a number of kills that toom has in its history.
kills() { toom kills --json 2>/dev/null | grep -o '"id"' | wc -l; }
main_pid() { systemctl show -p MainPID --value toom; }
is_active() { [ "$(systemctl is-active toom)" = active ]; }
# Another process than that one is the service, and is ready.
is_anew() { [ "$(main_pid)" != "$1" ] && is_active; }
wait_for() {
  for _ in $(seq 200); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 1
  done
  return 1
}
has_limit() { toom limit get "$1" | grep -q "$2"; }
limit_all() { echo "{ \"limits\": { \"1000-59999\": \"$1\" } }" >/etc/toom/config.jsonc; }
# Ends with the journal when something has failed.
finish() {
  [ "$failed" -eq 0 ] || journalctl -u toom --no-pager | tail -n 60
  exit "$failed"
}
