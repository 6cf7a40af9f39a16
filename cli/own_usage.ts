/**
 * What a user who is not root can be told instead of the status of all: its own numbers.
 *
 * @module
 */
import { formatBytes } from "../pipeline/limits/units.ts";
import { TmallocClient, type TmallocInfo } from "../tmalloc/client.ts";

const TMALLOC_SOCKET_NAME = "tmalloc.sock";
const ANSWER_MS_MAX = 1000;

/**
 * Asks toom for limit and usage of the user who runs this.
 *
 * @param controlPath The control socket, beside which programs ask for memory unless
 *   TMALLOC_SOCKET says where.
 * @returns One clause for people; undefined when nobody answers within a second.
 */
export async function ownUsage(controlPath: string): Promise<string | undefined> {
  const besideControl = controlPath.replace(/[^/]*$/, TMALLOC_SOCKET_NAME);
  using client = new TmallocClient(Deno.env.get("TMALLOC_SOCKET") ?? besideControl);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const inVain = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ANSWER_MS_MAX);
  });
  try {
    const info = await Promise.race([client.query(), inVain]);
    return info === undefined ? undefined : describe(info);
  } catch {
    return undefined; // Nobody there, or it may not be asked: then there is nothing to tell.
  } finally {
    clearTimeout(timer);
  }
}

function describe({ usageBytes, hardBytes, headroomBytes }: TmallocInfo): string {
  if (hardBytes === Infinity) return "you have no limit";
  const used = usageBytes === undefined ? "" : `use ${formatBytes(usageBytes)} of `;
  return `you ${used === "" ? "have " : used}${formatBytes(hardBytes)}, ` +
    `${formatBytes(headroomBytes)} can still be had`;
}
