/**
 * `toom web --record`: the page of a recording, with a slider that asks who would have died with other
 * limits.
 *
 * @module
 */
import type { WebAddress } from "../service/config/web_address.ts";
import { webAddressText } from "../service/config/web_address.ts";
import { type CommandIo } from "./errors.ts";
import { Progress } from "./progress.ts";
import { RecordingFile } from "./recording_file.ts";
import { namesOnly } from "./users.ts";
import { loadAssets } from "./web/assets.ts";
import { linkOf, newToken } from "./web/link.ts";
import { RecordingAnswers } from "./recording_answers.ts";
import { RecordingServer } from "./web/recording_server.ts";
import { giveUp, listenOrFail } from "./serve_page.ts";
import { NO_QUESTION } from "./web/what_if.ts";

/** Whoever wants a certain one, says so. */
const FREE_PORT: WebAddress = { kind: "tcp", hostname: "127.0.0.1", port: 0 };

export interface ServeRecordingOptions {
  readonly address: WebAddress | undefined;
  readonly io: CommandIo;
  /** Resolves when the page is to end. */
  readonly end: Promise<void>;
  /** This process does nothing else. */
  readonly givesUp: boolean;
}

/** @throws {FailedError} When it is no recording, cannot be read, or cannot be served there. */
export async function serveRecording(
  path: string,
  { address = FREE_PORT, io, end, givesUp }: ServeRecordingOptions,
): Promise<void> {
  const head = headOf(path);
  const answers = new RecordingAnswers(path);
  const progress = new Progress("replaying");
  const { users, damage } = await answers.answer(NO_QUESTION, (share) => progress.show(share))
    .finally(() => progress.end());
  const token = address.kind === "unix" ? undefined : newToken();
  const server = new RecordingServer({
    assets: await loadAssets("recording"),
    answers,
    name: path.slice(path.lastIndexOf("/") + 1),
    head,
    names: await namesOf(users.map(({ uid }) => uid)),
    token,
  });
  const listener = await listenOrFail(address, (request) => server.answer(request));
  try {
    if (givesUp) giveUp();
    if (damage !== null) {
      io.err(`${path} is damaged (${damage}): what stands before that is shown, nothing after it`);
    }
    const { origin } = listener;
    io.out(origin === undefined ? webAddressText(address) : linkOf(origin, token!));
    await end;
  } finally {
    await listener.close();
  }
}

function headOf(path: string): RecordingFile["head"] {
  using file = new RecordingFile(path);
  return file.head;
}

/** Names that this machine has for uids. */
async function namesOf(uids: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const users = await namesOnly();
  await users.expect?.(uids);
  return new Map(uids.flatMap((uid) => {
    const name = users.nameOf(uid);
    return name === undefined ? [] : [[uid, name] as const];
  }));
}
