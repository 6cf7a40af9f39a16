"""Processes for the end-to-end tests. Run with the text of this file in TOOM_WORKLOAD as:
python3 -S -E -c "import os; exec(os.environ['TOOM_WORKLOAD'])" MODE [ARG]...

Each prints a line when it is where it wants to be, then reads lines: `go` goes on, the end of the
input ends it. Everything is touched page by page."""
import ctypes
import mmap
import os
import signal
import sys
import threading
import time

MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
parent = os.getpid()
MADV_FREE = 8
MADV_HUGEPAGE = 14
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
CLONE_NEWUSER = 0x10000000
CLONE_VM = 0x100
SYS_EXIT = {"x86_64": 60, "aarch64": 93}.get(os.uname().machine, 60)


def self_command(*args):
    run = "import os; exec(os.environ['TOOM_WORKLOAD'])"
    return [sys.executable, "-S", "-E", "-c", run, *args]


def die_with_parent():
    """The kernel ends this process with its parent; which may have gone before it was told to."""
    libc.prctl(PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:
        os._exit(0)


def touch(mib, huge=False, shared=False):
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | mmap.MAP_ANONYMOUS
    area = mmap.mmap(-1, mib * MIB, flags=flags)
    if huge:
        area.madvise(MADV_HUGEPAGE)
    view = memoryview(area)
    for at in range(0, mib * MIB, 4096):
        view[at] = 1
    return area, view


def say(*words):
    print(*words, flush=True)


def wait():
    """Waits for a line; ends with the input."""
    if not sys.stdin.readline():
        os._exit(0)


def hold(mib, *options):
    kept = touch(mib, huge="huge" in options, shared="shared" in options)
    say("held")
    wait()
    return kept


def main(mode, args):
    if mode == "hold":
        hold(int(args[0]), *args[1:])
    elif mode == "hold-on-go":
        if "pinned" in args:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        say("here")
        wait()
        hold(int(args[0]), *args[1:])
    elif mode == "steps":
        # Grows by so much with each line.
        kept = []
        say("here")
        while True:
            wait()
            kept.append(touch(int(args[0])))
            say("grown", len(kept))
    elif mode == "storm":
        say("here")
        wait()
        for _ in range(int(args[0])):
            pid = os.fork()
            if pid == 0:
                touch(1)
                os._exit(0)
            os.waitpid(pid, 0)
        say("done")
        wait()
    elif mode == "exec-chain":
        left = int(args[0])
        touch(2)
        if left > 0:
            os.execv(sys.executable, self_command("exec-chain", str(left - 1)))
        hold(4)
    elif mode == "threads":
        kept = []
        ready = threading.Barrier(int(args[0]) + 1)
        threading.stack_size(256 * 1024)

        def work():
            kept.append(touch(1))
            ready.wait()
            time.sleep(3600)

        for _ in range(int(args[0])):
            threading.Thread(target=work, daemon=True).start()
        ready.wait()
        say("held")
        wait()
        os._exit(0)
    elif mode == "vfork":
        touch(2)
        for _ in range(int(args[0])):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
        kept = touch(3)
        child = os.posix_spawn(sys.executable, self_command("hold", "5"), os.environ)
        wait()
        os.waitpid(child, 0)
    elif mode == "setuid":
        uid = int(args[0])
        kept = touch(3)
        say("here")
        wait()
        os.setgid(uid)
        os.setuid(uid)
        more = touch(int(args[1]))
        say("held")
        wait()
    elif mode == "login":
        # As a login does: root forks, the child becomes the user and loads a program.
        uid = int(args[0])
        say("here")
        wait()
        pid = os.fork()
        if pid == 0:
            os.setgid(uid)
            os.setuid(uid)
            os.execv(sys.executable, self_command("hold", args[1]))
        os.waitpid(pid, 0)
    elif mode == "namespace":
        # A rootless container of PERSON: inside, 0 is the person and 1 to 9 are SUB to SUB + 8. Goes
        # on as INSIDE. A child, root still, writes the maps, as newuidmap(1) does.
        person, sub, inside = int(args[0]), int(args[1]), int(args[2])
        main_pid = os.getpid()
        unshared, say_unshared = os.pipe()
        mapped, say_mapped = os.pipe()
        helper = os.fork()
        if helper == 0:
            os.read(unshared, 1)
            for kind in ("uid", "gid"):
                with open(f"/proc/{main_pid}/{kind}_map", "w") as file:
                    file.write(f"0 {person} 1\n1 {sub} 9\n")
            os.write(say_mapped, b"x")
            os._exit(0)
        os.setgroups([])
        os.setgid(person)
        os.setuid(person)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        if libc.unshare(CLONE_NEWUSER) != 0:
            sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
        os.write(say_unshared, b"x")
        os.read(mapped, 1)
        os.waitpid(helper, 0)
        os.setgid(inside)
        os.setuid(inside)
        os.execv(sys.executable, self_command("hold-on-go", *args[3:]))
    elif mode == "fork-hold":
        # A parent with memory and children that share it copy on write.
        kept = touch(4)
        children = []
        for _ in range(int(args[0])):
            pid = os.fork()
            if pid == 0:
                # Nobody must outlive the test, however its parent ends.
                die_with_parent()
                mine = touch(1)
                time.sleep(3600)
                os._exit(0)
            children.append(pid)
        say("held")
        sys.stdin.readline()
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    elif mode == "crowd":
        # Processes on one address space, clone(2) with CLONE_VM and without CLONE_THREAD: each sleeps
        # in pause(2), on a stack of its own. Then it grows.
        stacks = []
        for _ in range(int(args[0])):
            stack = mmap.mmap(-1, 16384)
            stacks.append(stack)
            top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + 16384
            flags = CLONE_VM | signal.SIGCHLD
            pid = libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), ctypes.c_void_p(top), flags, None)
            say("sharer", pid)
        say("here")
        wait()
        hold(int(args[1]))
    elif mode == "store":
        # A store that writes a snapshot: the child shares all that it has, and volunteers. Three
        # quarters of that are written to afterwards, which copies them.
        kept, view = touch(int(args[0]))
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("800")
            time.sleep(3600)
            os._exit(0)
        say("child", pid)
        say("here")
        wait()
        for at in range(0, int(args[0]) * MIB * 3 // 4, 4096):
            view[at] = 2
        hold(int(args[1]))
        os.kill(pid, 9)
    elif mode == "family":
        # A parent and children that share what it has; with "copy" the first writes to all of it.
        kept, view = touch(int(args[0]))
        children = []
        for number in range(int(args[1])):
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                die_with_parent()
                os.close(writing)
                os.read(reading, 1)
                if number == 0 and "copy" in args:
                    for at in range(0, int(args[0]) * MIB, 4096):
                        view[at] = 2
                time.sleep(3600)
                os._exit(0)
            children.append((pid, writing))
        for pid, _ in children:
            say("child", pid)
        say("forked")
        wait()
        os.write(children[0][1], b"x")
        time.sleep(3600)
    elif mode == "map-shared":
        # Children that map and touch the same shared memory.
        bytes_ = int(args[0]) * MIB
        area = mmap.mmap(-1, bytes_)
        children = []
        for _ in range(int(args[1])):
            reading, writing = os.pipe()
            if os.fork() == 0:
                die_with_parent()
                for at in range(0, bytes_, 4096):
                    area[at] = 1
                os.write(writing, b"x")
                time.sleep(3600)
                os._exit(0)
            children.append(reading)
        for reading in children:
            os.read(reading, 1)
        say("mapped")
        time.sleep(3600)
    elif mode == "lazy-free":
        # Takes memory and frees it with MADV_FREE, over and over.
        bytes_ = int(args[0]) * MIB
        areas = []
        for _ in range(int(args[1])):
            area = mmap.mmap(-1, bytes_, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for at in range(0, bytes_, 4096):
                area[at] = 1
            area.madvise(MADV_FREE)
            areas.append(area)
            time.sleep(0.1)
        say("freed")
        time.sleep(3600)
    elif mode == "leaderless":
        # The first thread ends, another one goes on.
        def grow():
            time.sleep(0.5)
            hold(int(args[0]))
            os._exit(0)

        threading.Thread(target=grow).start()
        libc.syscall(SYS_EXIT, 0)
    elif mode == "stubborn":
        # Does not end by SIGTERM.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("here")
        wait()
        hold(int(args[0]))
    elif mode == "saver":
        # Writes down what it has when it is asked to end.
        def save(number, _):
            say("saving", number)
            time.sleep(0.3)
            say("saved")
            os._exit(3)

        signal.signal(signal.SIGTERM, save)
        say("here")
        wait()
        hold(int(args[0]))
    elif mode == "lodger":
        # Holds memory and says nothing; on its own in a unit, if it is told to.
        if "group" in args:
            os.setpgid(0, 0)
        if "session" in args:
            os.setsid()
        kept = touch(int(args[0]))
        time.sleep(3600)
    elif mode == "unit":
        # As root: a process group or session of two users, and somebody of the first who is not in it.
        kind, uid, other = args[0], int(args[1]), int(args[2])
        if kind == "session":
            os.setsid()
        else:
            os.setpgid(0, 0)

        def person(uid, *words):
            pid = os.fork()
            if pid == 0:
                os.setgid(uid)
                os.setuid(uid)
                die_with_parent()
                os.execv(sys.executable, self_command(*words))
            return pid

        say("mate", person(uid, "lodger", "2"))
        say("foreign", person(other, "lodger", "2"))
        say("apart", person(uid, "lodger", "2", kind))
        say("here")
        wait()
        say("hog", person(uid, "lodger", args[3]))
        while True:
            wait()
    elif mode == "respawn":
        # A shell that starts a hog anew whenever it has ended; its program says its own pid.
        if "session" in args:
            os.setsid()
        say("here")
        wait()
        command = 'while :; do "$0" "$@"; done'
        os.execv("/bin/sh", ["sh", "-c", command, *self_command("lodger", args[0])])
    elif mode == "churn":
        # Grows and shrinks for ever.
        say("here")
        while True:
            area, view = touch(int(args[0]))
            view.release()
            area.close()
    else:
        sys.exit("unknown mode " + mode)


main(sys.argv[1], sys.argv[2:])
