/** Posting what happens to servers that answer, fail, are slow, or are gone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { WebhookSetting } from "../../../service/config/notify_settings.ts";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { Webhook, WEBHOOK_QUEUE_MAX } from "../../../service/notify/webhook.ts";
import { waitUntil } from "../../_support/real_kernel.ts";

const AT = new Date("2026-08-22T10:00:00.123Z");
const DRIFT: JournalEvent = { event: "drift", uid: 7, pages: 1 };

interface Stage {
  readonly journal: Journal;
  readonly webhook: Webhook;
  readonly told: string[];
  setting: WebhookSetting | undefined;
}

function stage(url: string, more: Partial<WebhookSetting> = {}): Stage {
  const journal = new Journal({ nowNs: () => 9e9, now: () => AT });
  const told: string[] = [];
  const setting = { url, timeoutMs: 5000, attempts: 3, events: ["drift"] as const, ...more };
  const made: { setting: WebhookSetting | undefined } = { setting };
  const webhook = new Webhook({
    setting: () => made.setting,
    host: "box",
    version: "1.2.3",
    tell: (where, message) => void told.push(`${where}: ${message}`),
    nowMs: () => performance.now(),
    backoffMs: 10,
  });
  journal.subscribe(webhook);
  return Object.assign(made, { journal, webhook, told });
}

/** A server for one test. */
async function serving(
  answer: (request: Request, count: number) => Response | Promise<Response>,
  test: (url: string, count: () => number) => Promise<void>,
): Promise<void> {
  let count = 0;
  const abort = new AbortController();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", signal: abort.signal, onListen: () => {} },
    (request) => answer(request, ++count),
  );
  try {
    await test(`http://127.0.0.1:${(server.addr as Deno.NetAddr).port}/secret`, () => count);
  } finally {
    abort.abort();
    await server.finished;
  }
}

/** Connections stay open a while, and deadlines are timers. */
const OPTIONS = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...OPTIONS,
  name: "an event is posted as JSON",
  async fn(): Promise<void> {
    const bodies: unknown[] = [];
    const agents: (string | null)[] = [];
    await serving(async (request) => {
      bodies.push(await request.json());
      agents.push(request.headers.get("user-agent"));
      return new Response("x".repeat(100_000));
    }, async (url) => {
      const { journal, webhook } = stage(url);
      journal.publish(DRIFT);
      journal.publish({ event: "config", message: "not asked for" });
      await webhook.settled();
      assertEquals(bodies, [{
        text: "toom on box: drift: uid=7 corrected by 1 pages",
        host: "box",
        version: "1.2.3",
        number: 1,
        ts: AT.toISOString(),
        ...DRIFT,
      }]);
      assertEquals(agents, ["toom/1.2.3"]);
      const row = { name: "notify.webhook", waiting: 0, done: 1, failed: 0, late: 0, left: 0 };
      assertEquals(webhook.report(), [row]);
    });
  },
});

Deno.test({
  ...OPTIONS,
  name: "a server that fails is tried again, in order, until it takes it",
  async fn(): Promise<void> {
    const numbers: number[] = [];
    await serving(async (request, count) => {
      numbers.push((await request.json()).number);
      return new Response(null, { status: count <= 2 ? 500 : 204 });
    }, async (url) => {
      const { journal, webhook, told } = stage(url);
      journal.publish(DRIFT);
      journal.publish(DRIFT);
      await webhook.settled();
      assertEquals(numbers, [1, 1, 1, 2]);
      assertEquals([webhook.report()[0]!.done, told.length], [2, 0]);
    });
  },
});

Deno.test({
  ...OPTIONS,
  name: "one that never takes it is given up, and told without its address",
  async fn(): Promise<void> {
    await serving(() => new Response(null, { status: 503 }), async (url, count) => {
      const { journal, webhook, told } = stage(url);
      journal.publish(DRIFT);
      journal.publish(DRIFT);
      await webhook.settled();
      assertEquals(count(), 6);
      assertEquals(webhook.report()[0]!.failed, 2);
      assertEquals(told.length, 1, "not again and again");
      assertStringIncludes(told[0]!, "answered with status 503 (3 attempts)");
      assert(!told[0]!.includes("secret"), told[0]);
    });
  },
});

Deno.test({
  ...OPTIONS,
  name: "what is refused for good is not tried again, and nobody is sent elsewhere",
  async fn(): Promise<void> {
    const elsewhere = { status: 302, headers: { location: "/elsewhere" } };
    const answers = [new Response(null, { status: 404 }), new Response(null, elsewhere)];
    await serving((_, count) => answers[count - 1]!, async (url, count) => {
      const { journal, webhook } = stage(url);
      journal.publish(DRIFT);
      journal.publish(DRIFT);
      await webhook.settled();
      assertEquals([count(), webhook.report()[0]!.failed], [2, 2]);
    });
  },
});

Deno.test({
  ...OPTIONS,
  name: "one that does not answer is late, and holds up no entry of the journal",
  async fn(): Promise<void> {
    const never = Promise.withResolvers<Response>();
    await serving(() => never.promise, async (url) => {
      const { journal, webhook, told } = stage(url, { timeoutMs: 200, attempts: 1 });
      for (let n = 0; n < WEBHOOK_QUEUE_MAX + 10; n++) journal.publish(DRIFT);
      const [subscriber] = journal.report();
      assertEquals([subscriber!.taken, subscriber!.missed], [WEBHOOK_QUEUE_MAX + 10, 0]);
      const [row] = webhook.report();
      assertEquals([row!.waiting, row!.left], [WEBHOOK_QUEUE_MAX, 10]);
      await waitUntil(() => webhook.report()[0]!.late > 0, "it is late");
      assertStringIncludes(told[0]!, "no answer within 200 ms");
      webhook.stop();
      await webhook.settled();
      journal.publish(DRIFT);
      assertEquals(webhook.report()[0]!.waiting, 0);
      never.resolve(new Response());
    });
  },
});

Deno.test({
  ...OPTIONS,
  name: "one that is gone fails; one that comes back is told what waited",
  async fn(): Promise<void> {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr;
    listener.close();
    const made = stage(`http://127.0.0.1:${port}/`, { attempts: 2 });
    made.journal.publish(DRIFT);
    await made.webhook.settled();
    assertEquals(made.webhook.report()[0]!.failed, 1);
    await serving(() => new Response(), async (url) => {
      made.setting = { ...made.setting!, url };
      made.journal.publish(DRIFT);
      await made.webhook.settled();
      assertEquals(made.webhook.report()[0]!.done, 1);
    });
    made.setting = undefined;
    assertEquals(made.webhook.report(), []);
  },
});
