/**
 * `toom exec`: runs a program whose malloc asks first, by a library that is loaded before its own.
 *
 * @module
 */
import { z } from "zod";
import { linkageOfFile } from "../kernel/elf.ts";
import { Errno, KernelError } from "../kernel/errno.ts";
import { execute } from "../kernel/exec.ts";
import { closeFd } from "../kernel/fd.ts";
import { connectSeqpacket } from "../kernel/seqpacket.ts";
import { checkOptions, type CommandSpec, helpText, oneOf, parseCommand, readAs } from "./args.ts";
import {
  type CommandIo,
  ExitCode,
  FailedError,
  guard,
  UnsupportedError,
  UsageError,
} from "./errors.ts";
import { parseSocketPath, TMALLOC_SOCKET_DEFAULT } from "./run_options.ts";

const LIBRARY = "libtmalloc-preload.so";
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const PATH_DEFAULT = "/usr/local/bin:/usr/bin:/bin";

const EXEC_COMMAND: CommandSpec = {
  name: "toom exec",
  summary: "Run a program whose malloc asks toom first: where there is no memory it gets NULL, " +
    "and is not killed.",
  rest: { name: "COMMAND", help: "The program and its arguments" },
  options: [
    {
      name: "tmalloc-socket",
      kind: "string",
      value: "PATH",
      help:
        `Unix socket on which toom answers (default: TMALLOC_SOCKET, ${TMALLOC_SOCKET_DEFAULT})`,
    },
    {
      name: "fallback",
      kind: "string",
      value: "malloc|fail",
      default: "malloc",
      help: "When nobody answers: go on without asking, or be refused everything",
    },
    {
      name: "preload",
      kind: "string",
      value: "FILE",
      help: `The library to load (default: ${LIBRARY} beside toom, or in the system's folders)`,
    },
  ],
  notes: [
    "Programs started by the program ask too. Statically linked and setuid programs are out of",
    "reach: they run as always, and toom says so.",
  ],
};

const OptionsSchema = z.strictObject({
  "tmalloc-socket": readAs(parseSocketPath).optional(),
  fallback: oneOf(["malloc", "fail"]),
  preload: z.string().optional(),
});

/**
 * `toom exec`. Does not return when it works: the program takes this one's place.
 *
 * @param args The words behind `toom exec`.
 * @returns The exit code of what went wrong; all errors have become lines of `io.err`.
 */
export async function execCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  // deno-lint-ignore require-await
  return await guard(io, async () => {
    const parsed = parseCommand(EXEC_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(EXEC_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(EXEC_COMMAND, OptionsSchema, parsed.options);
    const [name, ...rest] = parsed.rest;
    if (name === undefined) {
      throw new UsageError("toom exec: no command given (see toom exec --help)");
    }
    const libraryPath = findLibrary(options.preload);
    const programPath = findProgram(name);
    const environment = Deno.env.toObject();
    const socketPath = options["tmalloc-socket"] ?? environment["TMALLOC_SOCKET"] ??
      TMALLOC_SOCKET_DEFAULT;
    for (const warning of warnings(programPath, socketPath, options.fallback)) {
      io.err(`toom exec: ${warning}`);
    }
    const before = environment["LD_PRELOAD"] ?? "";
    become(programPath, [name, ...rest], {
      ...environment,
      LD_PRELOAD: before === "" ? libraryPath : `${libraryPath}:${before}`,
      TMALLOC_SOCKET: socketPath,
      TMALLOC_FALLBACK: options.fallback,
    });
  });
}

function become(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
): never {
  try {
    execute(path, argv, environment);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const reason = error.errno === Errno.EACCES ? "it is not executable" : error.message;
    throw new FailedError(`toom exec: cannot run ${path}: ${reason}`, { cause: error });
  }
}

/** What the user should know before it runs. */
function warnings(programPath: string, socketPath: string, fallback: string): string[] {
  const found: string[] = [];
  const linkage = linkageOfFile(programPath);
  if (linkage === "static") found.push(`${programPath} is linked statically: it will not ask`);
  if (linkage === "musl") found.push(`${programPath} is linked against musl: it will not ask`);
  const mode = Deno.statSync(programPath).mode ?? 0;
  if ((mode & (S_ISUID | S_ISGID)) !== 0) {
    found.push(`${programPath} changes its user when it starts: it will not ask`);
  }
  const fd = connectSeqpacket(socketPath);
  if (fd >= 0) closeFd(fd);
  else {
    found.push(
      `nobody answers at ${socketPath}: ` +
        (fallback === "fail" ? "all memory will be refused" : "goes on without asking"),
    );
  }
  return found;
}

/** The program's file, as a shell finds it. */
function findProgram(name: string): string {
  if (name.includes("/")) {
    if (isFile(name)) return name;
    throw new FailedError(`toom exec: there is no ${name}`);
  }
  for (const folder of (Deno.env.get("PATH") ?? PATH_DEFAULT).split(":")) {
    const path = `${folder === "" ? "." : folder}/${name}`;
    if (isFile(path) && isExecutable(path)) return path;
  }
  throw new FailedError(`toom exec: there is no program ${name} on the PATH`);
}

function findLibrary(given: string | undefined): string {
  const candidates = given !== undefined ? [given] : libraryPlaces();
  const found = candidates.find(isFile);
  if (found !== undefined) return Deno.realPathSync(found);
  throw new UnsupportedError(
    given !== undefined ? `there is no ${given}` : `${LIBRARY} is not installed`,
    "build it with make -C tmalloc, install it with make -C tmalloc install, or name it with " +
      "--preload",
  );
}

/** Beside a compiled toom, in the checkout, and where the Makefile installs it. */
function libraryPlaces(): string[] {
  const besideProgram = Deno.execPath().replace(/[^/]*$/, "");
  const places = [`${besideProgram}${LIBRARY}`, `${besideProgram}../lib/${LIBRARY}`];
  const checkout = new URL(`../tmalloc/build/${LIBRARY}`, import.meta.url);
  if (checkout.protocol === "file:") places.push(checkout.pathname);
  for (const folder of ["/usr/local/lib", "/usr/lib", "/usr/lib64"]) {
    places.push(`${folder}/${LIBRARY}`);
  }
  return places;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  return ((Deno.statSync(path).mode ?? 0) & 0o111) !== 0;
}
