"""The same as hog.c, some four times slower, for machines without a C compiler."""
import mmap
import os
import sys

PAGE = 4096


def anonymous_bytes():
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    return 0


def hog(counter, mib):
    fd = os.open(counter, os.O_RDWR)
    words = memoryview(mmap.mmap(fd, PAGE)).cast("Q")
    size = mib << 20
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    view = memoryview(area)
    words[0] = 0
    words[1] = anonymous_bytes()
    for at in range(0, size, PAGE):
        view[at] = 1
        words[0] += 1
    os._exit(3)


def shell(counter, mib):
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-S", "-E", __file__, counter, mib])
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(pid, -status, flush=True)


if sys.argv[1] == "shell":
    shell(sys.argv[2], sys.argv[3])
else:
    hog(sys.argv[1], int(sys.argv[2]))
