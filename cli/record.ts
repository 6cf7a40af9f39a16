/**
 * `toom record`: what the running toom sees and decides, into a file that `toom replay` runs again.
 *
 * @module
 */
import { z } from "zod";
import {
  CHUNK_HEAD_BYTES,
  ChunkType,
  fileHead,
  jsonOf,
  readChunk,
  type RecordingHead,
  type RecordingTail,
} from "../pipeline/recording/format.ts";
import { RECORD_BYTES } from "../pipeline/memory/layout.ts";
import { formatBytes, quote } from "../pipeline/limits/units.ts";
import { DEFLATE } from "../kernel/packing/deflate.ts";
import { parseDurationMs, parseSocketPath } from "../service/config/option_values.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand, readAs } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, FailedError, guard } from "./errors.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { Progress } from "./progress.ts";

export const RECORD_COMMAND: CommandSpec = {
  name: "toom record",
  summary: "Record what the running toom sees and decides, until Ctrl-C, for toom replay.",
  positionals: [{ name: "FILE", help: "Where to; it must not be there yet, see --force" }],
  options: [
    {
      name: "for",
      kind: "string",
      value: "TIME",
      help: "End after so long: 90s, 10m, 24h (default: with Ctrl-C)",
    },
    { name: "force", kind: "boolean", help: "Write over a FILE that is there" },
    CONTROL_SOCKET_OPTION,
  ],
  notes: [
    "The file has users, and names, arguments, paths and sizes of their processes: it is made for its " +
    "owner only.",
    "Nothing that toom enforces waits for a recording; what came too fast is counted in it.",
  ],
};

const OptionsSchema = z.strictObject({
  for: readAs(parseDurationMs).optional(),
  force: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

/** toom has gone, or has ended the recording. */
const GONE = { done: true, value: undefined } as const;

/** What a recording that has ended says of itself. */
interface Recorded {
  readonly head: RecordingHead | undefined;
  readonly tail: RecordingTail | undefined;
  readonly bytes: number;
}

/**
 * `toom record`.
 *
 * @param args The words behind `toom record`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function recordCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(RECORD_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(RECORD_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(RECORD_COMMAND, OptionsSchema, parsed.options);
    const path = parsed.positionals[0]!;
    checkPath(path, options.force);
    using client = new ControlClient(options["control-socket"]);
    const abort = new AbortController();
    const { id, chunks } = await client.record(abort.signal);
    let file: Deno.FsFile;
    try {
      file = openNew(path, options.force);
    } catch (error) {
      abort.abort();
      throw error;
    }
    let isEnding = false;
    const end = (): void => {
      if (isEnding) return;
      isEnding = true;
      client.endRecording(id).catch((error) => abort.abort(error));
    };
    Deno.addSignalListener("SIGINT", end);
    Deno.addSignalListener("SIGTERM", end);
    const timer = options.for === undefined ? undefined : setTimeout(end, options.for);
    try {
      io.err(`recording into ${path}${options.for === undefined ? ", Ctrl-C ends it" : ""}`);
      const recorded = await write(file, path, chunks);
      io.out(summaryLine(path, recorded));
      if (recorded.tail !== undefined) return ExitCode.done;
      throw new FailedError(`toom has ended: ${path} holds what was recorded until then`);
    } finally {
      // toom need not go on for a file that takes no more.
      abort.abort();
      clearTimeout(timer);
      Deno.removeSignalListener("SIGINT", end);
      Deno.removeSignalListener("SIGTERM", end);
      file.close();
    }
  });
}

/** Says what is wrong with a path before toom is asked for anything; makes nothing. */
function checkPath(path: string, isForced: boolean): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw cannotWrite(path, error);
    checkFolder(path);
    return;
  }
  if (info.isDirectory) throw new FailedError(`Cannot write ${quote(path)}: it is a folder`);
  if (!isForced) throw isThere(path);
}

function checkFolder(path: string): void {
  const end = path.lastIndexOf("/");
  const folder = end < 0 ? "." : path.slice(0, end) || "/";
  try {
    if (Deno.statSync(folder).isDirectory) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw cannotWrite(path, error);
  }
  throw new FailedError(`Cannot write ${quote(path)}: there is no folder ${quote(folder)}`);
}

function isThere(path: string): FailedError {
  return new FailedError(`Cannot write ${quote(path)}: it is there already, see --force`);
}

/** The path is in what the system says, too. */
function cannotWrite(path: string, error: unknown, more = ""): FailedError {
  const [reason] = (error as Error).message.split(" (os error");
  return new FailedError(`Cannot write ${quote(path)}: ${reason}${more}`, { cause: error });
}

function openNew(path: string, isForced: boolean): Deno.FsFile {
  try {
    const file = Deno.openSync(path, {
      write: true,
      mode: 0o600,
      ...(isForced ? { create: true, truncate: true } : { createNew: true }),
    });
    // One that was there may be others' to read; what programs were called with is not for them.
    if (isForced && file.statSync().isFile) Deno.chmodSync(path, 0o600);
    return file;
  } catch (error) {
    throw error instanceof Deno.errors.AlreadyExists ? isThere(path) : cannotWrite(path, error);
  }
}

/**
 * Writes what comes, and looks at the chunks that tell about the whole. When toom goes, what came is in
 * the file.
 * @throws {FailedError} When it cannot be written: what came before is in the file.
 */
async function write(
  file: Deno.FsFile,
  path: string,
  chunks: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<Recorded> {
  const progress = new Progress("recorded");
  const startedMs = performance.now();
  const watch = new ChunkWatch();
  const reader = chunks.getReader();
  let bytes = 0;
  try {
    bytes += await writeAll(file, fileHead());
    for (;;) {
      const { done, value: piece } = await reader.read().catch(() => GONE);
      if (done) break;
      bytes += await writeAll(file, piece);
      watch.push(piece);
      progress.say(
        `${formatBytes(bytes)} in ${Math.round((performance.now() - startedMs) / 1000)} s`,
      );
    }
  } catch (error) {
    const more = bytes === 0 ? "" : `; it holds what was recorded until then`;
    throw cannotWrite(path, error, more);
  } finally {
    progress.end();
  }
  return { head: watch.head, tail: watch.tail, bytes };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<number> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  return bytes.length;
}

/** Finds head and tail in what goes by in pieces of any size. */
class ChunkWatch {
  head: RecordingHead | undefined;
  tail: RecordingTail | undefined;
  private rest = new Uint8Array(0);

  push(piece: Uint8Array): void {
    const bytes = new Uint8Array(this.rest.length + piece.length);
    bytes.set(this.rest);
    bytes.set(piece, this.rest.length);
    let at = 0;
    while (bytes.length - at >= CHUNK_HEAD_BYTES) {
      const view = new DataView(bytes.buffer, at);
      const type = String.fromCharCode(...bytes.subarray(at, at + 4));
      const end = at + CHUNK_HEAD_BYTES + view.getUint32(12, true);
      if (end > bytes.length) break;
      if (type === ChunkType.head || type === ChunkType.tail) {
        const result = readChunk(bytes.subarray(at, end), DEFLATE);
        if (result.is === "chunk") {
          const value = jsonOf(result.chunk.payload);
          if (type === ChunkType.head) this.head = value as RecordingHead;
          else this.tail = value as RecordingTail;
        }
      }
      at = end;
    }
    this.rest = bytes.slice(at);
  }
}

function summaryLine(path: string, { head, tail, bytes }: Recorded): string {
  if (head === undefined || tail === undefined) return `${path}: ${formatBytes(bytes)}, cut`;
  const seconds = (tail.endedNs - head.startedNs) / 1e9;
  const rawBytes = tail.records * RECORD_BYTES;
  const ratio = rawBytes === 0 ? "" : `, ${(rawBytes / bytes).toFixed(1)} times smaller`;
  const lost = tail.lostRecords === 0 ? "none lost" : `${tail.lostRecords} lost`;
  return `${path}: ${seconds.toFixed(1)} s of source ${head.source}, ${tail.records} records ` +
    `(${lost}), ${formatBytes(bytes)}${ratio}`;
}
