#!/bin/sh
# The benchmark, and real programs under the preloaded library, each with a test daemon and a limit
# of its own.
# usage: test_programs.sh BUILD_DIRECTORY

build=$(cd "$1" && pwd)
directory=$(mktemp -d /tmp/tmalloc-preload-XXXXXX)
export TMALLOC_SOCKET="$directory/socket"
failures=0
daemon=

stop_daemon() {
  [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
  wait "$daemon" 2>/dev/null
  daemon=
}

clean_up() {
  stop_daemon
  rm -rf "$directory"
}
trap clean_up EXIT

# start_daemon MEBIBYTES
start_daemon() {
  stop_daemon
  rm -f "$directory/socket" "$directory/control"
  "$build/tests/test-daemon" "$directory/socket" "$directory/control" $(($1 * 1048576)) &
  daemon=$!
  until [ -S "$directory/socket" ]; do sleep 0.01; done
  sleep 0.02
}

# succeeds NAME COMMAND...
succeeds() {
  name=$1
  shift
  if timeout 60 "$@" >"$directory/out" 2>&1 </dev/null; then
    cp "$directory/out" "$directory/out.kept"
    echo "ok   $name"
  else
    echo "FAIL $name: exit $?"
    tail -n 20 "$directory/out"
    failures=$((failures + 1))
  fi
}

# preload MEBIBYTES NAME COMMAND...
preload() {
  limit=$1 name=$2
  shift 2
  if ! command -v "$1" >/dev/null; then
    echo "skip $name: there is no $1"
    return
  fi
  start_daemon "$limit"
  succeeds "$name" env LD_PRELOAD="$build/libtmalloc-preload.so" "$@"
}

cd "$directory" || exit 2
# The program itself, not a script that finds it.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || echo python3)
export python
seq 1 300000 | awk '{print ($1 * 7919) % 300007}' >numbers
cat >hello.c <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(void) { char *text = malloc(10); return text == NULL || puts("hello") < 0; }
C
cat >refused.py <<'PYTHON'
import os, subprocess, threading
kept = []
try:
    while True:
        kept.append(bytearray(b"x") * 100_000)
except MemoryError:
    got = len(kept)
    del kept[: got // 2]
print(got, "blocks")
assert 300 < got < 640
small = []
try:
    while True:
        small.append(object())
except MemoryError:
    del small
kept.clear()
results = []
threads = [threading.Thread(target=lambda: results.append(sum(range(100000)))) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(results) == 8
assert subprocess.run(["echo", "hello"], capture_output=True).stdout == b"hello\n"
child = os.fork()
if child == 0:
    os._exit(0 if len([0] * 1000000) else 1)
assert os.waitpid(child, 0)[1] == 0
PYTHON
cat >grow.js <<'JS'
const kept = [];
for (let i = 0; i < 50; i++) kept.push(Buffer.alloc(1 << 20, 1));
console.log(kept.length, require("node:child_process").execSync("echo hello").toString());
JS

start_daemon 16
succeeds "benchmark: who is refused exits" sh -c '"$1/benchmark" 4 1000000000 2 >benchmark.txt &&
  [ "$(grep -c "^malloc / tmalloc returns NULL on [1-9]" benchmark.txt)" = 8 ] &&
  [ "$(grep -cx "child process exit" benchmark.txt)" = 4 ] &&
  [ "$(head -n 1 benchmark.txt)" = "process=4 mem=1000000000 epoch=2" ]' sh "$build"

preload 64 "maps" "$build/tests/maps"
# What glibc 2.38 changed (aligned_alloc) is not what is held here.
if "$build/tests/glibc" >/dev/null 2>&1; then
  preload 256 "glibc's tests of malloc" "$build/tests/glibc"
else
  echo "skip glibc's tests of malloc: this libc differs"
fi
preload 128 "a storm of fork, clone, popen, daemon" \
  "$build/tests/storm" 3 "${SEED:-$$}" "$directory/control"
preload 64 "maps, strict forks" env TMALLOC_FORK=strict "$build/tests/maps"
preload 64 "perl starts programs from a large one" perl -e '
  my $x = "x" x (18 << 20); exit(system("/bin/true", "x") == 0 ? 0 : 1)'
preload 64 "python: MemoryError is caught" "$python" refused.py
preload 2048 "node" node grow.js
preload 64 "sort" sort -n numbers -o sorted
preload 256 "gcc" gcc -O2 -o hello hello.c
preload 64 "what gcc made" ./hello
preload 128 "git" sh -c 'git init -q r && cd r && cp ../numbers . && git add numbers &&
  git -c user.name=t -c user.email=t@t commit -qm t && git gc -q && git log --oneline'
preload 128 "bash pipelines" bash -c 'set -o pipefail
  for i in 1 2 3 4 5; do sort -S 4M -n numbers | uniq | head -n 1000 | wc -l; done
  test "$(cat <(echo a) <(echo b) | tr -d "\n")" = ab && exec 3<numbers && read -r x <&3'
preload 64 "perl" perl -e 'my @a = map { "x" x 1000 } 1..10000; print scalar(@a), "\n"'
preload 64 "tar and gzip" sh -c 'tar czf n.tgz numbers && tar tzf n.tgz'
preload 64 "awk" awk '{ sum += $1 } END { print sum }' numbers
preload 64 "closes all descriptors" bash -c 'for fd in /proc/self/fd/*; do
  n=${fd##*/}; [ "$n" -gt 2 ] && eval "exec $n>&-"; done; x=$(printf %1000000s y); echo ${#x}'

cat >never.py <<'PYTHON'
import mmap, sys
for _ in range(3):
    try:
        mmap.mmap(-1, 1 << 33)
        sys.exit("mapped")
    except OSError:
        pass
PYTHON
preload 64 "who maps more than there is" "$python" never.py
succeeds "is told what to set, once" sh -c '[ "$(grep -c "8192 MiB was refused: the user may have 64 MiB.*-Xmx" out.kept)" = 1 ]'

# The limit is passed by nobody who asks: each of these wants more than there is.
preload 32 "refused programs end by themselves" bash -c '
  for i in 1 2 3; do "$python" -c "
l = []
try:
  while True: l.append(bytearray(10000))
except MemoryError: pass" & done
  for i in 1 2 3; do wait -n; test $? -lt 128 || exit 1; done'

[ "$failures" -eq 0 ]
