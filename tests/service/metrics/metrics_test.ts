/** The metrics: what they say, that Prometheus reads them, and how long they take. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { StatusReport } from "../../../service/control/control_api.ts";
import { ByteText } from "../../../service/metrics/byte_text.ts";
import {
  Exposition,
  type ExpositionFormat,
  formatFor,
  Histogram,
  labelsText,
} from "../../../service/metrics/exposition.ts";
import { KillCounts } from "../../../service/metrics/kill_counts.ts";
import { Metrics } from "../../../service/metrics/metrics.ts";
import { FAKE_STATUS } from "../../_support/fake_control.ts";
import { endEntry, killEntry } from "../../_support/kill_entries.ts";
import { samplesOf } from "../../_support/metric_samples.ts";
import { hasFile, needing } from "../../_support/real_kernel.ts";

const PROMTOOL = ["/usr/bin/promtool", "/usr/local/bin/promtool"].find(hasFile);
const HOSTILE = 'x"} 1\ntoom_fake 7\\\u001b[2J\u202e';
const COST = { cpuSeconds: 1.25, startSeconds: 1_790_000_000.5, openFds: 40 };

interface Made {
  readonly metrics: Metrics;
  readonly kills: KillCounts;
  readonly clock: { ms: number };
  /** How often the status was asked for. */
  readonly asked: { count: number };
}

function make(report: StatusReport, renderMs = 0): Made {
  const kills = new KillCounts();
  const clock = { ms: 0 };
  const asked = { count: 0 };
  const metrics = new Metrics({
    status: () => {
      asked.count++;
      clock.ms += renderMs;
      return report;
    },
    kills,
    cost: () => COST,
    denoVersion: "2.9.6",
    nowMs: () => clock.ms,
  });
  return { metrics, kills, clock, asked };
}

const FULL: StatusReport = {
  ...FAKE_STATUS,
  users: [{ ...FAKE_STATUS.users[0]!, user: "anna", inDoubt: true }],
  near: { isNear: true, seconds: 12.3, looks: 4, lookMs: 2, refusals: 0 },
  shed: { reports: 1, orders: 2, logLines: 3, userChanges: 4 },
  history: { path: "/x", written: 5, pending: 6, missed: 7, failures: 8 },
  journal: [{ name: "log", taken: 9, missed: 1, failed: 0, queued: 0 }],
  restarts: { total: 2, reason: null },
};

const MANY: StatusReport = {
  ...FULL,
  users: Array.from({ length: 10_000 }, (_, index) => ({
    ...FULL.users[0]!,
    uid: 60_000 + index,
    user: `user${index}`,
    usagePages: index * 17,
    peakPages: index * 31,
    growthPagesPerSecond: index % 7 / 10,
  })),
};

function render(made: Made, format: ExpositionFormat = "prometheus"): string {
  return new TextDecoder().decode(made.metrics.render(format));
}

Deno.test("metrics have the numbers of the status, in base units", () => {
  const made = make(FULL);
  made.kills.take(killEntry(1));
  made.kills.take(endEntry(1));
  const samples = samplesOf(render(made));
  const expected = {
    'toom_build_info{version="0.1.0",deno="2.9.6",source="raw"}': 1,
    'toom_user_info{uid="60001",user="anna"}': 1,
    'toom_user_memory_bytes{uid="60001",type="charged"}': 8192 * 4096,
    'toom_user_memory_bytes{uid="60001",type="counted"}': 9216 * 4096,
    'toom_user_memory_bytes{uid="60001",type="promised"}': 256 * 4096,
    'toom_user_memory_bytes{uid="60001",type="peak"}': 16000 * 4096,
    'toom_user_limit_bytes{uid="60001",kind="hard"}': 16384 * 4096,
    'toom_user_limit_bytes{uid="60001",kind="soft"}': 14745 * 4096,
    'toom_user_growth_bytes_per_second{uid="60001"}': 256 * 4096,
    'toom_user_near{uid="60001"}': 1,
    'toom_user_in_doubt{uid="60001"}': 1,
    'toom_user_kills_total{uid="60001"}': 1,
    'toom_kills_total{trigger="user",policy="largest"}': 1,
    'toom_kills_total{trigger="kernel",policy="growing"}': 0,
    'toom_kill_latency_seconds_bucket{le="0.00002"}': 0,
    'toom_kill_latency_seconds_bucket{le="0.00005"}': 1,
    "toom_kill_latency_seconds_sum": 0.000042,
    'toom_kill_overshoot_bytes_bucket{le="16384.0"}': 1,
    "toom_freed_bytes_total": 16_384_000,
    'toom_journal_entries_total{event="kill"}': 1,
    "toom_events_total": 123456,
    "toom_drift_bytes_total": 5 * 4096,
    "toom_share_measuring_seconds_total": 0.745,
    "toom_near": 1,
    'toom_shed_total{kind="user_changes"}': 4,
    "toom_history_missed_total": 7,
    'toom_journal_missed_total{subscriber="log"}': 1,
    'toom_worker_heartbeat_age_seconds{role="reader0"}': 0.0125,
    'toom_worker_cpu_seconds_total{role="reader0"}': 1.23,
    'toom_tmalloc_connections_broken_total{reason="short"}': 2,
    "toom_restarts_total": 2,
    "toom_books_degraded": 0,
    "process_resident_memory_bytes": 80 * 2 ** 20,
    "process_cpu_seconds_total": 1.25,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertEquals(samples.get(name), value, name);
  }
});

Deno.test("a family is told of once, and its samples stand together", () => {
  for (const format of ["prometheus", "openmetrics"] as const) {
    const families: string[] = [];
    let family = "";
    for (const line of render(make(FULL), format).trimEnd().split("\n")) {
      const head = /^# TYPE (\S+) (\S+)$/.exec(line);
      if (head !== null) {
        family = head[1]!;
        families.push(family);
      } else if (!line.startsWith("#")) {
        const name = /^[a-z_]+/.exec(line)![0];
        const ends = ["", "_total", "_info", "_bucket", "_sum", "_count"];
        assert(ends.some((end) => name === family + end), `${line} in ${family}`);
      }
    }
    assertEquals(new Set(families).size, families.length);
  }
});

Deno.test("OpenMetrics: counters are named without _total, and the end is told", () => {
  const text = render(make(FULL), "openmetrics");
  assertMatch(text, /# TYPE toom_events counter\ntoom_events_total 123456\n/);
  assertMatch(text, /# TYPE toom_build info\ntoom_build_info\{/);
  assert(text.endsWith("\n# EOF\n"));
  assertMatch(render(make(FULL)), /# TYPE toom_build_info gauge\n/);
  const accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
  assertEquals([formatFor(accept), formatFor(null), formatFor("text/plain")], [
    "openmetrics",
    "prometheus",
    "prometheus",
  ]);
});

Deno.test("a hostile name is one label of one line", () => {
  const text = render(make({ ...FULL, users: [{ ...FULL.users[0]!, user: HOSTILE }] }));
  const lines = text.split("\n").filter((line) => line.startsWith("toom_user_info"));
  assertEquals(lines.length, 1);
  assertMatch(lines[0]!, /^toom_user_info\{uid="60001",user="x\\"\} 1(\\\\u000a).*"\} 1$/);
  assert(!text.includes("\ntoom_fake"));
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u0009\u000b-\u001f\u202e]/.test(text));
  assertEquals(labelsText({ a: "b c", d: 'e"\\' }), '{a="b c",d="e\\"\\\\"}');
});

Deno.test("a histogram counts up to and including its bounds", () => {
  const histogram = new Histogram([1, 2.5]);
  for (const value of [0, 1, 2, 2.5, 3, 100]) histogram.observe(value);
  const out = new Exposition("prometheus");
  out.histogram("h", "Help", histogram);
  assertEquals(
    new TextDecoder().decode(out.end()),
    '# HELP h Help\n# TYPE h histogram\nh_bucket{le="1.0"} 2\nh_bucket{le="2.5"} 4\n' +
      'h_bucket{le="+Inf"} 6\nh_sum 108.5\nh_count 6\n',
  );
});

Deno.test("numbers are written as the platform writes them", () => {
  const values = [
    0,
    1,
    9,
    10,
    99,
    100,
    -1,
    -4096,
    2147483647,
    2147483648,
    4294967296,
    999999999999999,
  ];
  values.push(1e15, 2 ** 53, 0.5, -0.25, 1e-7, 123456.789);
  for (let power = 0; power < 15; power++) {
    values.push(10 ** power, 10 ** power - 1, 7 * 10 ** power + 3);
  }
  for (const value of values) {
    const text = new ByteText();
    text.number(value);
    assertEquals(new TextDecoder().decode(text.take()), String(value));
  }
});

Deno.test("who asks over and over for much gets the same text for ten times as long as it took", () => {
  const made = make(MANY, 20);
  render(made);
  made.clock.ms += 199;
  render(made);
  assertEquals(made.asked.count, 1);
  made.clock.ms += 2;
  render(made);
  assertEquals(made.asked.count, 2);
  const small = make(FULL, 20);
  render(small);
  render(small);
  assertEquals(small.asked.count, 2, "what is small is always of now");
});

Deno.test("ten thousand users are all told of", () => {
  const samples = samplesOf(render(make(MANY)));
  const told = [...samples.keys()].filter((name) => name.startsWith("toom_user_info{"));
  assertEquals(told.length, MANY.users.length);
  const charged = samples.get('toom_user_memory_bytes{uid="69999",type="charged"}');
  assertEquals(charged, 9999 * 17 * 4096);
});

Deno.test(
  needing(PROMTOOL !== undefined, "promtool", "promtool finds nothing wrong with them"),
  async () => {
    for (const report of [FULL, { ...MANY, users: MANY.users.slice(0, 100) }]) {
      const hostile = {
        ...report,
        users: [...report.users, { ...FULL.users[0]!, uid: 1, user: HOSTILE }],
      };
      const child = new Deno.Command(PROMTOOL!, {
        args: ["check", "metrics"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(make(hostile).metrics.render("prometheus"));
      await writer.close();
      const { code, stderr, stdout } = await child.output();
      const said = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
      assertEquals([code, said], [0, ""]);
    }
  },
);
