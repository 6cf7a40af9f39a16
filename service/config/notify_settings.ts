/**
 * Hooks, mail, webhook and readers as they are in force: names looked up, defaults put in. Plain data.
 *
 * @module
 */
import type { Account } from "../../kernel/users/account.ts";
import type { EventKind } from "../journal/event_kinds.ts";

export type { Account };

export interface HookSetting {
  readonly command: readonly string[];
  readonly account: Account;
  readonly timeoutMs: number;
  readonly atOnce: number;
}

export interface MailSetting {
  readonly to: readonly string[];
  readonly from: string;
  readonly subject: string | undefined;
  readonly body: string | undefined;
  readonly command: readonly string[];
  readonly account: Account;
  readonly everyMs: number;
  readonly events: readonly EventKind[];
}

export interface WebhookSetting {
  readonly url: string;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly events: readonly EventKind[];
}

/** A group whose members may read the control API. */
export interface ReadGroup {
  readonly name: string;
  readonly gid: number;
}

export type HookName = "before" | "after" | "soft";
