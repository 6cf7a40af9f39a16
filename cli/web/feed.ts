/**
 * What browsers are told: once all that there is, then what has changed since the look before.
 *
 * Users are rows of values, in the order of `fields`; a row that is as it was is not sent again, so
 * users who do nothing cost nothing, however many they are.
 *
 * @module
 */
import type { StatusReport, UserReport } from "../../service/control/control_api.ts";
import { USER_FIELDS } from "../../service/fields/user_fields.ts";
import type { KillRecord } from "../../service/history/record.ts";
import type { MachineReport } from "./machine.ts";

/** Kills that a page is told when it is opened; older ones it asks for. */
export const KILLS_TOLD_MAX = 128;

/** One look at the daemon. */
export interface Look {
  /** Wall clock, milliseconds since 1970. */
  readonly atMs: number;
  readonly status: StatusReport;
  /** The newest last. */
  readonly kills: readonly KillRecord[];
  readonly machine: MachineReport;
}

const USER_FIELD_NAMES = Object.keys(USER_FIELDS) as (keyof UserReport)[];

/** A message of Server-Sent Events, ready to be sent to all who listen. */
export type Message = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();

/** @param data JSON, which has no line breaks. */
export function message(event: string, data: string, id?: number): Message {
  return encoder.encode(
    `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`,
  );
}

export class Feed {
  private number = 0;
  private last: Look | undefined;
  private problem: string | undefined;
  /** By uid, as they were sent last. */
  private rows = new Map<number, string>();
  private killTexts = new Map<string, string>();

  /** @returns What has changed. */
  take(look: Look): Message {
    const rows = new Map<number, string>();
    const changed: string[] = [];
    for (const user of look.status.users) {
      const row = JSON.stringify(USER_FIELD_NAMES.map((name) => user[name]));
      rows.set(user.uid, row);
      if (this.rows.get(user.uid) !== row) changed.push(row);
    }
    const gone = [...this.rows.keys()].filter((uid) => !rows.has(uid));
    const killTexts = new Map(look.kills.map((kill) => [kill.id, JSON.stringify(kill)]));
    const kills = [...killTexts].filter(([id, text]) => this.killTexts.get(id) !== text)
      .map(([, text]) => text);
    this.rows = rows;
    this.killTexts = killTexts;
    this.last = look;
    this.problem = undefined;
    this.number++;
    const data = `{${headOf(look)},"users":[${changed.join()}],"gone":${JSON.stringify(gone)},` +
      `"kills":[${kills.join()}]}`;
    return message("change", data, this.number);
  }

  /** The daemon does not answer. @returns What to tell. */
  fail(problem: string): Message {
    this.problem = problem;
    return message("problem", JSON.stringify({ problem }));
  }

  /** All that there is, for who has just come or has missed something. */
  snapshot(): Message {
    const { last, problem } = this;
    if (last === undefined) {
      return message("problem", JSON.stringify({ problem: problem ?? "toom is being asked" }));
    }
    const kills = [...this.killTexts.values()].slice(-KILLS_TOLD_MAX);
    const data = `{${headOf(last)},"fields":${JSON.stringify(USER_FIELD_NAMES)},` +
      `"users":[${[...this.rows.values()].join()}],"kills":[${kills.join()}],` +
      `"problem":${JSON.stringify(problem ?? null)}}`;
    return message("snapshot", data, this.number);
  }

  get look(): Look | undefined {
    return this.last;
  }
}

/** What is told each time. */
function headOf({ atMs, status, machine }: Look): string {
  const { users: _, ...toom } = status;
  return `"atMs":${atMs},"machine":${JSON.stringify(machine)},"toom":${JSON.stringify(toom)}`;
}
