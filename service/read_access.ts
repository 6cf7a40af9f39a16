/**
 * Whether there is a socket for a group of readers, and for which: a reload may change it.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import type { ReadGroup } from "./config/notify_settings.ts";
import { failure, handleControl, type HandlerOptions } from "./control/handlers.ts";
import { ReadSocket } from "./control/read_socket.ts";
import { readSocketPath } from "./control/read_socket_path.ts";
import type { Journal } from "./journal/journal.ts";

export interface ReadAccessContext {
  readonly controlSocketPath: string;
  readonly handlers: HandlerOptions;
  readonly journal: Journal;
}

export class ReadAccess {
  private readonly context: ReadAccessContext;
  private group: ReadGroup | undefined;
  private socket: ReadSocket | undefined;

  constructor(context: ReadAccessContext) {
    this.context = context;
  }

  /** Lets in the members of this group, and nobody else any more; undefined: nobody. Never throws. */
  set(group: ReadGroup | undefined): void {
    if (group?.gid === this.group?.gid && group?.name === this.group?.name) return;
    void this.close();
    this.group = group;
    if (group === undefined) return;
    const { controlSocketPath, journal } = this.context;
    const path = readSocketPath(controlSocketPath);
    const tell = (error: unknown): void =>
      journal.publish({ event: "error", where: "control", message: messageOf(error) });
    try {
      const answer = (request: Request): Promise<Response> => this.answer(request, tell);
      this.socket = new ReadSocket({ path, gid: group.gid, answer, onError: tell });
    } catch (error) {
      tell(new Error(`group ${group.name} cannot read on ${path}: ${messageOf(error)}`));
    }
  }

  private async answer(request: Request, tell: (error: unknown) => void): Promise<Response> {
    try {
      return await handleControl(request, this.context.handlers);
    } catch (error) {
      tell(error);
      return failure(500, "internal error, see toom's log");
    }
  }

  async close(): Promise<void> {
    const { socket } = this;
    this.socket = undefined;
    this.group = undefined;
    await socket?.close();
  }
}
