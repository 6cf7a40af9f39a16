/**
 * Stops one thread of a process, by ptrace: it is alive, does nothing, and goes on later.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { hasFile } from "./real_kernel.ts";

/** Whether a thread can be stopped here, and what that needs. */
export const STOPPABLE = hasFile("/usr/bin/cc");
export const STOP_NEEDS = "a C compiler";

const SOURCE = new URL("./stop_thread.c", import.meta.url).pathname;
let program: Promise<string> | undefined;

/** A thread that stands still. */
export interface StoppedThread {
  /** When it goes on; `gone` if it has ended meanwhile. */
  readonly end: Promise<"released" | "gone">;
}

/** Number of the thread of a name in a process. */
export function threadOf(pid: number, name: string): number {
  // The kernel keeps 15 bytes of it.
  const cut = name.slice(0, 15);
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    if (Deno.readTextFileSync(`/proc/${pid}/task/${tid}/comm`).trim() === cut) return Number(tid);
  }
  throw new Error(`no thread ${name} in ${pid}`);
}

/**
 * Stops a thread for some time.
 *
 * @param isDeaf Does not collect the thread when it is killed, which keeps it from being gone.
 * @returns When it stands.
 */
export async function stopThread(tid: number, ms: number, isDeaf = false): Promise<StoppedThread> {
  program ??= compile();
  const child = new Deno.Command(await program, {
    args: [String(tid), String(ms), ...(isDeaf ? ["deaf"] : [])],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough<string>(new TextLineStream()).getReader();
  const { value } = await reader.read();
  if (value !== "stopped") throw new Error(`thread ${tid} cannot be stopped: ${value}`);
  const end = async (): Promise<"released" | "gone"> => {
    let said = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) said += part.value;
    await child.status;
    return said.trim() as "released" | "gone";
  };
  return { end: end() };
}

async function compile(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "toom-test-" });
  const path = `${dir}/stop_thread`;
  const { success } = await new Deno.Command("/usr/bin/cc", { args: ["-o", path, SOURCE] })
    .output();
  if (!success) throw new Error(`cannot compile ${SOURCE}`);
  addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  return path;
}
