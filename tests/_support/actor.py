"""A process that tests of rules about who dies name and place as they need. Run with the text of this
file in TOOM_ACTOR as: python3 -c "import os; exec(os.environ['TOOM_ACTOR'])" JSON [ANYTHING]...

JSON: mib (touched at once), and name, dir, score, leader, bigArguments. Prints `held`. Each line of its
input is a number of MiB that it touches more, 1 MiB each `pauseMs`, after which it prints `grown`; the
end of the input ends it."""
import ctypes
import json
import mmap
import os
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NAME = 15
MIB = 1 << 20
kept = []


def touch(mib, pause):
    for _ in range(mib):
        area = mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, MIB, 4096):
            area[at] = 1
        kept.append(area)
        time.sleep(pause)


what = json.loads(sys.argv[1])
if "name" in what:
    libc.prctl(PR_SET_NAME, what["name"].encode("utf-8", "surrogateescape"))
if "dir" in what:
    os.chdir(what["dir"])
if "score" in what:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(what["score"]))
if what.get("leader"):
    os.setsid()
touch(what["mib"], 0)
print("held", flush=True)
for line in sys.stdin:
    touch(int(line), what.get("pauseMs", 5) / 1000)
    print("grown", flush=True)
