#!/bin/sh
# toom-exec: what it finds, refuses and passes on; and programs that do not run with the library,
# started by it or by what it has started.
# usage: test_exec.sh BUILD_DIRECTORY

build=$(cd "$1" && pwd)
directory=$(mktemp -d /tmp/tmalloc-exec-XXXXXX)
socket="$directory/socket"
run="$build/toom-exec --tmalloc-socket $socket"
failures=0
unset LD_PRELOAD TMALLOC_SOCKET TMALLOC_FALLBACK TMALLOC_TOLD JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS \
  _JAVA_OPTIONS NODE_OPTIONS GOMEMLIMIT MEM_LIMIT

clean_up() {
  kill -9 $daemon 2>/dev/null
  for link in /run/toom-exec/* "/tmp/toom-exec-$(id -u)"/*; do
    case $(readlink "$link") in "$directory"/*) rm -f "$link" ;; esac
  done
  rm -rf "$directory"
}
trap clean_up EXIT

"$build/tests/test-daemon" "$socket" "$directory/control" 268435456 &
daemon=$!
until [ -S "$socket" ]; do sleep 0.01; done
sleep 0.02
cd "$directory" || exit 2

# expect NAME CODE TEXT COMMAND...: its exit code, and what it says on both outputs, as a pattern of
# case that may stand for several lines.
expect() {
  what=$1 code=$2 text=$3
  shift 3
  said=$(timeout 30 "$@" 2>&1 </dev/null)
  got=$?
  # shellcheck disable=SC2254
  case $said in $text) matches=yes ;; *) matches=no ;; esac
  if [ "$got" = "$code" ] && [ $matches = yes ]; then
    echo "ok   $what"
  else
    printf 'FAIL %s: exit %s, said:\n%s\n' "$what" "$got" "$said"
    failures=$((failures + 1))
  fi
}

line='
'
is_loaded='grep -c -m1 tmalloc-preload /proc/self/maps'
expect "the library is loaded, and nothing is said" 0 1 $run -- sh -c "$is_loaded"
expect "exit code and arguments are the program's" 7 "a b" $run sh -c 'echo "$0"; exit 7' "a b"
expect "TMALLOC_SOCKET is heeded" 0 "$socket 0" env TMALLOC_SOCKET="$socket" "$build/toom-exec" \
  sh -c 'echo "$TMALLOC_SOCKET $TMALLOC_TOLD"'
expect "what was preloaded stays" 0 "*/libtmalloc-preload.so:libm.so.6" \
  env LD_PRELOAD=libm.so.6 $run sh -c 'echo "$LD_PRELOAD"'
echo 'echo "script $1"' >no-first-line
chmod 755 no-first-line
expect "a script without a first line is the shell's" 0 "script x" $run ./no-first-line x
expect "a program that is not there" 1 "toom exec: there is no ./nothing" $run ./nothing
expect "a program that may not be run" 1 "toom exec: cannot run ./control: it is not executable" \
  $run ./control

# Nobody answers: said once, by toom-exec, for all that it starts.
expect "nobody answers" 0 \
  "toom exec: cannot reach toom at /nowhere: No such file or directory; goes on without asking" \
  "$build/toom-exec" --tmalloc-socket /nowhere bash -c 'cat /dev/null | cat; sh -c :'
cat >refused.c <<'C'
#include <stdlib.h>
int main(void) { return malloc(10) == NULL ? 5 : 6; }
C
cc -O0 -fno-builtin -o refused refused.c
expect "nobody answers, and nothing is to be had" 5 \
  "toom exec: cannot reach toom at /nowhere: No such*; all memory is refused (--fallback=fail)" \
  "$build/toom-exec" --fallback=fail --tmalloc-socket /nowhere ./refused

# Under little address space.
expect "ulimit -v" 0 ran sh -c "ulimit -v 100000; exec $run sh -c 'echo ran'"

# Paths that ld.so does not take.
for folder in "a b" "c:d" 'e$LIB' "f  g: h"; do
  mkdir "$folder"
  cp "$build/libtmalloc-preload.so" "$build/toom-exec" "$folder/"
  expect "the library in \"$folder\"" 0 "[1-9]*" "./$folder/toom-exec" --tmalloc-socket "$socket" \
    sh -c "grep -cF '$folder/libtmalloc-preload.so' /proc/self/maps"
  expect "named in \"$folder\"" 0 "[1-9]*" $run --preload "$folder/libtmalloc-preload.so" \
    sh -c "grep -cF '$folder/libtmalloc-preload.so' /proc/self/maps"
done
: >empty.so
expect "a library that is none" 3 "toom exec: */empty.so is no library of this machine: *make*" \
  $run --preload empty.so true
expect "a library that is not there" 3 "toom exec: there is no none.so: *make -C tmalloc*" \
  $run --preload none.so true

# Programs that cannot ask.
cat >done.c <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(void) { char *p = malloc(1 << 20); p[9] = 1; free(p); return puts("done") < 0; }
C
cp /bin/true setuid
chmod u+s setuid
expect "setuid" 0 "toom exec: ./setuid changes its user when it starts: it will not ask" $run ./setuid
expect "setuid, refused" 3 "*it cannot ask, so it is not run (--fallback=fail)" \
  $run --fallback=fail ./setuid
if cc -static -o static done.c 2>/dev/null; then
  expect "static" 0 "toom exec: ./static is linked statically: it will not ask${line}done" $run ./static
  printf '#!./static\n' >script
  chmod 755 script
  expect "static interpreter" 0 "toom exec: ./static is linked statically*done" $run ./script
else
  echo "skip static: cc makes none"
fi
for sanitizer in address:Address thread:Thread leak:Leak; do
  flag=${sanitizer%:*} name=${sanitizer#*:}Sanitizer
  if ! cc "-fsanitize=$flag" -o "$flag" done.c 2>/dev/null || ! "./$flag" >/dev/null 2>&1; then
    echo "skip $name: cc makes none that runs"
    continue
  fi
  told="./$flag was built with $name: it will not ask"
  expect "$name" 0 "toom exec: $told${line}done" $run "./$flag"
  expect "$name, refused" 3 "toom exec: ./$flag was built with $name: it cannot ask*" \
    $run --fallback=fail "./$flag"
  expect "$name by env" 0 "tmalloc: $told${line}done" $run env "./$flag"
  expect "$name by sh" 0 "tmalloc: $told${line}done" $run sh -c "./$flag; :"
  expect "$name by env, refused" 126 "tmalloc: ./$flag was built with $name: it cannot ask*Permission denied" \
    $run --fallback=fail env "./$flag"
  expect "what it would have preloaded besides stays" 0 "tmalloc: *: it will not ask${line}*libm*" \
    env LD_PRELOAD=libm.so.6 $run env sh -c "exec 3<&1; LD_PRELOAD=\$LD_PRELOAD ./$flag >/dev/null
      echo \$LD_PRELOAD"
done
if cc -fsanitize=undefined -o undefined done.c 2>/dev/null && ./undefined >/dev/null 2>&1; then
  expect "UBSan asks like others" 0 "done" $run ./undefined
fi
if cc -fsanitize=address -static-libasan -o address-static done.c 2>/dev/null; then
  expect "ASan linked statically" 0 "toom exec: *AddressSanitizer: it will not ask${line}done" \
    $run ./address-static
fi
# Every function by which a program is started.
cat >starts.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void start(int way, char *p) {
  char *words[] = {p, "x", NULL};
  pid_t child;
  switch (way) {
    case 0: execve(p, words, environ); break;
    case 1: execv(p, words); break;
    case 2: execvp(strrchr(p, '/') + 1, words); break;
    case 3: execvpe(strrchr(p, '/') + 1, words, environ); break;
    case 4: execl(p, p, "x", (char *)NULL); break;
    case 5: execlp(strrchr(p, '/') + 1, p, "x", (char *)NULL); break;
    case 6: execle(p, p, "x", (char *)NULL, environ); break;
    case 7: fexecve(open(p, O_RDONLY), words, environ); break;
    case 8: execveat(AT_FDCWD, p, words, environ, 0); break;
    case 9:
      if (posix_spawn(&child, p, NULL, NULL, words, environ) == 0) wait(NULL);
      _exit(0);
    case 10:
      if (posix_spawnp(&child, strrchr(p, '/') + 1, NULL, NULL, words, environ) == 0) wait(NULL);
      _exit(0);
    case 11: _exit(system(p) != 0);
    case 12: _exit(pclose(popen(p, "w")) != 0);
    case 13: if (vfork() == 0) { execv(p, words); _exit(1); } wait(NULL); _exit(0);
  }
  _exit(99);
}
int main(int argc, char **argv) {
  setenv("PATH", ".:/usr/bin:/bin", 1);
  for (int way = 0; way < 14; way++) {
    if (fork() == 0) start(way, argv[argc - 1]);
    int status;
    if (wait(&status) < 0 || status != 0) printf("way %d ended with %d\n", way, status);
  }
}
C
cc -o starts starts.c 2>/dev/null
hello="$(seq 14 | sed 's/.*/hello x/')"
printf '#!/bin/sh\necho hello x\n' >hello
chmod 755 hello
expect "all ways to start a program" 0 "$hello" $run ./starts ./hello
if [ -x address ]; then
  expect "all ways to start one that cannot ask" 0 "$(seq 14 | sed 's/.*/done/')" \
    sh -c "$run ./starts ./address 2>stderr"
  expect "each says so" 0 14 grep -c "AddressSanitizer: it will not ask" stderr
fi

# Hints: 256 MiB.
show='echo "$JAVA_TOOL_OPTIONS|$NODE_OPTIONS|$GOMEMLIMIT|$MEM_LIMIT|$(ulimit -m)"'
expect "hints" 0 "-XX:MaxRAM=268435456|--max-old-space-size=192|241591905|268435456|131072" \
  $run bash -c "$show"
expect "no hints" 0 "||||unlimited" $run --no-hints bash -c "$show"
expect "what the user has set stays" 0 "-ea -Xmx9m|--max_old_space_size=9|off|7|9" \
  env JAVA_TOOL_OPTIONS="-ea -Xmx9m" NODE_OPTIONS=--max_old_space_size=9 GOMEMLIMIT=off MEM_LIMIT=7 \
  bash -c "ulimit -Sm 9; exec $run bash -c '$show'"
expect "other options are kept" 0 "-ea -XX:MaxRAM=268435456|--no-warnings --max-old-space-size=192|*" \
  env JAVA_TOOL_OPTIONS=-ea NODE_OPTIONS=--no-warnings $run bash -c "$show"
expect "a limit in another variable of java's counts too" 0 "||*" \
  env _JAVA_OPTIONS=-XX:MaxRAM=1G NODE_OPTIONS= $run bash -c 'echo "$JAVA_TOOL_OPTIONS||"'

[ "$failures" -eq 0 ]
