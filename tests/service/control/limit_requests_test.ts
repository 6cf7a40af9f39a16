/** What can be said of a limit that is set while toom runs, and what is refused. */
import { assert, assertEquals } from "@std/assert";
import { handleControl } from "../../../service/control/handlers.ts";
import { FakeBackend, fakeOptions } from "../../_support/fake_control.ts";

interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly content: any;
}

/** Asks without a socket. */
async function ask(
  backend: FakeBackend,
  method: string,
  path: string,
  body?: string,
): Promise<Answer> {
  const request = new Request(`http://toom${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
  });
  const response = await handleControl(request, fakeOptions("", backend));
  return { status: response.status, content: await response.json() };
}

Deno.test("a limit has counted members of its own, set and shown", async () => {
  const backend = new FakeBackend();
  const body = '{"hard":"64MiB","count":"rss"}';
  const { status, content } = await ask(backend, "PUT", "/v1/limits/60001", body);
  assertEquals([status, content.limit.count], [200, "file+anon+shmem"]);
  assertEquals(backend.rules.find(60001)?.countMask, 0b1011);
  const shown = await ask(backend, "GET", "/v1/limits/60001");
  assertEquals(shown.content.limit, content.limit);
});

Deno.test("a limit has a victim policy and a number of processes of its own, set, shown, and checked", async () => {
  const backend = new FakeBackend();
  const path = "/v1/limits/60001";
  const body = '{"hard":"64MiB","victim":"growing=1, largest=2","maxProcesses":50}';
  const { status, content } = await ask(backend, "PUT", path, body);
  const { limit } = content as { limit: { victim: unknown; maxProcesses: unknown } };
  assertEquals([status, limit.victim, limit.maxProcesses], [200, "largest=2,growing=1", 50]);
  const rule = backend.rules.find(60001);
  assertEquals([rule?.victim, rule?.processesMax], ["largest=2,growing=1", 50]);
  const shown = (await ask(backend, "GET", path)).content as { limit: unknown };
  assertEquals(shown.limit, limit);
  const wrong: readonly (readonly [string, string])[] = [
    ['{"hard":"1G","victim":"newst"}', 'not "newst", did you mean "newest"?'],
    ['{"hard":"1G","victim":"largest=101"}', "a weight from 1 to 100"],
    ['{"hard":"1G","victim":7}', "victim"],
    ['{"hard":"1G","count":"anom"}', 'not "anom", did you mean "anon"?'],
    ['{"hard":"1G","count":"rss+sum"}', "members without sum"],
    ['{"hard":"none","count":"rss"}', "no counted members"],
    ['{"hard":"1G","maxProcesses":0}', "maxProcesses"],
    ['{"hard":"1G","maxProcesses":1048577}', "maxProcesses"],
    ['{"hard":"none","victim":"newest"}', "no victim policy"],
    ['{"hard":"none","maxProcesses":5}', "no number of processes"],
  ];
  for (const [text, part] of wrong) {
    const answer = await ask(backend, "PUT", path, text);
    assertEquals(answer.status, 400, text);
    assert((answer.content as { error: string }).error.includes(part), text);
  }
  assertEquals(backend.rules.find(60001), rule, "what was refused has changed nothing");
});

Deno.test("a limit has a plan of its own, which is set, shown, and checked", async () => {
  const backend = new FakeBackend();
  const path = "/v1/limits/60001";
  const body = {
    hard: "64MiB",
    plan: { signal: "term", grace: "1500ms", ceiling: "110.5%", unit: "group" },
    storm: { kills: 7, then: "parent" },
  };
  const { status, content } = await ask(backend, "PUT", path, JSON.stringify(body));
  assertEquals(status, 200);
  const plan = { signal: "SIGTERM", graceMs: 1500, ceilingPercent: 110.5, unit: "group" };
  const { limit } = content as { limit: { plan: unknown; storm: unknown } };
  assertEquals([limit.plan, limit.storm], [plan, body.storm]);
  assertEquals(backend.rules.find(60001)?.plan, {
    signal: 15,
    graceMs: 1500,
    ceilingPermille: 1105,
    unit: "group",
  });
  const shown = (await ask(backend, "GET", path)).content as { limit: unknown };
  assertEquals(shown.limit, limit);
  const wrong: readonly (readonly [string, string])[] = [
    ['{"hard":"1G","plan":{"signal":"SIGTREM"}}', "SIGTERM"],
    ['{"hard":"1G","plan":{"grace":"soon"}}', "duration"],
    ['{"hard":"1G","plan":{"ceiling":"90%"}}', "from 100%"],
    ['{"hard":"1G","plan":{"unit":"user"}}', "unit"],
    ['{"hard":"1G","storm":{"kills":-1}}', "kills"],
    ['{"hard":"none","plan":{"signal":"TERM"}}', "no plan"],
  ];
  for (const [text, part] of wrong) {
    const answer = await ask(backend, "PUT", path, text);
    assertEquals(answer.status, 400);
    assert((answer.content as { error: string }).error.includes(part), text);
  }
});
