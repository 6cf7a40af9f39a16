/** A request whose answer is not known yet. */
import type { Client } from "./client.ts";

export interface PendingRequest {
  readonly connection: number;
  readonly client: Client;
  readonly type: number;
  readonly id: number;
  readonly pages: number;
  readonly minPages: number;
  /** A fork that wants room for a whole copy, so that the child can write to all that it inherits. */
  readonly isCopy: boolean;
  /** It may wait: others may not pass it without end. */
  readonly isWait: boolean;
  /** Refused at this time if it could not be granted before. */
  deadlineNs: number;
  /** Requests that came later and were granted earlier. */
  passed: number;
  /** Refused once, and looked at again when the tables have caught up. */
  isSettling: boolean;
}
