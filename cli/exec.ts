/**
 * `toom exec`: runs a program whose malloc asks first, by a library that is loaded before its own.
 *
 * The work is done by `toom-exec`, a small C program that can also be called without toom
 * (tmalloc/exec.c): here the command line is checked, and it is started. Both declare the same
 * options in the same words; tests/cli/exec_test.ts compares them.
 *
 * @module
 */
import { z } from "zod";
import { KernelError } from "../kernel/ffi/errno.ts";
import { execute } from "../kernel/process/exec.ts";
import { checkOptions, type CommandSpec, helpText, oneOf, parseCommand, readAs } from "./args.ts";
import {
  type CommandIo,
  ExitCode,
  FailedError,
  guard,
  UnsupportedError,
  UsageError,
} from "./errors.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { TMALLOC_SOCKET_DEFAULT } from "../service/config/defaults.ts";

const LAUNCHER = "toom-exec";
const LIBRARY = "libtmalloc-preload.so";

export const EXEC_COMMAND: CommandSpec = {
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
      help: "Where it cannot ask: run without asking; or be refused all memory, and not be " +
        "started if it never will",
    },
    {
      name: "preload",
      kind: "string",
      value: "FILE",
      help:
        `The library to load (default: ${LIBRARY} beside ${LAUNCHER}, or in the system's folders)`,
    },
    {
      name: "no-hints",
      kind: "boolean",
      help: "Do not tell runtimes the user's limit in their own variables",
    },
  ],
  notes: [
    "Programs started by the program ask too. Statically linked and setuid programs, and those that",
    "were built with a sanitizer, are out of reach: they run as always, and toom says so. Unless they",
    "are set already, JAVA_TOOL_OPTIONS, NODE_OPTIONS, GOMEMLIMIT, MEM_LIMIT and ulimit -m say how",
    "much the user may have. toom-exec is the same command as a program of its own, which needs little",
    "memory and address space (ulimit -v).",
  ],
};

const OptionsSchema = z.strictObject({
  "tmalloc-socket": readAs(parseSocketPath).optional(),
  fallback: oneOf(["malloc", "fail"]),
  preload: z.string().optional(),
  "no-hints": z.boolean(),
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
    checkOptions(EXEC_COMMAND, OptionsSchema, parsed.options);
    if (parsed.rest.length === 0) {
      throw new UsageError("toom exec: no command given (see toom exec --help)");
    }
    const launcher = findLauncher();
    try {
      execute(launcher, [launcher, ...args], Deno.env.toObject());
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new FailedError(`toom exec: ${error.message}`, { cause: error });
    }
  });
}

function findLauncher(): string {
  const found = launcherPlaces().find(isFile);
  if (found !== undefined) return found;
  throw new UnsupportedError(
    `toom exec: ${LAUNCHER} is not installed`,
    "build it with make -C tmalloc, and install it with make -C tmalloc install",
  );
}

/** Beside a compiled toom, in the checkout, and where the Makefile installs it. */
function launcherPlaces(): string[] {
  const besideProgram = Deno.execPath().replace(/[^/]*$/, "");
  const places = [`${besideProgram}${LAUNCHER}`];
  const checkout = new URL(`../tmalloc/build/${LAUNCHER}`, import.meta.url);
  // As it is in the file system: blanks and others are escaped in a URL.
  if (checkout.protocol === "file:") places.push(decodeURIComponent(checkout.pathname));
  for (const folder of ["/usr/local/bin", "/usr/bin"]) places.push(`${folder}/${LAUNCHER}`);
  return places;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
