/**
 * `toom web`: the page, in a process of its own. It reads over the control socket as any other client
 * does, so whatever happens to it, the daemon does not notice.
 *
 * @module
 */
import { z } from "zod";
import {
  parseWebAddress,
  PRIVILEGED_PORTS_END,
  WEB_ADDRESS_DEFAULT,
  type WebAddress,
  webAddressText,
} from "../service/config/web_address.ts";
import { readSocketPath } from "../service/control/read_socket_path.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  readAs,
  usageError,
} from "./args.ts";
import { beOrdinary } from "./be_ordinary.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, errorLine, ExitCode, FailedError, guard } from "./errors.ts";
import { explanationSentences } from "./explain_text.ts";
import { receiptParts } from "./receipt_text.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { Archive } from "./web/archive.ts";
import { loadAssets } from "./web/assets.ts";
import { giveUp, listenOrFail } from "./serve_page.ts";
import { answerPage } from "./web/server.ts";
import { isServed, linkOf, linkPath, newToken, readLink, tokenOf, writeLink } from "./web/link.ts";
import { KillWatch } from "./web/kill_watch.ts";
import { Watcher } from "./web/watcher.ts";

export const WEB_COMMAND: CommandSpec = {
  name: "toom web",
  summary:
    "Serve a page that shows users, kills and toom itself, live, to browsers of this machine.",
  options: [
    {
      name: "listen",
      kind: "string",
      value: "[ADDR:]PORT|PATH",
      default: WEB_ADDRESS_DEFAULT,
      help: "A port of this machine alone, for who has the link; or a Unix socket, for its owner",
    },
    { name: "link", kind: "boolean", help: "Print the link of the page that is served, and end" },
    {
      name: "record",
      kind: "string",
      value: "FILE",
      help:
        "Show a recording of toom record, and who would have died with other limits; no toom need " +
        "run. Listens on a free port, or as --listen says",
    },
    CONTROL_SOCKET_OPTION,
    {
      name: "for-daemon",
      kind: "boolean",
      hidden: true,
      help: "Say on a line when it listens, and end with standard input; for toom run to call",
    },
  ],
  notes: [
    "The link has a token in it, without which nothing is shown; it is kept beside the control socket,",
    "for root alone. From another machine: ssh -L 9185:127.0.0.1:984 root@HOST, and the same link with 9185.",
  ],
};

const OptionsSchema = z.strictObject({
  listen: readAs(parseWebAddress),
  link: z.boolean(),
  record: z.string().optional(),
  "control-socket": readAs(parseSocketPath),
  "for-daemon": z.boolean(),
});

/** Options of the page of a running toom. */
const NOT_OF_A_RECORDING = ["link", "control-socket", "for-daemon"] as const;

export interface WebDependencies {
  /** Resolves when the page is to end. */
  readonly end?: Promise<void>;
  /** This process does nothing else. */
  readonly givesUp?: boolean;
}

/**
 * `toom web`.
 *
 * @param args The words behind `toom web`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function webCommand(
  args: string[],
  io: CommandIo,
  { end, givesUp = true }: WebDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(WEB_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(WEB_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(WEB_COMMAND, OptionsSchema, parsed.options);
    const file = linkPath(options["control-socket"]);
    if (options.record !== undefined) {
      const other = NOT_OF_A_RECORDING.find((name) => parsed.given.has(name));
      if (other !== undefined) {
        throw usageError(WEB_COMMAND, `--record and --${other} exclude each other`);
      }
      const { serveRecording } = await import("./web_recording.ts");
      const address = parsed.given.has("listen") ? options.listen : undefined;
      await serveRecording(options.record, { address, io, end: end ?? ending(false), givesUp });
      return ExitCode.done;
    }
    if (options.link) {
      const link = readLink(file);
      if (link === undefined || !await isServed(link)) {
        throw new FailedError(
          `no page is served here (by the link in ${file}): start it by toom web`,
        );
      }
      io.out(link);
      return ExitCode.done;
    }
    using client = new ControlClient(options["control-socket"]);
    if (options["for-daemon"]) beOrdinary();
    // Whoever may not ask, or asks nobody, gets the line that says so, not a page.
    else await client.status();
    await servePage({
      address: options.listen,
      socketPath: options["control-socket"],
      client,
      io,
      end: end ?? ending(options["for-daemon"]),
      givesUp,
    });
    return ExitCode.done;
  });
}

interface Serving {
  readonly address: WebAddress;
  readonly socketPath: string;
  readonly client: ControlClient;
  readonly io: CommandIo;
  readonly end: Promise<void>;
  readonly givesUp: boolean;
}

async function servePage(
  { address, socketPath, client, io, end, givesUp }: Serving,
): Promise<void> {
  const file = linkPath(socketPath);
  const assets = await loadAssets();
  const token = address.kind === "unix" ? undefined : tokenFor(address, file);
  const watcher = new Watcher({ daemon: client });
  const archive = new Archive({
    path: () => watcher.historyPath,
    recent: () => watcher.feed.look?.kills ?? [],
  });
  const sentences = { explanation: explanationSentences, receipt: receiptParts };
  const listener = await listenOrFail(
    address,
    (request) => answerPage(request, { assets, watcher, archive, sentences, token }),
  );
  let kills: KillWatch | undefined;
  const link = listener.origin === undefined
    ? webAddressText(address)
    : linkOf(listener.origin, token!);
  try {
    keepLink(file, link, io);
    if (givesUp) giveUp();
    watcher.start();
    kills = new KillWatch([socketPath, readSocketPath(socketPath)], () => watcher.hurry());
    io.out(link);
    await end;
  } finally {
    await kills?.stop();
    await watcher.stop();
    await listener.close();
  }
}

/**
 * A port that only root may take keeps its token, so that links go on over a restart. Elsewhere each start
 * has a new one: another user could have listened there meanwhile, and been told the old one by a browser.
 */
function tokenFor({ port }: WebAddress & { kind: "tcp" }, file: string): string {
  const former = port < PRIVILEGED_PORTS_END ? tokenOf(readLink(file)) : undefined;
  return former ?? newToken();
}

/** Who may read but is not root has no place for the link; the page is served all the same. */
function keepLink(file: string, link: string, io: CommandIo): void {
  try {
    writeLink(file, link);
  } catch (error) {
    io.err(`toom web: the link is not kept in ${file}: ${errorLine(error)}`);
  }
}

/** Resolves at a signal; for the daemon, when it has closed this process' standard input, or has gone. */
async function ending(isForDaemon: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, resolve);
    }
    if (!isForDaemon) return;
    void Deno.stdin.readable.pipeTo(new WritableStream()).catch(() => {}).then(resolve);
  });
}
