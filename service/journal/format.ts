/**
 * An event as one line, for people (`text`) or for programs (`json`). Names come from unprivileged
 * users and are escaped, so that a line stays one line and cannot pose as another.
 *
 * @module
 */
import type { UidRange } from "../../pipeline/limits/limits.ts";
import { escapeJsonLine, formatBytes, quote } from "../../pipeline/limits/units.ts";
import type {
  DeniedEvent,
  GraceOutcomeName,
  JournalEvent,
  KillEvent,
  ShedEvent,
  StormEvent,
} from "./events.ts";

export type LogFormat = "text" | "json";

/** One JSON object on one line: `ts`, `event`, then the fields of the event. */
export function formatJson(event: JournalEvent, at: Date): string {
  return escapeJsonLine(JSON.stringify({ ts: at.toISOString(), ...event }));
}

/** One line for people, in the manner of the original. */
export function formatText(event: JournalEvent): string {
  switch (event.event) {
    case "ready":
      return `ready: version=${event.version} pid=${event.pid} source=${event.source} ` +
        `readers=${event.readers} limits=${event.limits} counted=${event.counted} ` +
        `victim=${event.victim} control=${word(event.controlSocket)} ` +
        (event.tmallocSocket === null ? "" : `tmalloc=${word(event.tmallocSocket)} `) +
        (event.brake === "off" ? "" : `brake=${event.brake} by=${event.brakeBy ?? "nothing"} `) +
        `start=${event.startMs}ms` +
        (event.dryRun ? " dry-run" : "");
    case "limit":
      if (event.action === "clear") return `limit cleared: ${uids(event)}`;
      return event.hardPages === null
        ? `limit set: ${uids(event)} none`
        : `limit set: ${uids(event)} hard=${event.hardBytes}B (${event.hardPages} pages) ` +
          `soft=${event.softBytes}B (${event.softPages} pages)` +
          (event.brake === null ? "" : ` brake=${event.brake}`) +
          (event.victim === null ? "" : ` victim=${event.victim}`) +
          (event.count === null ? "" : ` counted=${event.count}`) +
          (event.maxProcesses === null ? "" : ` processes=${event.maxProcesses}`) +
          (event.plan === null ? "" : ` plan=${quote(event.plan)}`);
    case "soft":
      return `soft limit passed: ${user(event)} usage=${event.usagePages} ` +
        `soft=${event.softPages} hard=${event.hardPages} pages`;
    case "kill":
      return killText(event);
    case "killed":
      return `killed: uid=${event.uid} pid=${event.pid} freed=${event.freedBytes}B ` +
        `(${formatBytes(event.freedBytes)}) exit=${event.exitUs}us` +
        (event.exitStatus === null ? "" : ` status=${event.exitStatus}`) +
        (event.outcome === null ? "" : ` grace=${event.outcome}`);
    case "grace":
      return `grace over: ${user(event)} pid=${event.pid} comm=${quote(event.comm)} ` +
        `${GRACE_TEXTS[event.outcome]} after=${event.tookMs}ms usage=${event.usagePages} ` +
        `hard=${event.hardPages} pages`;
    case "storm":
      return stormText(event);
    case "refused":
      return `refused: ${user(event)} pid=${event.pid} comm=${quote(event.comm)} gets no more ` +
        `than ${event.leftPages} pages (${formatBytes(event.leftBytes)}) usage=` +
        `${event.usagePages} soft=${event.softPages} hard=${event.hardPages} pages`;
    case "denied":
      return `request not granted: uid=${event.uid} pid=${event.pid} ${deniedSum(event)}`;
    case "lost":
      return `lost: ${event.events < 0 ? "an unknown number of" : event.events} events ` +
        (event.cpu < 0 ? "on any cpu" : `on cpu ${event.cpu}`);
    case "tampered":
      return `tampered: somebody else has changed toom's tracing: ${line(event.what)}` +
        (event.mended ? "; put right" : "; not put right");
    case "drift":
      return `drift: uid=${event.uid} corrected by ${event.pages} pages`;
    case "degraded":
      return `degraded: ${line(event.reason)}`;
    case "recovered":
      return `recovered: after ${event.degradedMs}ms`;
    case "worker-restart":
      return `worker restarted: ${event.role} was down for ${event.downMs}ms: ${
        line(event.reason)
      }`;
    case "restart":
      return `restarted: limits were not enforced for ${event.downMs}ms, as ${event.role} ${
        line(event.reason)
      } (${event.restarts} so far)`;
    case "kernel-kill":
      return `killed by the kernel: uid=${event.uid ?? "?"} pid=${event.pid} ` +
        `comm=${event.comm === null ? "?" : quote(event.comm)}`;
    case "trigger":
      return `trigger: ${event.trigger}: ${line(event.reason)}`;
    case "config":
      return `config: ${line(event.message)}`;
    case "stop":
      return `stop: ${line(event.reason)} after ${event.uptimeSeconds}s, ${event.kills} kills`;
    case "error":
      return `error: ${event.where}: ${line(event.message)}`;
    case "shed":
      return `shed: ${shedText(event)}`;
  }
}

function shedText({ kind, lines }: ShedEvent): string {
  switch (kind) {
    case "reports":
      return `${lines} reports of workers`;
    case "orders":
      return `${lines} orders to the killer`;
    case "unwritten":
      return `${lines} lines that could not be written`;
    case "user-changes":
      return `${lines} times changes of user; all of /proc was read instead`;
    case "readings":
      return `${lines} readings of /proc, which failed; the next sweep tries again`;
    default:
      return `${lines} lines of ${kind}`;
  }
}

function killText(event: KillEvent): string {
  const others = event.weighed.map(({ pid, pages }) => `${pid}:${pages}`).join(",");
  const kept = event.kept.map(({ pid, pages, rule }) => ` kept=${pid}:${pages} by ${quote(rule)}`);
  return `${event.dryRun ? "would kill" : "kill"}: ${user(event)} pid=${event.pid} ` +
    `comm=${quote(event.comm)} trigger=${event.trigger} usage=${event.usagePages} ` +
    (event.sharedPages === 0
      ? ""
      : `counted=${event.usagePages + event.sharedPages} shared=${event.sharedPages} `) +
    `hard=${event.hardPages} pages over=${event.overshootBytes}B victim=${event.victimPages} ` +
    `pages latency=${event.latencyUs}us` +
    `${event.sharers === 0 ? "" : ` sharers=${event.sharers}`}` +
    planText(event) +
    `${event.brakeLeftPages === null ? "" : ` braked, left=${event.brakeLeftPages}`}${
      others === "" ? "" : ` weighed=${others}`
    }${event.rule === null ? "" : ` rule=${quote(event.rule)}`}${kept.join("")} id=${event.id}`;
}

/** Nothing where SIGKILL goes to the process alone. */
function planText({ signal, graceMs, ceilingPages, unit, unitProcesses }: KillEvent): string {
  return (graceMs === null ? "" : ` signal=${signal} grace=${graceMs}ms ceiling=${ceilingPages}`) +
    (unit === "process" ? "" : ` unit=${unit} with=${unitProcesses}`);
}

const GRACE_TEXTS: Readonly<Record<GraceOutcomeName, string>> = {
  ended: "ended by itself",
  over: "killed, as its time is over",
  ceiling: "killed, as its user is above the ceiling",
  pressure: "killed, as the machine is short of memory",
  spared: "left alone, as its user is below its limit",
};

function stormText(event: StormEvent): string {
  const { kills, seconds, then, actedPid, actedComm, acted } = event;
  const sum = `${user(event)} kills=${kills} within=${seconds}s`;
  if (event.state === "ends") {
    return `storm over: ${sum} then=${then}${then === "off" ? "" : ` acted=${acted}`}`;
  }
  const on = actedPid === null
    ? then === "off" ? "" : " on=nobody"
    : ` on=${actedPid} comm=${quote(actedComm ?? "")}`;
  return `storm: ${sum}: its processes come back as they are killed; further kills are told of in ` +
    `one line at the end, then=${then}${on}`;
}

function uids({ uidFirst, uidLast }: UidRange): string {
  return uidFirst === uidLast ? `uid=${uidFirst}` : `uid=${uidFirst}-${uidLast}`;
}

function user(event: { readonly uid: number; readonly user: string | null }): string {
  return `uid=${event.uid}${event.user === null ? "" : ` user=${word(event.user)}`}`;
}

/** As it is when nothing in it could be mistaken, else in quotes. */
function word(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : quote(text, 256);
}

/** The sum in the original's words; where it is not the sum that forbids, what does. */
function deniedSum({ committedPages, requestPages, hardPages, reason }: DeniedEvent): string {
  const sum = `${committedPages}+${requestPages}`;
  if (reason === "limit") return `${sum}>${hardPages}`;
  return reason === "claims"
    ? `${sum}<=${hardPages}, but then not all claims could be met`
    : `${sum}, beyond its own claim`;
}

/** Free text, made harmless but not quoted. */
function line(text: string): string {
  return escapeJsonLine(text.replace(/\s*[\r\n]+\s*/g, " "));
}
