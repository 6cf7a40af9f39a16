/** Dashboard and alert rules, against the metrics that toom has, and against a real Prometheus. */
import { assert, assertEquals } from "@std/assert";
import { FleetClient } from "../cli/top/prometheus.ts";
import type { StatusReport } from "../service/control/control_api.ts";
import { KillCounts } from "../service/metrics/kill_counts.ts";
import { Metrics } from "../service/metrics/metrics.ts";
import { MetricsServer } from "../service/metrics/metrics_server.ts";
import { FAKE_STATUS } from "./_support/fake_control.ts";
import { endEntry, killEntry } from "./_support/kill_entries.ts";
import { hasFile, needing } from "./_support/real_kernel.ts";

const DEPLOY = new URL("../deploy/", import.meta.url);
const PROMETHEUS = ["/usr/bin/prometheus", "/usr/local/bin/prometheus"].find(hasFile);
const PROMTOOL = ["/usr/bin/promtool", "/usr/local/bin/promtool"].find(hasFile);
/** Machines of the fleet, and users of each. */
const MACHINES = 20;
const USERS = 50;
const SCRAPES_MS_MAX = 60_000;

interface Target {
  readonly expr: string;
}

interface Dashboard {
  readonly annotations: { readonly list: readonly Target[] };
  readonly panels: readonly { readonly title: string; readonly targets: readonly Target[] }[];
}

interface Query {
  readonly where: string;
  readonly expr: string;
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, DEPLOY));
}

/** Queries of the dashboard, as Grafana would send them with everything chosen. */
function dashboardQueries(): Query[] {
  const dashboard = JSON.parse(read("grafana/toom.json")) as Dashboard;
  const queries = dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({ where: title, expr }))
  );
  for (const { expr } of dashboard.annotations.list) queries.push({ where: "annotation", expr });
  return queries.map(({ where, expr }) => ({
    where,
    expr: expr.replace(/\$(instance|uid)\b/g, ".*").replaceAll("$__rate_interval", "1m"),
  }));
}

function ruleQueries(): Query[] {
  return [...read("prometheus/toom.rules.yml").matchAll(/- alert: (\w+)\n\s+expr: (.*)\n/g)]
    .map(([, where, expr]) => ({ where: where!, expr: expr! }));
}

function fleetStatus(machine: number): StatusReport {
  return {
    ...FAKE_STATUS,
    users: Array.from({ length: USERS }, (_, index) => ({
      ...FAKE_STATUS.users[0]!,
      uid: 60_000 + index,
      user: `user${index}`,
      usagePages: 1000 * (machine + index),
      growthPagesPerSecond: index,
    })),
    near: { isNear: true, seconds: 12.3, looks: 4, lookMs: 2, refusals: 0 },
    shed: { reports: 1, orders: 2, logLines: 3, userChanges: 4 },
    history: { path: "/x", written: 5, pending: 6, missed: 7, failures: 8 },
    journal: [{ name: "log", taken: 9, missed: 1, failed: 0, queued: 0 }],
  };
}

/** A daemon's metrics, whose counters go up. */
function makeMetrics(machine: number): { readonly metrics: Metrics; readonly kill: () => void } {
  const kills = new KillCounts();
  let count = 0;
  const status = fleetStatus(machine);
  const metrics = new Metrics({
    status: () => ({
      ...status,
      events: { ...status.events, total: status.events.total + count * 100 },
      users: status.users.map((user) => ({ ...user, kills: user.kills + count })),
    }),
    kills,
    cost: () => ({ cpuSeconds: count, startSeconds: 1, openFds: 9 }),
    denoVersion: "2.9.6",
    nowMs: () => performance.now(),
  });
  const kill = (): void => {
    count++;
    kills.take(killEntry(count));
    kills.take(endEntry(count));
  };
  return { metrics, kill };
}

/** Names of samples that toom has; and `up`, which Prometheus makes. */
function knownNames(): Set<string> {
  const { metrics, kill } = makeMetrics(0);
  kill();
  const text = new TextDecoder().decode(metrics.render("prometheus"));
  const names = [...text.matchAll(/^([a-z_]+)[{ ]/gm)].map(([, name]) => name!);
  return new Set(["up", ...names]);
}

/** Names of metrics in an expression: words that are no functions, labels or texts. */
function namesIn(expr: string): string[] {
  const bare = expr.replace(/"[^"]*"/g, '""').replace(/\{[^}]*\}/g, "{}").replace(/\[[^\]]*\]/g, "")
    .replace(/\b(by|on|group_left|without)\s*\([^)]*\)/g, "");
  return [...bare.matchAll(/\b([a-z][a-z_]*)\b(?!\s*\()/g)].map(([, name]) => name!)
    .filter((name) => !["by", "on", "group_left", "and", "or"].includes(name));
}

Deno.test("each query of dashboard and rules names metrics that toom has", () => {
  const known = knownNames();
  const queries = [...dashboardQueries(), ...ruleQueries()];
  assert(queries.length > 40, `${queries.length} queries`);
  const unknown = queries.flatMap(({ where, expr }) => {
    const names = namesIn(expr);
    assert(names.length > 0, expr);
    return names.filter((name) => !known.has(name)).map((name) => `${where}: ${name}`);
  });
  assertEquals(unknown, []);
  assertEquals(namesIn('sum by (a) (rate(toom_gone_total{x="toom_y"}[5m])) > 0'), [
    "toom_gone_total",
  ]);
});

Deno.test("each alert has a name, a severity and a summary", () => {
  const rules = read("prometheus/toom.rules.yml").split("- alert: ").slice(1);
  assertEquals(rules.length, ruleQueries().length);
  for (const rule of rules) {
    assert(/severity: (critical|warning|info)\n/.test(rule), rule);
    assert(/summary: ".{20,}"/.test(rule), rule);
  }
});

Deno.test(
  needing(PROMTOOL !== undefined, "promtool", "promtool takes the rules and the configuration"),
  async () => {
    const cwd = new URL("prometheus/", DEPLOY).pathname;
    for (
      const [what, file] of [["rules", "toom.rules.yml"], ["config", "prometheus.yml"]] as const
    ) {
      const { code, stdout, stderr } = await new Deno.Command(PROMTOOL!, {
        args: ["check", what, file],
        cwd,
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertEquals(code, 0, said);
    }
  },
);

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly unknown[]; readonly groups?: readonly unknown[] };
}

Deno.test(
  needing(
    PROMETHEUS !== undefined,
    "prometheus",
    "a real Prometheus scrapes a fleet and answers each query",
  ),
  async () => {
    const dir = await Deno.makeTempDir();
    const daemons = Array.from({ length: MACHINES }, (_, machine) => {
      const { metrics, kill } = makeMetrics(machine);
      const server = new MetricsServer(
        { hostname: "127.0.0.1", port: 0 },
        (format) => metrics.render(format),
      );
      return { server, kill };
    });
    const port = freePort();
    await Deno.writeTextFile(
      `${dir}/prometheus.yml`,
      JSON.stringify({
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        scrape_configs: [{
          job_name: "toom",
          static_configs: [{ targets: daemons.map(({ server }) => `127.0.0.1:${server.port}`) }],
        }],
        rule_files: [new URL("prometheus/toom.rules.yml", DEPLOY).pathname],
      }),
    );
    const child = new Deno.Command(PROMETHEUS!, {
      args: [
        `--config.file=${dir}/prometheus.yml`,
        `--storage.tsdb.path=${dir}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=error",
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const killing = setInterval(() => daemons.forEach(({ kill }) => kill()), 200);
    const ask = async (path: string, query = ""): Promise<Answer> => {
      const url = new URL(`http://127.0.0.1:${port}/api/v1/${path}`);
      if (query !== "") url.searchParams.set("query", query);
      const answer = await fetch(url);
      return await answer.json();
    };
    try {
      const deadlineMs = performance.now() + SCRAPES_MS_MAX;
      for (let scraped = 0; scraped < MACHINES;) {
        assert(performance.now() < deadlineMs, "the fleet is not scraped");
        await new Promise((resolve) => setTimeout(resolve, 500));
        const seen = await ask("query", "count(count_over_time(toom_build_info[1m]) > 2)")
          .catch(() => undefined);
        const [row] = (seen?.data.result ?? []) as { value: [number, string] }[];
        scraped = Number(row?.value[1] ?? 0);
      }
      const users = await ask("query", "count(toom_user_info)");
      assertEquals(
        (users.data.result[0] as { value: string[] }).value[1],
        String(MACHINES * USERS),
      );
      const fleet = await new FleetClient(new URL(`http://127.0.0.1:${port}`)).users();
      assertEquals(
        [fleet.length, fleet[0]!.machines.length],
        [USERS, MACHINES],
        "toom top --prometheus sees each user on each machine",
      );
      for (const { where, expr } of dashboardQueries()) {
        const { status, error, data } = await ask("query", expr);
        assertEquals([status, error], ["success", undefined], `${where}: ${expr}`);
        assert(data.result.length > 0, `${where} shows nothing: ${expr}`);
      }
      for (const { where, expr } of ruleQueries()) {
        const { status, error } = await ask("query", expr);
        assertEquals([status, error], ["success", undefined], `${where}: ${expr}`);
      }
      const { data } = await ask("rules");
      const groups = data.groups as { rules: { health: string; lastError?: string }[] }[];
      const rules = groups.flatMap((group) => group.rules);
      assertEquals(rules.length, ruleQueries().length);
      assertEquals(rules.filter(({ lastError }) => (lastError ?? "") !== ""), []);
    } finally {
      clearInterval(killing);
      child.kill("SIGKILL");
      await child.status;
      await Promise.all(daemons.map(({ server }) => server.close()));
      await Deno.remove(dir, { recursive: true });
    }
  },
);

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
