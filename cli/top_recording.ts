/**
 * `toom top --record`: the screen of `toom top` over a recording.
 *
 * @module
 */
import { type CommandIo, ExitCode, UnsupportedError } from "./errors.ts";
import { barText } from "./progress.ts";
import { RecordingPlayer } from "./recording_player.ts";
import { RecordingState } from "./top/recording.ts";
import { drawRecording } from "./top/recording_view.ts";
import { Session } from "./top/session.ts";
import { namesOnly } from "./users.ts";

/**
 * Until a key ends it.
 * @returns {@link ExitCode.failed} where the file is damaged, as of `toom replay`.
 * @throws {FailedError} When it is no recording, or cannot be read.
 */
export async function showRecording(path: string, io: CommandIo): Promise<ExitCode> {
  using player = new RecordingPlayer(path);
  if (!Deno.stdout.isTerminal() || !Deno.stdin.isTerminal()) {
    throw new UnsupportedError(
      "toom top needs a terminal",
      "toom replay says in lines what is in a recording",
    );
  }
  const users = await namesOnly();
  const nameOf = (uid: number): string | null => users.nameOf(uid) ?? null;
  const state = new RecordingState(player.head);
  const name = path.slice(path.lastIndexOf("/") + 1);
  let isRead = false;

  /** Draws how far it is, and lets keys come. */
  const turning = (label: string, redraw: () => void) => {
    const beganMs = performance.now();
    return async (share: number): Promise<boolean> => {
      state.progress = barText(label, share, (performance.now() - beganMs) / 1000);
      redraw();
      await new Promise((resolve) => setTimeout(resolve, 0));
      return !state.isOver;
    };
  };
  const ask = async (redraw: () => void): Promise<void> => {
    if (!isRead) {
      isRead = await player.scan(turning("reading", redraw));
      if (!isRead) return;
      state.begin(player.firstNs, player.lastNs);
    }
    state.pass(performance.now());
    // A chunk that cannot be understood ends it earlier than the scan has found.
    const wanted = (): number => Math.min(state.wantedNs, player.lastNs);
    const isThere = await player.seek(wanted, turning("seeking", redraw), () => state.userUid);
    state.progress = undefined;
    if (!isThere) return;
    if (state.told === undefined) {
      await users.expect?.(player.moment(undefined, () => null).users.map(({ uid }) => uid));
    }
    const { userUid } = state;
    state.told = player.moment(userUid, nameOf);
    state.toldUid = userUid;
    state.problem = player.damage === undefined ? undefined : `it is damaged (${player.damage})`;
    state.cut(player.lastNs);
    state.keepCursor();
  };
  await new Session({
    state,
    ask,
    draw: (columns, rows) => drawRecording(state, name, columns, rows),
  }).run();
  if (player.damage === undefined) return ExitCode.done;
  io.err(
    `${path} is damaged (${player.damage}): what stands before that was shown, nothing after it`,
  );
  return ExitCode.failed;
}
