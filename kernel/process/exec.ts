/**
 * Becoming another program. execve(2)
 *
 * @module
 */
import { openLibc } from "../ffi/libc.ts";
import { errno, KernelError, primeErrno } from "../ffi/errno.ts";
import { asBuffer, cString, readTextFile } from "../ffi/fd.ts";

/** An array of pointers to strings, closed by a null; keep it as long as the pointers are used. */
interface StringArray {
  readonly pointers: BigUint64Array<ArrayBuffer>;
  readonly strings: readonly Uint8Array[];
}

function stringArray(texts: readonly string[]): StringArray {
  const strings = texts.map((text) => {
    const bytes = cString(text);
    // V8 may move small arrays: only memory of their own stays where it is.
    const pinned = new Uint8Array(new ArrayBuffer(Math.max(bytes.length, 128)));
    pinned.set(bytes);
    return pinned;
  });
  const pointers = new BigUint64Array(new ArrayBuffer(Math.max(128, (texts.length + 1) * 8)));
  strings.forEach((string, index) => {
    pointers[index] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(string)));
  });
  return { pointers, strings };
}

const SIGPIPE = 13;
const RLIMIT_NOFILE = 7;

/** Undoes what the runtime has changed of this process and a program would inherit. */
function restoreInheritance(): void {
  // A null handler is SIG_DFL. The runtime ignores the signal, and so would the program.
  openLibc().signal(SIGPIPE, null);
  // The runtime raises the soft limit to the hard one; what it was, the parent still has.
  const limits = openFilesOf(Deno.ppid);
  if (limits !== undefined) openLibc().setrlimit(RLIMIT_NOFILE, asBuffer(limits));
}

/** Soft and hard limit of open files, as `struct rlimit`; undefined when it is not to be had. */
function openFilesOf(pid: number): BigUint64Array<ArrayBuffer> | undefined {
  try {
    const line = /^Max open files +(\d+) +(\d+)/m.exec(readTextFile(`/proc/${pid}/limits`));
    return line === null ? undefined : new BigUint64Array([BigInt(line[1]!), BigInt(line[2]!)]);
  } catch {
    return undefined;
  }
}

/**
 * Replaces this process by another program, with all its threads; descriptors 0 to 2 stay.
 *
 * @param path Of the program; there is no search.
 * @param argv The first is the program's name as it is to see it.
 * @returns Never, when it works.
 * @throws {KernelError} With the path: ENOENT, EACCES, ENOEXEC and so on.
 */
export function execute(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): never {
  const args = stringArray(argv);
  const env = stringArray(Object.entries(environment).map(([name, value]) => `${name}=${value}`));
  restoreInheritance();
  primeErrno();
  openLibc().execve(asBuffer(cString(path)), asBuffer(args.pointers), asBuffer(env.pointers));
  throw new KernelError("execve", errno(), { path });
}
