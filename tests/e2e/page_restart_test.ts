/** The page and the daemon that has it served: it comes again after a start-over, and never outlives it. */
import { assert, assertEquals } from "@std/assert";
import { linkPath, readLink, tokenOf } from "../../cli/web/link.ts";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE } from "../_support/workload.ts";

const UID = 60_616;

/** A port that only root may take, and nobody has. */
function privilegedPort(): number {
  for (let port = 983; port > 900; port--) {
    try {
      Deno.listen({ port, hostname: "127.0.0.1" }).close();
      return port;
    } catch {
      // Somebody has it.
    }
  }
  throw new Error("no port below 984 is free");
}

/** How many limited users the page knows; undefined: it does not answer, or does not let in. */
async function usersOf(link: string): Promise<number | undefined> {
  try {
    const abort = new AbortController();
    const response = await fetch(`${new URL(link).origin}/api/live`, {
      headers: { authorization: `Bearer ${tokenOf(link)}` },
      signal: abort.signal,
    });
    if (!response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    let text = "";
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (text.includes("\n\n")) break;
    }
    abort.abort();
    const data = /^event: snapshot\n.*\ndata: (.*)\n/.exec(text)?.[1];
    return data === undefined ? undefined : JSON.parse(data).users.length;
  } catch {
    return undefined;
  }
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "the page comes again after a start-over, by the same link"),
  fn: async () => {
    const port = privilegedPort();
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      `--web=${port}`,
      "--debug-faults",
    ]);
    await toom.waitFor("config", ({ message }) => String(message).startsWith("page on "));
    const link = readLink(linkPath(toom.socketPath))!;
    const until = async (isThere: boolean, what: string): Promise<void> => {
      const deadlineMs = performance.now() + 20_000;
      while ((await usersOf(link) !== undefined) !== isThere) {
        assert(performance.now() < deadlineMs, `in vain: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    await until(true, "it is there");
    await toom.fault("killer", "hang");
    await toom.waitFor("restart", () => true, 20_000);
    await until(true, "it is there again");
    assertEquals(readLink(linkPath(toom.socketPath)), link, "links go on");
    // Nobody tells it: its standard input ends.
    Deno.kill(toom.pid, "SIGKILL");
    await until(false, "it has ended with toom");
  },
});
