"""A program that asks before it uses memory, driven by lines on its input. Run as
python3 -S -E -c "import os; exec(os.environ['TOOM_ASKER'])" SOCKET

Each line is a command; each answer is one line of JSON. Sizes are bytes.

  reserve BYTES [MIN] | release BYTES | query | claim BYTES | wait BYTES MS | declare BYTES | fork
  raw HEX           sends these bytes as one message
  forge PID UID     asks, and says that it is another
  touch BYTES       touches fresh pages          drop      gives all of them back to the kernel
  child             forks a child that takes over input and output; the parent waits for its end
  exec              executes this program anew   reconnect opens another connection
  exit CODE"""
import json
import mmap
import os
import socket
import struct
import sys

TYPES = {"reserve": 1, "release": 2, "query": 3, "claim": 4, "wait": 5, "declare": 6, "fork": 7}
path = sys.argv[1]
held = []


def connect():
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.connect(path)
    return made


def receive():
    data = sock.recv(256)
    if len(data) != 64:
        return {"closed": True, "length": len(data)}
    version, kind, number, status, flags, *sizes = struct.unpack("<HHIiIQQQQQQ", data)
    names = ("bytes", "level", "resident", "committed", "hard", "claim")
    return {
        "type": kind & 0x7FFF,
        "id": number,
        "status": status,
        "unlimited": flags & 1 != 0,
        "never": flags & 2 != 0,
        "usage": flags & 4 != 0,
        **dict(zip(names, sizes)),
    }


def ask(kind, size=0, timeout=0, least=0):
    try:
        sock.send(struct.pack("<HHIQIIQ", 1, TYPES[kind], 7, size, timeout, 0, least))
        return receive()
    except OSError as error:
        return {"closed": True, "errno": error.errno}


def touch(size):
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = memoryview(area)
    for at in range(0, size, 4096):
        view[at] = 1
    held.append((area, view))


def drop():
    while held:
        area, view = held.pop()
        view.release()
        area.close()


sock = connect()
print(json.dumps({"here": os.getpid()}), flush=True)
while True:
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    command, *args = line.split()
    answer = {}
    if command == "wait":
        answer = ask("wait", int(args[0]), timeout=int(args[1]))
    elif command == "reserve":
        answer = ask("reserve", int(args[0]), least=int(args[1]) if len(args) > 1 else 0)
    elif command in TYPES:
        answer = ask(command, int(args[0]) if args else 0)
    elif command == "raw":
        try:
            sock.send(bytes.fromhex(args[0]))
            answer = receive()
        except OSError as error:
            answer = {"closed": True, "errno": error.errno}
    elif command == "forge":
        pid, uid = int(args[0]), int(args[1])
        forged = [(socket.SOL_SOCKET, 2, struct.pack("<iII", pid, uid, uid))]
        try:
            sock.sendmsg([struct.pack("<HHIQIIQ", 1, 2, 7, 1 << 20, 0, 0, 0)], forged)
            answer = receive()
        except OSError as error:
            answer = {"errno": error.errno}
    elif command == "touch":
        touch(int(args[0]))
    elif command == "drop":
        drop()
    elif command == "reconnect":
        sock = connect()
    elif command == "child":
        child = os.fork()
        if child != 0:
            os.waitpid(child, 0)
        answer = {"here": os.getpid()}
    elif command == "exec":
        run = "import os; exec(os.environ['TOOM_ASKER'])"
        os.execv(sys.executable, [sys.executable, "-S", "-E", "-c", run, path])
    elif command == "exit":
        os._exit(int(args[0]))
    print(json.dumps(answer), flush=True)
