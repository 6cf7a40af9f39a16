/**
 * RESULTS.md: what was measured, on what, and what the original said of it.
 *
 * @module
 */
import { markdownTable } from "../support/numbers.ts";
import { HEADROOM_MIB, LIMIT_MIB } from "./killers.ts";
import type { KillSeries } from "./kills.ts";
import { machineLine } from "./machine.ts";
import type { ExperimentName, ExperimentResults, Outcome, Results } from "./results.ts";
import { highestLossless } from "./scale.ts";
import { pretty, type Summary } from "./stats.ts";

const HEADINGS: Readonly<Record<ExperimentName, string>> = {
  allocation: "Memory allocation speed",
  kills: "Kill latency and overshoot",
  breakdown: "Where the time of a kill goes",
  scale: "Scale",
  rest: "At rest",
  steady: "Garbage collections",
  tmalloc: "tmalloc",
};

const PLOTS: Readonly<Record<ExperimentName, readonly string[]>> = {
  allocation: ["allocation"],
  kills: ["kill-latency", "kill-overshoot", "kill-scenarios"],
  breakdown: ["breakdown"],
  scale: ["cost", "cpu", "loss"],
  rest: ["rest"],
  steady: [],
  tmalloc: [],
};

/** @param plots Names of the pictures that there are. */
export function report(results: Results, plots: readonly string[]): string {
  const { machine, experiments } = results;
  const programs = Object.entries(machine.programs).map(([name, version]) =>
    `- ${name}: ${version}`
  );
  const parts = [
    "# Measured",
    "Made by `deno task bench:system`; the numbers are in [results.json](results.json).",
    `On a ${machineLine(machine)}.`,
    programs.join("\n"),
    "All that is compared was measured in one run, in turns. p10, p90 and p99 are nearest ranks. " +
    "“The original” is Alex Chi's Trivial OOM Killer, whose measurements this repeats.",
  ];
  for (const [name, heading] of Object.entries(HEADINGS) as [ExperimentName, string][]) {
    const outcome = experiments[name];
    parts.push(`## ${heading}`);
    if (outcome === undefined) {
      parts.push("Not measured.");
      continue;
    }
    parts.push(
      `${outcome.date.slice(0, 10)}, ${outcome.mode} run, ${pretty(outcome.seconds)} s.`,
    );
    if (outcome.skipped !== undefined) {
      parts.push(`Skipped: ${outcome.skipped}.`);
      continue;
    }
    for (const plot of PLOTS[name]) {
      if (plots.includes(plot)) parts.push(`![${heading}: ${plot}](plots/${plot}.svg)`);
    }
    parts.push(...section(name, outcome));
  }
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

type Section<Name extends ExperimentName> = (result: ExperimentResults[Name]) => string[];

const SECTIONS: { readonly [Name in ExperimentName]: Section<Name> } = {
  allocation: allocationSection,
  kills: killsSection,
  breakdown: breakdownSection,
  scale: scaleSection,
  rest: restSection,
  steady: steadySection,
  tmalloc: tmallocSection,
};

function section(
  name: ExperimentName,
  outcome: Outcome<ExperimentResults[ExperimentName]>,
): string[] {
  return (SECTIONS[name] as (result: unknown) => string[])(outcome.result);
}

function allocationSection(result: ExperimentResults["allocation"]): string[] {
  const { states, trivial } = result;
  const rows = states.map(({ label, nsPerPage, ratio, claim, eventsPerPage }) => [
    label,
    pretty(nsPerPage.median),
    `${pretty(nsPerPage.p10)} to ${pretty(nsPerPage.p90)}`,
    `${ratio.median.toFixed(2)} ×`,
    `${ratio.p10.toFixed(2)} to ${ratio.p90.toFixed(2)}`,
    claim ?? "",
    eventsPerPage === undefined ? "" : eventsPerPage.toFixed(3),
  ]);
  const off = states.find(({ name }) => name === "off");
  const sync = off === undefined ? NaN : trivial.sumUs * 1000 / off.nsPerPage.median + 1;
  return [
    markdownTable(
      ["state", "ns a page", "p10 to p90", "ratio to off", "p10 to p90", "original", "events/page"],
      rows,
    ),
    `A C program touches ${result.areaPages} pages of 4 KiB that are new, ${result.areas} times in ` +
    `each of ${result.rounds} rounds; ratios are of the same round. “Tracing alone” is the ` +
    "tracepoint switched on for that process with nobody who reads: what any reader of this event " +
    "must pay.",
    `The trivial approach looks at all processes for each event, ${pretty(trivial.sumUs)} µs a ` +
    `look. From user space that keeps nobody waiting, and it got to look for ${
      pretty(trivial.eventsChecked * 100)
    } % of the pages only. Were the page to wait for the look, as in the original, a page would ` +
    `cost ${pretty(sync)} times as much.`,
    ...result.skipped.map((why) => `Left out: ${why}.`),
  ];
}

function killsSection(result: ExperimentResults["kills"]): string[] {
  const parts = [
    `${result.blocks} blocks of ${result.killsPerBlock} kills for each killer, which is started ` +
    "anew for each block. Time runs from just before the page that crosses the line, by the " +
    "hog's own clock: *stop* to the last page it touched, *death* to `waitpid(2)` in its parent " +
    "(SCHED_FIFO), when all of its memory is back. *Past the line* is what all hogs had begun to " +
    "touch until then. *toom's log* is `latencyUs`, from the event's time stamp to the return of " +
    "the signal call.",
    `toom, the trivial approach and the /proc pollers watch one user with a limit of ${LIMIT_MIB} ` +
    "MiB; the pollers are C programs that sum up anon, shmem and swap of the user's processes and " +
    "kill the largest. earlyoom and nohang watch the machine's available memory with a threshold " +
    `${HEADROOM_MIB} MiB below what was available, sleeping as they do by default.`,
  ];
  for (const { name, label } of result.scenarios) {
    const series = result.series.filter((one) => one.scenario === name);
    if (series.length === 0) continue;
    parts.push(`### ${label[0]!.toUpperCase()}${label.slice(1)}`, killTable(series));
  }
  const find = (killer: string): KillSeries | undefined =>
    result.series.find((one) => one.scenario === "full-speed" && one.killer === killer);
  const raw = find("toom-raw");
  const timer = find("poll-10");
  if (raw?.stopUs !== undefined && timer?.stopUs !== undefined) {
    const spread = ({ p10, p90 }: Summary): number => p90 - p10;
    parts.push(
      "The original claims a kill 3 times as quick as with a timer, and less spread. Here toom " +
        `(raw) stops a hog at full speed ${
          pretty(timer.stopUs.median / raw.stopUs.median)
        } times ` +
        `as quickly as a timer of 10 ms, with a ${
          pretty(spread(timer.stopUs) / spread(raw.stopUs))
        }th of the spread (p90 - p10).`,
    );
  }
  if (raw?.firstLogLatencyUs !== undefined && raw.logLatencyUs !== undefined) {
    const { max, median } = raw.firstLogLatencyUs;
    parts.push(
      `The first kill after a start of toom (raw): ${pretty(median)} µs in the median, ${
        pretty(max)
      } µs at most; that is ${pretty(median / raw.logLatencyUs.median)} and ${
        pretty(max / raw.logLatencyUs.median)
      } times the median of all.`,
    );
  }
  parts.push(...result.skipped.map((why) => `Left out: ${why}.`));
  return parts;
}

function killTable(series: readonly KillSeries[]): string {
  const ms = (us: number | undefined): string => us === undefined ? "" : pretty(us / 1000);
  const mib = (kib: number | undefined): string => kib === undefined ? "" : pretty(kib / 1024);
  const us = (value: number | undefined): string => value === undefined ? "" : pretty(value);
  return markdownTable(
    [
      "killer",
      "kills",
      "stop ms: median",
      "p90",
      "p99",
      "death ms: median",
      "past the line MiB: median",
      "p90",
      "p99",
      "toom's log µs: median",
      "p99",
      "first",
    ],
    series.map((one) => [
      one.label,
      `${one.kills}${one.early > 0 ? `, ${one.early} early` : ""}${
        one.survived > 0 ? `, ${one.survived} survived` : ""
      }`,
      ms(one.stopUs?.median),
      ms(one.stopUs?.p90),
      ms(one.stopUs?.p99),
      ms(one.deathUs?.median),
      mib(one.overKib?.median),
      mib(one.overKib?.p90),
      mib(one.overKib?.p99),
      us(one.logLatencyUs?.median),
      us(one.logLatencyUs?.p99),
      us(one.firstLogLatencyUs?.median),
    ]),
  );
}

function breakdownSection(result: ExperimentResults["breakdown"]): string[] {
  return [
    markdownTable(
      ["step", "median µs", "p10", "p90", "max"],
      result.stages.map(({ label, us }) => [
        label,
        ...[us.median, us.p10, us.p90, us.max].map(pretty),
      ]),
    ),
    `toom raw, ${result.kills} kills of one hog at full speed, followed through the kernel's own ` +
    "events (sched_switch, signal_generate, sched_process_exit) in another instance, which adds a " +
    `little to each step. From the page to the signal: ${
      pretty(result.signalUs.median)
    } µs in the median, ${pretty(result.signalUs.p90)} µs for 90 %.`,
  ];
}

function scaleSection({ cost, cpu, loss }: ExperimentResults["scale"]): string[] {
  const workers = [...new Set(cpu.flatMap((one) => Object.keys(one.secondsPerMillion)))].sort();
  const places = [...new Map(loss.map((one) => [`${one.source} ${one.bufferKib}`, one])).values()];
  return [
    "### Cost of an event",
    markdownTable(
      ["processes", "users", "ns an event", "p10 to p90", "ratio to the first"],
      cost.map(({ processes, users, nsPerEvent, ratio }) => [
        pretty(processes),
        pretty(users),
        pretty(nsPerEvent.median),
        `${pretty(nsPerEvent.p10)} to ${pretty(nsPerEvent.p90)}`,
        ratio.toFixed(2),
      ]),
    ),
    "### CPU of each worker",
    markdownTable(
      ["source", "events", "lost", ...workers.map((worker) => `${worker}: s a million`)],
      cpu.map(({ source, events, lost, secondsPerMillion }) => [
        source,
        pretty(events),
        pretty(lost),
        ...workers.map((worker) => pretty(secondsPerMillion[worker] ?? 0)),
      ]),
    ),
    "One limited process at full speed. While events come one by one, most of this is sleeping and " +
    "waking up: the same events in batches cost a tenth and less.",
    "### Highest rate without a loss",
    markdownTable(
      [
        "source",
        "kernel buffer KiB a CPU",
        "events a second without a loss",
        "first rate with one",
      ],
      places.map(({ source, bufferKib }) => {
        const best = highestLossless(loss, source, bufferKib);
        const worst = loss.find((one) =>
          one.source === source && one.bufferKib === bufferKib && one.lost > 0
        );
        return [
          source,
          pretty(bufferKib),
          best === undefined ? "none" : pretty(best.eventsPerSecond),
          worst === undefined
            ? "none: two processes make no more"
            : `${pretty(worst.eventsPerSecond)} (${pretty(worst.lost)} lost)`,
        ];
      }),
    ),
  ];
}

function restSection({ points, skipped }: ExperimentResults["rest"]): string[] {
  return [
    markdownTable(
      [
        "source",
        "processes",
        "users",
        "CPU, all threads",
        "threads",
        "a look, ms",
        "looks a second",
      ],
      points.map((point) => [
        point.source,
        pretty(point.processes),
        pretty(point.users),
        percent(point.cpuShare),
        Object.entries(point.threads).map(([name, share]) => `${name} ${percent(share)}`).join(
          ", ",
        ),
        point.lookUs === undefined ? "" : pretty(point.lookUs / 1000),
        point.looksPerSecond === undefined ? "" : pretty(point.looksPerSecond),
      ]),
    ),
    "All processes sleep, and their users are far from their limits of 1 TiB. CPU is part of one, " +
    `over ${pretty(points[0]?.seconds ?? 0)} s. With bpf no program runs at a page meanwhile.`,
    ...skipped.map((why) => `Left out: ${why}.`),
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

function steadySection(result: ExperimentResults["steady"]): string[] {
  const workers = result.workerCollections;
  const total = workers.reduce((sum, count) => sum + count, 0);
  return [
    `${pretty(result.events)} events in ${pretty(result.seconds)} s, ${
      pretty(result.lost)
    } lost, ` +
    "with V8's `--trace-gc`. Collections meanwhile: " +
    `${result.mainCollections} on the main thread, ${total} in all workers together` +
    (workers.length === 0
      ? "."
      : ` (by heap: ${workers.join(", ")}). V8 does not say which worker a heap belongs to; ` +
        "sweeper and coordinator are among them."),
  ];
}

function tmallocSection(result: ExperimentResults["tmalloc"]): string[] {
  const { trips, allocators, wholes } = result;
  return [
    markdownTable(
      ["clients", "waits by", "round trip µs: median", "p99", "max", "a second, all", "refused"],
      trips.map((one) => [
        String(one.clients),
        one.looks > 0 ? "looking, then sleep" : "sleep",
        pretty(one.medianNs / 1000),
        pretty(one.p99Ns / 1000),
        pretty(one.maxNs / 1000),
        pretty(one.perSecond),
        pretty(one.refused),
      ]),
    ),
    "Each client is a process that asks for a page and gives it back, over and over, by the " +
    "protocol alone, without a lease. The library looks for its answer some times before it sleeps.",
    markdownTable(
      ["allocator", "64 bytes and back, ns", "a page in blocks of 8 KiB, touched and back, ns"],
      allocators.map(({ name, pairNs, pageNs }) => [name, pretty(pairNs), pretty(pageNs)]),
    ),
    "In one process of a limited user. tmalloc gives pages back to the kernel and takes them anew, " +
    "where malloc keeps them; from the lease, nobody is asked.",
    markdownTable(
      ["`benchmark 4 400000000 1`", "seconds: median", "fastest", "slowest"],
      wholes.map(({ name, seconds }) => [
        name,
        pretty(seconds[seconds.length >> 1]!),
        pretty(seconds[0]!),
        pretty(seconds.at(-1)!),
      ]),
    ),
    "The original's benchmark where the memory is there: nobody is refused, nobody is killed.",
  ];
}
