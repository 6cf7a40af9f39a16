/** `toom top --prometheus`: what is asked, what is made of the answer, and how it is shown. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { FleetState, type FleetUser, fullest, sumOf } from "../../../cli/top/fleet.ts";
import { drawFleet } from "../../../cli/top/fleet_view.ts";
import {
  FLEET_QUERY,
  FleetClient,
  fleetOf,
  parsePrometheusUrl,
  PrometheusError,
} from "../../../cli/top/prometheus.ts";
import { USER_FIELDS } from "../../../service/fields/user_fields.ts";
import { needing } from "../../_support/real_kernel.ts";
import { TMUX, Tmux } from "../../_support/tmux.ts";

const MIB = 1 << 20;
const PROGRAM = new URL("../../../mod.ts", import.meta.url).pathname;

function samples(
  machine: string,
  uid: number,
  user: string,
  usageMib: number,
  kills = 0,
): [Record<string, string>, number][] {
  const of = (name: string, more: Record<string, string> = {}): Record<string, string> => ({
    __name__: `toom_user_${name}`,
    instance: machine,
    uid: String(uid),
    ...more,
  });
  return [
    [of("info", { user }), 1],
    [of("memory_bytes", { type: "charged" }), usageMib * MIB],
    [of("limit_bytes", { kind: "soft" }), 90 * MIB],
    [of("limit_bytes", { kind: "hard" }), 100 * MIB],
    [of("growth_bytes_per_second"), MIB],
    [of("processes"), 3],
    [of("kills_total"), kills],
    [of("in_doubt"), 0],
  ];
}

const FLEET = [
  ...samples("login1:9184", 1001, "alice", 40),
  ...samples("login2:9184", 1001, "alice", 95, 2),
  ...samples("login1:9184", 1002, "bob", 101, 1),
];

function stateOf(users: readonly FleetUser[]): FleetState {
  const state = new FleetState();
  state.told = users;
  state.keepCursor();
  return state;
}

Deno.test("each metric that is asked for exists", () => {
  const known = new Set(["toom_user_info"]);
  for (const field of Object.values(USER_FIELDS)) {
    if (!("metric" in field)) continue;
    const { metric: { name }, type } = field;
    known.add(type === "counter" ? `${name}_total` : name);
  }
  const [, words] = /toom_user_\(([^)]*)\)/.exec(FLEET_QUERY)!;
  const asked = words!.split("|").map((word) => `toom_user_${word}`);
  assertEquals(asked.length, 7);
  assertEquals(asked.filter((name) => !known.has(name)), []);
});

Deno.test("users are summed over machines, and the fullest machine is known", () => {
  const users = fleetOf(FLEET);
  assertEquals(users.map(({ uid, user, machines }) => [uid, user, machines.length]), [
    [1001, "alice", 2],
    [1002, "bob", 1],
  ]);
  const [alice] = users;
  assertEquals(sumOf(alice!, "usageBytes"), 135 * MIB);
  assertEquals([sumOf(alice!, "kills"), sumOf(alice!, "processes")], [2, 6]);
  assertEquals(fullest(alice!).machine, "login2:9184");
});

Deno.test("what is no sample of a user is left out", () => {
  assertEquals(
    fleetOf([
      [{ __name__: "toom_user_kills_total", instance: "a" }, 1],
      [{ __name__: "toom_user_kills_total", uid: "7" }, 1],
      [{ __name__: "toom_user_kills_total", instance: "a", uid: "x" }, 1],
      [{ __name__: "toom_user_kills_total", instance: "a", uid: "7" }, NaN],
      [{ __name__: "toom_user_info", instance: "a", uid: "8", user: "only a name" }, 1],
    ]),
    [],
  );
});

Deno.test("the screen has users, the worst first, and the machines of one", () => {
  const state = stateOf(fleetOf(FLEET));
  let screen = drawFleet(state, "prometheus:9090", 80, 24);
  assertMatch(screen.line(0), /^toom on 2 machines, by Prometheus at prometheus:9090/);
  assertMatch(screen.line(1), /^2 users; on some machine above soft: 1, above hard: 1; kills 3/);
  assertMatch(screen.line(4), /^bob +1002 +1 +101\.0M +1\.0M +3 +1 login1:9184 .*█.* 101%/);
  assertMatch(screen.line(5), /^alice +1001 +2 +135\.0M +2\.0M +6 +2 login2:9184 .*█.* 95%/);
  state.input("ju");
  assertEquals(state.userUid, 1001);
  screen = drawFleet(state, "prometheus:9090", 80, 24);
  const lines = Array.from({ length: 24 }, (_, row) => screen.line(row));
  const at = lines.findIndex((line) => line.startsWith("MACHINE"));
  assertMatch(lines[at + 1]!, /^login2:9184 +95\.0M +100\.0M +1\.0M +5s +3 +2 .*95%/);
  assertMatch(lines[at + 2]!, /^login1:9184 +40\.0M +100\.0M +1\.0M +1min 0s +3 +0 .*40%/);
  state.input("u/ali\r");
  assertEquals([state.userUid, state.cursorUid], [undefined, 1001]);
  state.input("\\zzz\r");
  assertMatch(drawFleet(state, "p", 80, 24).line(4), /no user has this text/);
});

Deno.test("a user of more machines than there are lines says how many are left", () => {
  const many = Array.from(
    { length: 40 },
    (_, at) => samples(`node${String(at).padStart(2, "0")}`, 5, "eve", at),
  );
  const state = stateOf(fleetOf(many.flat()));
  state.input("u");
  const screen = drawFleet(state, "p", 80, 24);
  assertMatch(screen.line(22), /^and 32 machines where it uses less/);
  assertMatch(screen.line(21), /^node32 /);
});

Deno.test("hostile names of users and machines stay in their cells", () => {
  const state = stateOf(fleetOf(samples("\u001b[31mx\nforged", 9, "e\u001b]0;x\u0007\r\n", 1)));
  state.input("u");
  const screen = drawFleet(state, "p", 80, 24);
  for (let row = 0; row < 24; row++) {
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u001f\u007f]/.test(screen.line(row)), JSON.stringify(screen.line(row)));
  }
});

Deno.test("addresses of a server: what is none says what was expected", () => {
  for (const text of ["http://p:9090", "https://user:secret@p/prometheus/"]) {
    parsePrometheusUrl(text);
  }
  for (const text of ["", "p:9090", "ftp://p", "http://p?query=x", "http://p#x"]) {
    assertThrows(() => parsePrometheusUrl(text), Error, "expected the address of a Prometheus");
  }
});

interface Asked {
  readonly url: string;
  readonly authorization: string | null;
}

/** A server that answers as it is told, and keeps what it was asked. */
async function withServer(
  answer: () => Response,
  body: (port: number, asked: Asked[]) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    asked.push({ url: request.url, authorization: request.headers.get("authorization") });
    return answer();
  });
  try {
    await body(server.addr.port, asked);
  } finally {
    await server.shutdown();
  }
}

const vector = (list: readonly (readonly [Record<string, string>, number])[]): Response =>
  Response.json({
    status: "success",
    data: {
      resultType: "vector",
      result: list.map(([metric, value]) => ({ metric, value: [1.5, String(value)] })),
    },
  });

Deno.test("a server is asked once, with its path and its password, which no error shows", async () => {
  let answer = () => vector(FLEET);
  await withServer(() => answer(), async (port, asked) => {
    const url = parsePrometheusUrl(`http://us%20er:pass%C3%A9@127.0.0.1:${port}/behind/`);
    const client = new FleetClient(url);
    assertEquals((await client.users()).length, 2);
    const { url: askedUrl, authorization } = asked[0]!;
    assertEquals(new URL(askedUrl).pathname, "/behind/api/v1/query");
    assertEquals(new URL(askedUrl).searchParams.get("query"), FLEET_QUERY);
    const [kind, words] = authorization!.split(" ");
    const bytes = Uint8Array.from(atob(words!), (one) => one.charCodeAt(0));
    assertEquals([kind, new TextDecoder().decode(bytes)], ["Basic", "us er:passé"]);
    const bad: [Response, RegExp][] = [
      [new Response("no", { status: 503 }), /: it answered 503 Service Unavailable$/],
      [
        Response.json({ status: "error", error: "too many samples" }, { status: 422 }),
        /: too many/,
      ],
      [new Response("{x"), /: its answer is no JSON$/],
      [Response.json({ status: "success", data: { result: [1] } }), /something else than samples$/],
      [new Response(null, { status: 302, headers: { location: "http://x/" } }), /: /],
    ];
    for (const [response, expected] of bad) {
      answer = () => response;
      const error = await assertRejects(() => client.users(), PrometheusError);
      assertMatch(error.message, /^Cannot ask Prometheus at http:\/\/127\.0\.0\.1:\d+: /);
      assertMatch(error.message, expected);
      assert(!error.message.includes("pass"), error.message);
    }
  });
});

Deno.test("toom top --prometheus says in a line that nobody answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const client = new FleetClient(parsePrometheusUrl(`http://127.0.0.1:${port}`));
  const error = await assertRejects(() => client.users(), PrometheusError);
  assertMatch(error.message, /^Cannot ask Prometheus at http:\/\/127\.0\.0\.1:\d+: /);
  assert(!error.message.includes("\n"));
});

Deno.test(
  needing(TMUX !== undefined, "tmux", "toom top --prometheus shows the fleet, and its end"),
  async () => {
    const dirPath = await Deno.makeTempDir();
    let isBroken = false;
    try {
      await withServer(
        () => isBroken ? new Response("no", { status: 503 }) : vector(FLEET),
        async (port) => {
          await using tmux = new Tmux(dirPath);
          await tmux.run("new-session", "-d", "-x", "80", "-y", "24", "sh");
          const type = (...keys: string[]): Promise<string> => tmux.run("send-keys", ...keys);
          await type(
            `PS1='$ '; clear; '${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
              `--prometheus=http://127.0.0.1:${port}`,
            "Enter",
          );
          const first = await tmux.until((lines) => lines.join().includes("F10Quit"), "it starts");
          assertMatch(first[0]!, /^toom on 2 machines/);
          await type("u");
          await tmux.until((lines) => lines.join().includes("MACHINE"), "machines are shown");
          isBroken = true;
          await tmux.until(
            (lines) => lines[2]!.includes("it answered 503") && lines.join().includes("alice"),
            "what was told stays, and why it is not of now",
          );
          await type("q");
          await tmux.until((lines) => !lines.join().includes("F10Quit"), "it ends");
        },
      );
    } finally {
      await Deno.remove(dirPath, { recursive: true });
    }
  },
);
