import { assertEquals, assertThrows } from "@std/assert";
import { ProcessFlag } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";
import { checkFlags, flagsProblem } from "../../_support/process_flags.ts";

const {
  borrower,
  unresolved,
  heir,
  hasHeirs,
  hasExeced,
  lends,
  overflow,
  forkUnseen,
  mayInherit,
} = ProcessFlag;

Deno.test("flags of a process row that exclude each other are found", () => {
  const wrong = [
    borrower | hasExeced,
    borrower | forkUnseen | lends,
    unresolved | heir,
    unresolved | forkUnseen,
    overflow | lends,
    hasHeirs | lends,
    hasHeirs | heir,
    mayInherit | borrower,
    mayInherit | hasExeced | lends,
  ];
  for (const flags of wrong) assertEquals(typeof flagsProblem(flags), "string", String(flags));
});

Deno.test("flags of a process row that occur together are right", () => {
  const right = [
    0,
    borrower,
    unresolved | borrower,
    unresolved | hasExeced | hasHeirs | lends,
    heir | borrower | hasHeirs | lends,
    heir | forkUnseen,
    hasExeced | forkUnseen | lends,
    mayInherit | lends,
    overflow,
  ];
  for (const flags of right) assertEquals(flagsProblem(flags), undefined, String(flags));
});

Deno.test("checkFlags() names the process", () => {
  const desk = new Desk().proc(10, 1000, { anon: 5 }).step();
  desk.books.processes.flags[desk.books.findProcess(10)] = borrower | hasExeced;
  assertThrows(() => checkFlags(desk.books), Error, "process 10: flags borrower and hasExeced");
});
