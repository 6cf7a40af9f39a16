/** The systemd unit, read as systemd reads it. systemd.exec(5), systemd.service(5) */
import { assert, assertEquals } from "@std/assert";
import { ExitCode } from "../cli/errors.ts";
import { FIRST_START_MS_MAX } from "../pipeline/memory/timing.ts";
import { CONTROL_SOCKET_DEFAULT, TMALLOC_SOCKET_DEFAULT } from "../service/config/defaults.ts";

/** The settings of the unit: the last of a name holds. */
function unitSettings(): Map<string, string> {
  const text = Deno.readTextFileSync(new URL("../deploy/toom.service", import.meta.url));
  const lines = text.split("\n").filter((line) => !line.startsWith("#") && line.includes("="));
  return new Map(lines.map((line) => {
    const equals = line.indexOf("=");
    return [line.slice(0, equals), line.slice(equals + 1)];
  }));
}

Deno.test("the unit's folder of sockets may be entered by everybody, and outlives a restart", () => {
  const unit = unitSettings();
  const folder = `/run/${unit.get("RuntimeDirectory")}/`;
  assert(TMALLOC_SOCKET_DEFAULT.startsWith(folder));
  assert(CONTROL_SOCKET_DEFAULT.startsWith(folder));
  const mode = parseInt(unit.get("RuntimeDirectoryMode") ?? "0755", 8);
  assertEquals(mode & 0o001, 0o001, "who may not enter it cannot ask");
  assertEquals(mode & 0o022, 0, "what lies in it is not to be replaced by others");
  assertEquals(unit.get("RuntimeDirectoryPreserve"), "yes", "the ledger lies there");
  assertEquals(parseInt(unit.get("StateDirectoryMode")!, 8), 0o700);
});

Deno.test("the unit tries again when another toom runs, and pauses before it does", async () => {
  const unit = unitSettings();
  assertEquals(unit.get("Restart"), "always");
  const givesUpOn = (unit.get("RestartPreventExitStatus") ?? "").split(" ").map(Number);
  assert(givesUpOn.includes(ExitCode.usage));
  assert(!givesUpOn.includes(ExitCode.unsupported), "another toom ends one day");
  // What systemd runs after each end of toom, with its exit status.
  const [, script] = /^-\/bin\/sh -c '(.*)'$/.exec(unit.get("ExecStopPost")!)!;
  const saysAfter = async (status: string): Promise<string> => {
    const { stdout } = await new Deno.Command("/bin/sh", {
      args: ["-c", script!.replaceAll("$$", "$").replace("sleep 4", "echo paused")],
      env: { EXIT_STATUS: status },
    }).output();
    return new TextDecoder().decode(stdout);
  };
  assert(script!.includes("sleep 4") && Number(unit.get("TimeoutStopSec")) > 4);
  assertEquals(await saysAfter(String(ExitCode.unsupported)), "paused\n");
  for (const status of ["0", "1", "KILL"]) assertEquals(await saysAfter(status), "", status);
});

Deno.test("toom gives its start up, and says why, before systemd does", () => {
  assert(FIRST_START_MS_MAX < Number(unitSettings().get("TimeoutStartSec")) * 1000);
});
