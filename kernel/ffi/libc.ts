/**
 * Opens libc: once a thread, on first use, never at import.
 *
 * @module
 */
import { SYMBOLS, Syscall } from "./symbols.ts";

/** The functions of {@link SYMBOLS}, ready to call. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** `_SC_PAGESIZE`, the same in glibc and musl. */
const SC_PAGESIZE = 30;
/** `_SC_CLK_TCK`, the same in both too. */
const SC_CLK_TCK = 2;

/**
 * Where libc may lie, in the order of trying.
 *
 * Absolute paths come first, since a scoped `--allow-ffi=PATH` matches only the very string that is
 * opened. A Deno made for glibc tries musl last: a process must not get a second libc while its own
 * can be had.
 */
export function libcPaths(arch: string = Deno.build.arch, env = Deno.build.env): string[] {
  const glibc = [
    `/lib/${arch}-linux-gnu/libc.so.6`,
    `/usr/lib/${arch}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "libc.so.6",
  ];
  const musl = [`/lib/ld-musl-${arch}.so.1`, `/lib/libc.musl-${arch}.so.1`, "libc.so"];
  return env === "musl" ? [...musl, ...glibc] : [...glibc, ...musl];
}

/** Opens the first library of a list that can be opened; throws as {@link openLibc} does. */
export function openFirst(paths: readonly string[]): Libc {
  let denied: unknown;
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return Deno.dlopen(path, SYMBOLS).symbols;
    } catch (error) {
      // A scoped permission may allow a later path of the list, so keep on; deny only at the end.
      if (isDenied(error)) denied ??= error;
      failures.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (denied !== undefined) throw denied;
  throw new Error(`Cannot open libc, tried:\n  ${failures.join("\n  ")}`);
}

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied;
}

let libc: Libc | undefined;

/**
 * The functions of libc, opened on the first call in each thread and kept for its life.
 *
 * @throws {Deno.errors.NotCapable} Untouched, when no path is allowed by `--allow-ffi`.
 * @throws {Error} With every path tried, when none could be opened.
 */
export function openLibc(): Libc {
  return libc ??= openFirst(libcPaths());
}

/** Bytes of a page: 4096 on x86-64; 4096, 16384 or 65536 on arm64. sysconf(3). */
export function pageBytes(): number {
  return openLibc().sysconf(SC_PAGESIZE);
}

/** Ticks a second of the times in /proc/PID/stat. sysconf(3). */
export function clockTicksPerSecond(): number {
  return openLibc().sysconf(SC_CLK_TCK);
}

/** The kernel's id of the calling thread: what traces call pid. gettid(2). */
export function gettid(): number {
  return openLibc().gettid(Syscall.gettid);
}
