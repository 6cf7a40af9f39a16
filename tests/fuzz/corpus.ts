/**
 * Inputs that guided fuzzing has kept, a file for each target: `corpus/NAME.json`, a list of hexadecimal
 * texts.
 *
 * @module
 */

const folder = new URL("./corpus/", import.meta.url);

/** @returns Those of a target; none: nothing has been saved of it. */
export function savedCorpus(name: string): Uint8Array<ArrayBuffer>[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(new URL(`${name}.json`, folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return (JSON.parse(text) as string[]).map((hex) => Uint8Array.fromHex(hex));
}

/** Replaces those of a target. */
export async function saveCorpus(name: string, inputs: readonly Uint8Array[]): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const text = JSON.stringify(inputs.map((bytes) => bytes.toHex()), null, 2);
  await Deno.writeTextFile(new URL(`${name}.json`, folder), `${text}\n`);
}
