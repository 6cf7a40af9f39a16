/**
 * What a Prometheus server has of the users of all machines.
 *
 * @module
 */
import { z } from "zod";
import type { FleetUser, MachineShare } from "./fleet.ts";

/** How long a server may take to answer. */
const ANSWER_MS_MAX = 10_000;
/** Of an answer: a thousand users on a hundred machines take 100 MB. */
const ANSWER_BYTES_MAX = 256 << 20;

/** One query, so that all numbers are of one moment. `type` and `kind` are missing where it is neither. */
export const FLEET_QUERY = '{__name__=~"toom_user_(memory_bytes|limit_bytes|info|processes|' +
  'growth_bytes_per_second|kills_total|in_doubt)",type=~"charged|",kind=~"soft|hard|"}';

/** What cannot be had from the server; one line. */
export class PrometheusError extends Error {
  override readonly name = "PrometheusError";
}

/**
 * @param text Such as `http://prometheus:9090`, with a path if it is behind one, and `user:password@`
 * if it asks for these.
 * @throws {Error} With what was expected.
 */
export function parsePrometheusUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== ""
  ) {
    throw new Error(
      `expected the address of a Prometheus server such as http://prometheus:9090, not ${
        JSON.stringify(text)
      }`,
    );
  }
  return url;
}

const AnswerSchema = z.object({
  status: z.string(),
  error: z.string().optional(),
  data: z.object({
    result: z.array(z.object({
      metric: z.record(z.string(), z.string()),
      value: z.tuple([z.number(), z.string()]),
    })),
  }).optional(),
});

/** Asks a server for the users of its machines. */
export class FleetClient {
  private readonly query: URL;
  private readonly headers: Headers;
  /** Of the server, for errors: without a password. */
  private readonly shown: string;

  /** @param url As of {@link parsePrometheusUrl}. */
  constructor(url: URL) {
    this.query = new URL(`${url.pathname.replace(/\/$/, "")}/api/v1/query`, url);
    this.query.search = new URLSearchParams({ query: FLEET_QUERY }).toString();
    this.headers = new Headers({ accept: "application/json" });
    if (url.username !== "") {
      const words = [url.username, url.password].map(decodeURIComponent).join(":");
      const bytes = String.fromCharCode(...new TextEncoder().encode(words));
      this.headers.set("authorization", `Basic ${btoa(bytes)}`);
    }
    this.query.username = this.query.password = "";
    this.shown = this.query.origin;
  }

  /**
   * Users by uid, in no order.
   * @throws {PrometheusError}
   */
  async users(): Promise<readonly FleetUser[]> {
    const answer = AnswerSchema.safeParse(await this.ask());
    if (!answer.success) throw this.error("it answered with something else than samples");
    const { status, error, data } = answer.data;
    if (status !== "success" || data === undefined) throw this.error(error ?? status);
    return fleetOf(data.result.map(({ metric, value }) => [metric, Number(value[1])]));
  }

  private async ask(): Promise<unknown> {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const response = await fetch(this.query, {
        headers: this.headers,
        signal,
        redirect: "error",
      });
      const text = await textOf(response);
      if (!response.ok && !text.startsWith("{")) {
        throw this.error(`it answered ${response.status} ${response.statusText}`);
      }
      return JSON.parse(text);
    } catch (error) {
      if (error instanceof PrometheusError) throw error;
      if (error instanceof SyntaxError) throw this.error("its answer is no JSON");
      throw this.error(error instanceof Error ? error.message : String(error));
    }
  }

  private error(why: string): PrometheusError {
    return new PrometheusError(`Cannot ask Prometheus at ${this.shown}: ${why}`);
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) {
      throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Labels, and the value. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Users of samples; those without a uid or a machine, or with an odd value, are left out. */
export function fleetOf(samples: readonly Sample[]): FleetUser[] {
  const users = new Map<number, { name: string | null; machines: Map<string, MachineShare> }>();
  for (const [labels, value] of samples) {
    const { __name__: name, instance, uid: uidText } = labels;
    const uid = Number(uidText);
    if (name === undefined || instance === undefined || !/^\d+$/.test(uidText ?? "")) continue;
    if (!Number.isFinite(value)) continue;
    let user = users.get(uid);
    if (user === undefined) users.set(uid, user = { name: null, machines: new Map() });
    if (name === "toom_user_info") {
      if (labels["user"] !== undefined && labels["user"] !== "") user.name = labels["user"];
      continue;
    }
    let share = user.machines.get(instance);
    if (share === undefined) user.machines.set(instance, share = emptyShare(instance));
    take(share, name, labels, value);
  }
  return [...users].filter(([, { machines }]) => machines.size > 0).map(([uid, user]) => ({
    uid,
    user: user.name,
    machines: [...user.machines.values()],
  }));
}

function emptyShare(machine: string): MachineShare {
  return {
    machine,
    usageBytes: 0,
    softBytes: 0,
    hardBytes: 0,
    growthBytesPerSecond: 0,
    processes: 0,
    kills: 0,
    inDoubt: false,
  };
}

function take(
  share: MachineShare,
  name: string,
  { kind }: Readonly<Record<string, string>>,
  value: number,
): void {
  switch (name) {
    case "toom_user_memory_bytes":
      share.usageBytes = value;
      break;
    case "toom_user_limit_bytes":
      if (kind === "soft") share.softBytes = value;
      else share.hardBytes = value;
      break;
    case "toom_user_growth_bytes_per_second":
      share.growthBytesPerSecond = value;
      break;
    case "toom_user_processes":
      share.processes = value;
      break;
    case "toom_user_kills_total":
      share.kills = value;
      break;
    case "toom_user_in_doubt":
      share.inDoubt = value !== 0;
      break;
  }
}
