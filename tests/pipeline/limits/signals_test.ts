import { assertEquals, assertThrows } from "@std/assert";
import { parseSignal, signalName } from "../../../pipeline/limits/signals.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";

Deno.test("signals are read by name or number, and named as signal(7) does", () => {
  const pairs = [["SIGKILL", 9], ["SIGTERM", 15], ["SIGHUP", 1], ["SIGSYS", 31], ["SIGRTMIN", 34], [
    "SIGRTMIN+30",
    64,
  ]] as const;
  for (const [name, number] of pairs) {
    assertEquals(parseSignal(name), number);
    assertEquals(signalName(number), name);
  }
  for (const text of ["term", "Sigterm", " TERM ", "15"]) assertEquals(parseSignal(text), 15);
  for (let number = 1; number <= 64; number++) {
    assertEquals(parseSignal(signalName(number)), number);
  }
});

Deno.test("what is no signal is refused, with a guess", () => {
  for (const text of ["", "0", "65", "-9", "9.5", "SIG", "RTMIN+31", "kill -9"]) {
    assertThrows(() => parseSignal(text), FormatError, "expected a signal");
  }
  assertThrows(() => parseSignal("SIGTREM"), FormatError, 'did you mean "SIGTERM"?');
});
