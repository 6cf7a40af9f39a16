/** What recordings hold of processes is bounded, and nobody's texts leave no room for others'. */
import { assert, assertEquals } from "@std/assert";
import { FACT_TEXT_CHARACTERS_MAX, type ProcessFact } from "../../../pipeline/recording/format.ts";
import { ProcessFacts } from "../../../workers/process_facts.ts";
import { Desk } from "../../_support/desk.ts";
import { FakeFacts, type FakeProcess } from "../../_support/fake_facts.ts";

const ANN = 1000;
const BOB = 1001;

class Stage {
  readonly desk = new Desk({ capacity: { processes: 2048, tasks: 2048, mms: 2048 } });
  readonly source = new FakeFacts();
  nowNs = 1e9;
  readonly facts = new ProcessFacts(this.desk.memory, () => this.nowNs += 1000, this.source);

  add(pid: number, uid: number, process: FakeProcess): void {
    this.source.processes.set(pid, { oomScoreAdj: 0, ...process });
    this.desk.proc(pid, uid, { anon: 1 }).step();
  }

  /** @returns What was found in so many looks, by pid. */
  looks(count: number): Map<number, ProcessFact> {
    const found = new Map<number, ProcessFact>();
    for (; count > 0; count--) for (const fact of this.facts.look()) found.set(fact[0], fact);
    return found;
  }
}

Deno.test("what rules may ask for is read once, and again after an exec or when it has changed", () => {
  const stage = new Stage();
  const texts = {
    executable: "/bin/a",
    commandLine: "a --b",
    cgroup: "/user.slice",
    directory: "/home/ann",
    isSessionLeader: true,
  };
  stage.add(10, ANN, { command: "a", oomScoreAdj: 5, realUid: 7, ...texts });
  const [, tsNs, ...rest] = stage.looks(1).get(10)!;
  assert(tsNs > 1e9);
  assertEquals(rest, [5, "a", texts]);
  assertEquals(stage.looks(50), new Map());
  stage.source.processes.set(10, { command: "b", oomScoreAdj: 5, ...texts, executable: "/bin/b" });
  assertEquals(stage.looks(1).get(10)?.slice(3), ["b", { ...texts, executable: "/bin/b" }]);
  assertEquals(stage.facts.known().map(([pid]) => pid), [10]);
  // A member of a group with one limit.
  stage.add(11, 2 ** 31 + 5 | 0, { command: "c", realUid: 7 });
  assertEquals(stage.looks(1).get(11)?.[4]?.realUid, 7);
});

Deno.test("who has gone is skipped, and forgotten", () => {
  const stage = new Stage();
  stage.desk.proc(10, ANN, { anon: 1 }).step();
  assertEquals([stage.looks(5).size, stage.facts.known()], [0, []]);
});

Deno.test("long texts are cut, and one user's leave room for another's", () => {
  const stage = new Stage();
  const long = "\x01".repeat(10_000);
  const hostile = { executable: long, commandLine: long, cgroup: long, directory: long };
  for (let pid = 100; pid < 600; pid++) stage.add(pid, ANN, { command: "x", ...hostile });
  for (let pid = 2000; pid < 2050; pid++) {
    stage.add(pid, BOB, { command: "good", commandLine: "good --work" });
  }
  const found = stage.looks(20);
  assertEquals([...found.keys()].filter((pid) => pid >= 2000).length, 50, "all are found");
  assertEquals(found.get(100)?.[4]?.commandLine?.length, FACT_TEXT_CHARACTERS_MAX);
  stage.looks(3000);
  const known = stage.facts.known();
  assertEquals(known.length, 550);
  const charactersOf = (one: readonly ProcessFact[]): number => JSON.stringify(one).length / 6;
  assert(charactersOf(known) < 700 * 1024, `${charactersOf(known)}`);
  const bobs = known.filter(([pid]) => pid >= 2000);
  assert(bobs.every(([, , , comm, texts]) => comm === "good" && texts?.commandLine !== undefined));
  // In one look too.
  const [lookOfAnn] = [0, 1].map(() => stage.facts.look());
  assert(charactersOf(lookOfAnn!) < 40 * 1024);
});
