/** Pages and processes of a user that go already, and what remains over without them. */
import { assertEquals } from "@std/assert";
import { Dying } from "../../../pipeline/kill/dying.ts";
import { HeaderWord, ProcessState, VictimState } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory, type Memory } from "../../../pipeline/memory/memory.ts";
import { SMALL } from "../../_support/desk.ts";

const USER = 2;
const PROCESS = 5;
const HARD_PAGES = 1000;

/** One user, and a victim of its in row 0, which has so many pages. */
function withVictim(usagePages: number, victimPages: number): Memory {
  const memory = attachMemory(createMemory(SMALL));
  const { users, processes, victims, header } = memory;
  users.usagePages[USER] = usagePages;
  users.hardPages[USER] = HARD_PAGES;
  processes.state[PROCESS] = ProcessState.alive;
  processes.pages[PROCESS] = victimPages;
  victims.state[0] = VictimState.dying;
  victims.userSlot[0] = USER;
  victims.processSlot[0] = PROCESS;
  header[HeaderWord.victimsDying] = header[HeaderWord.victimsEnd] = 1;
  return memory;
}

Deno.test("what the dying have does not count as over", () => {
  const memory = withVictim(1500, 400);
  const dying = new Dying(memory);
  assertEquals([dying.pages(USER), dying.overPages(USER), dying.isEnough(USER)], [400, 100, false]);
  memory.processes.pages[PROCESS] = 500;
  assertEquals([dying.overPages(USER), dying.isEnough(USER)], [0, true]);
  memory.header[HeaderWord.victimsDying] = 0;
  assertEquals([dying.pages(USER), dying.isEnough(USER)], [0, false]);
});

Deno.test("nor do the dying of who had the user's row before", () => {
  const memory = withVictim(1500, 500);
  memory.users.generation[USER]!++;
  assertEquals(new Dying(memory).overPages(USER), 500);
});

Deno.test("a user with too many processes is over until as many go, with those that share their mms", () => {
  const memory = withVictim(100, 0);
  const { users, victims, header } = memory;
  const dying = new Dying(memory);
  users.excessProcesses[USER] = 3;
  victims.sharers[0] = 1;
  assertEquals(dying.overPages(USER), 1, "two go");
  victims.sharers[0] = 2;
  assertEquals(dying.overPages(USER), 100 - HARD_PAGES, "three go");
  users.generation[USER]!++;
  assertEquals(dying.overPages(USER), 1, "but they are another user's");
  header[HeaderWord.victimsDying] = 0;
  assertEquals(dying.overPages(USER), 1);
});
