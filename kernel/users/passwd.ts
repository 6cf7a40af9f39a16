/**
 * Names of users. Asks libc after /etc/passwd, so that users of LDAP and the like are found too.
 *
 * Both functions may block on a network: for start-up, commands and logs, never on an event's way.
 *
 * @module
 */
import { Errno, KernelError } from "../ffi/errno.ts";
import { asBuffer, cString, readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { nameInPasswd, PASSWD_PATH, uidInPasswd } from "./passwd_text.ts";

/** struct passwd of 64-bit glibc and musl: name, password, uid, gid, gecos, directory, shell. */
const PASSWD_BYTES = 48;
const PW_NAME_OFFSET = 0;
const PW_UID_OFFSET = 16;

// Above 64 bytes V8 keeps the memory in one place for good, which pw_name, a pointer into it, needs.
const BUFFER_BYTES_MIN = 1024;
const BUFFER_BYTES_MAX = 1 << 20;
/** "No such user" has many numbers: 0 by POSIX, these by getpwnam_r(3). */
const MISSING: readonly number[] = [0, Errno.ENOENT, Errno.ESRCH, Errno.EBADF, Errno.EPERM];

/**
 * The uid of a user.
 *
 * @returns undefined when there is no user of that name.
 * @throws {KernelError} When libc could not find out, e.g. because a directory server is away.
 */
export function uidOf(name: string): number | undefined {
  const uid = uidInPasswd(passwdText(), name);
  if (uid !== undefined) return uid;
  if (name === "" || name.includes("\0")) return undefined;
  const key = cString(name);
  return lookUp(
    "getpwnam_r",
    (entry, buffer, bytes, result) =>
      openLibc().getpwnam_r(asBuffer(key), entry, buffer, bytes, result),
  )?.uid;
}

/**
 * The uid of a user, looked up on another thread: for who must not wait for a directory.
 *
 * @returns undefined when there is no user of that name. @throws {KernelError} As {@link uidOf}.
 */
export async function findUid(name: string): Promise<number | undefined> {
  if (name === "" || name.includes("\0")) return undefined;
  // All of it in memory of its own: V8 moves small arrays, and the other thread would not know.
  const key = new Uint8Array(new ArrayBuffer(BUFFER_BYTES_MIN + name.length * 3));
  new TextEncoder().encodeInto(name, key);
  const entry = new DataView(new ArrayBuffer(PASSWD_BYTES));
  const result = new BigUint64Array(new ArrayBuffer(8));
  const buffer = new Uint8Array(new ArrayBuffer(BUFFER_BYTES_MAX));
  const error = await openLibc().getpwnam_r_async(
    asBuffer(key),
    asBuffer(entry),
    asBuffer(buffer),
    BigInt(BUFFER_BYTES_MAX),
    asBuffer(result),
  );
  if (error === 0 && result[0] !== 0n) return entry.getUint32(PW_UID_OFFSET, true);
  if (MISSING.includes(error)) return undefined;
  throw new KernelError("getpwnam_r", error);
}

/**
 * The name of a user.
 *
 * @param uid 0 to 4294967295.
 * @returns undefined when there is no such user. @throws {KernelError} As {@link uidOf}.
 */
export function nameOf(uid: number): string | undefined {
  const name = nameInPasswd(passwdText(), uid);
  if (name !== undefined) return name;
  return lookUp(
    "getpwuid_r",
    (entry, buffer, bytes, result) => openLibc().getpwuid_r(uid, entry, buffer, bytes, result),
  )?.name;
}

/** The text of /etc/passwd; empty when it cannot be read, as libc then has the last word. */
export function passwdText(): string {
  try {
    return readTextFile(PASSWD_PATH);
  } catch (error) {
    if (error instanceof KernelError) return "";
    throw error;
  }
}

interface Entry {
  readonly name: string;
  readonly uid: number;
}

type Call = (
  entry: BufferSource,
  buffer: BufferSource,
  bytes: bigint,
  result: BufferSource,
) => number;

/** Calls one of the getpw*_r functions with ever more room, getpwnam_r(3). */
function lookUp(call: string, get: Call): Entry | undefined {
  const entry = new DataView(new ArrayBuffer(PASSWD_BYTES));
  const result = new BigUint64Array(1);
  for (let bytes = BUFFER_BYTES_MIN; bytes <= BUFFER_BYTES_MAX; bytes *= 4) {
    const buffer = new Uint8Array(bytes);
    const error = get(asBuffer(entry), asBuffer(buffer), BigInt(bytes), asBuffer(result));
    if (error === Errno.ERANGE) continue;
    if (error === 0 && result[0] !== 0n) return toEntry(entry, buffer);
    if (MISSING.includes(error)) return undefined;
    if (error !== Errno.EINTR) throw new KernelError(call, error);
  }
  throw new KernelError(call, Errno.ERANGE, { detail: `with ${BUFFER_BYTES_MAX} bytes of room` });
}

function toEntry(entry: DataView, buffer: Uint8Array<ArrayBuffer>): Entry {
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
  const start = Number(entry.getBigUint64(PW_NAME_OFFSET, true) - BigInt(base));
  const end = buffer.indexOf(0, start);
  return {
    name: new TextDecoder().decode(buffer.subarray(start, end)),
    uid: entry.getUint32(PW_UID_OFFSET, true),
  };
}

/**
 * The name of a user, looked up on a thread of Deno's pool: for who must not wait for a directory.
 *
 * @param uid 0 to 4294967295.
 * @returns undefined when there is no such user.
 * @throws {KernelError} When libc could not find out.
 */
export async function findName(uid: number): Promise<string | undefined> {
  // Memory that V8 does not move while the other thread writes to it.
  const entry = new DataView(new ArrayBuffer(PASSWD_BYTES));
  const result = new BigUint64Array(new ArrayBuffer(8));
  for (let bytes = BUFFER_BYTES_MIN; bytes <= BUFFER_BYTES_MAX; bytes *= 4) {
    const buffer = new Uint8Array(new ArrayBuffer(bytes));
    const error = await openLibc().getpwuid_r_async(
      uid,
      asBuffer(entry),
      asBuffer(buffer),
      BigInt(bytes),
      asBuffer(result),
    );
    if (error === Errno.ERANGE) continue;
    if (error === 0 && result[0] !== 0n) return toEntry(entry, buffer).name;
    if (NO_SUCH_USER.includes(error)) return undefined;
    throw new KernelError("getpwuid_r", error);
  }
  throw new KernelError("getpwuid_r", Errno.ERANGE, {
    detail: `with ${BUFFER_BYTES_MAX} bytes of room`,
  });
}

/** 0 by POSIX, the others by the manual page. */
const NO_SUCH_USER: readonly number[] = [
  0,
  Errno.ENOENT,
  Errno.ESRCH,
  Errno.EBADF,
  Errno.EPERM,
];
