"""Offsets of fields by a reading of BTF of its own: offsets.py FILE STRUCT.FIELD..., bytes, one a line."""
import struct
import sys

data = open(sys.argv[1], "rb").read()
header, types_at, types_bytes, strings_at, strings_bytes = struct.unpack_from("<5I", data, 4)
strings = data[header + strings_at : header + strings_at + strings_bytes]
behind = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0), 19: (0, 12)}


def text(offset):
    return strings[offset : strings.index(b"\0", offset)].decode()


types, at = [None], header + types_at
while at < header + types_at + types_bytes:
    name, info, last = struct.unpack_from("<3I", data, at)
    kind, count = info >> 24 & 31, info & 0xFFFF
    types.append((kind, name, info >> 31, last, count, at + 12))
    fixed, each = behind.get(kind, (0, 0))
    at += 12 + fixed + each * count


def fields(id, base):
    kind, _, flag, last, count, at = types[id]
    if kind in (8, 9, 10, 11, 18):
        yield from fields(last, base)
    elif kind in (4, 5):
        for i in range(count):
            name, type, bits = struct.unpack_from("<3I", data, at + 12 * i)
            where = base + ((bits & 0xFFFFFF) if flag else bits)
            if name:
                yield text(name), where // 8
            else:
                yield from fields(type, where)


for wanted in sys.argv[2:]:
    owner, field = wanted.split(".")
    id = next(i for i, t in enumerate(types) if t and t[0] == 4 and text(t[1]) == owner)
    print(next(where for name, where in fields(id, 0) if name == field))
