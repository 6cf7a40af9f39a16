"""A user that means no good to toom's sockets and files. Run as
python3 -S -E -c "import os; exec(os.environ['TOOM_HOSTILE'])" MODE ARG...

  half-open PATH|PORT COUNT  connects, sends half a request at most, and lets go of nothing
  control PATH               tries to get into the control socket
  meddle DIR...              tries to put, replace, remove or read what is root's
Prints what it got done as JSON."""
import json
import os
import socket
import sys

mode, args = sys.argv[1], sys.argv[2:]


def connect(place):
    if place.isdigit():
        made = socket.create_connection(("127.0.0.1", int(place)), timeout=1)
        made.send(b"GET /metrics HTTP/1.1\r\nHost: ")
    else:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(1)
        made.connect(place)
    return made


def attempt(done, name, action):
    try:
        action()
        done.append(name)
    except OSError:
        pass


done = []
kept = []
if mode == "half-open":
    for number in range(int(args[1])):
        attempt(kept, connect, lambda: done.append(connect(args[0])))
    print(json.dumps({"connected": len(done)}), flush=True)
elif mode == "control":
    attempt(done, "connect", lambda: connect(args[0]))
    attempt(done, "chmod", lambda: os.chmod(args[0], 0o666))
    print(json.dumps(done), flush=True)
elif mode == "meddle":
    for dir in args:
        attempt(done, dir + " create", lambda: open(dir + "/x", "w"))
        attempt(done, dir + " link", lambda: os.symlink("/etc/passwd", dir + "/limits.json.new-1"))
        attempt(done, dir + " rename", lambda: os.rename(dir, dir + ".old"))
        attempt(done, dir + " chmod", lambda: os.chmod(dir, 0o777))
        try:
            names = os.listdir(dir)
        except OSError:
            continue
        for name in names:
            path = dir + "/" + name
            attempt(done, path + " remove", lambda: os.remove(path))
            attempt(done, path + " replace", lambda: os.rename(path, path + ".old"))
            if not name.startswith(("tmalloc.sock", "me.sock")):
                attempt(done, path + " read", lambda: os.open(path, os.O_RDONLY))
                attempt(done, path + " write", lambda: os.open(path, os.O_WRONLY))
    print(json.dumps(done), flush=True)
sys.stdin.readline()
