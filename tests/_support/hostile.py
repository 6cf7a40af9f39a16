"""A program that means no good to the coordinator. Run as
python3 -S -E -c "import os; exec(os.environ['TOOM_HOSTILE'])" SOCKET MODE SECONDS

  connect   connects 10 000 times and lets go of none
  garbage   random bytes, on ever new connections
  half      messages that are cut short, empty or too long
  mute      asks and never reads the answers
  flood     asks as fast as it can
  descriptors  passes descriptors along"""
import array
import os
import random
import socket
import struct
import sys
import time

path, mode, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
QUERY = struct.pack("<HHIQIIQ", 1, 3, 7, 0, 0, 0, 0)
end = time.monotonic() + seconds
kept = []
count = 0


def connect():
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.connect(path)
    return made


def attempt(action):
    global count
    try:
        action()
        count += 1
    except OSError:
        pass


def connect_and_send(data):
    made = connect()
    made.send(data)
    made.close()


print("here", flush=True)
while time.monotonic() < end:
    if mode == "connect":
        attempt(lambda: kept.append(connect()))
        if count + len(kept) > 20000 or len(kept) > 10000:
            time.sleep(0.01)
    elif mode == "garbage":
        data = random.randbytes(random.choice([1, 31, 32, 32, 33, 64, 4096, 65536]))
        attempt(lambda: connect_and_send(data))
    elif mode == "half":
        data = random.choice([QUERY[: random.randrange(32)], QUERY + b"x", b"", QUERY * 100])
        attempt(lambda: connect_and_send(data))
    elif mode == "mute":
        made = connect()
        made.setblocking(False)
        kept.append(made)
        try:
            while time.monotonic() < end:
                made.send(QUERY)
                count += 1
        except OSError:
            time.sleep(0.001)
        if len(kept) > 100:
            kept.clear()
    elif mode == "flood":
        if not kept:
            kept.extend(connect() for _ in range(32))
        for made in kept:
            made.send(QUERY)
        for made in kept:
            made.recv(64)
        count += len(kept)
    elif mode == "descriptors":
        made = connect()
        fds = array.array("i", [0] * 50)
        attempt(lambda: made.sendmsg([QUERY], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]))
        made.close()
print("done", count, flush=True)
sys.stdin.readline()
