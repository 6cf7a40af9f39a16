/** What the tests of the TypeScript client run as a scratch user: UID SOCKET MODE. */
// deno-lint-ignore-file no-console
import { becomeUser } from "../../kernel/users/drop_user.ts";
import { TmallocClient, TmallocRefusedError } from "../../tmalloc/client.ts";

const [uid, path, mode] = Deno.args;
const MIB = 1024 * 1024;
becomeUser(Number(uid));
using client = new TmallocClient(path!);

/** What came of a request: its bytes, or why it was refused. */
async function outcome(request: () => Promise<{ readonly bytes: number }>): Promise<unknown> {
  try {
    return (await request()).bytes;
  } catch (error) {
    if (error instanceof TmallocRefusedError) return error.reason;
    throw error;
  }
}

if (mode === "blocks") {
  const before = await client.query();
  {
    await using lease = await client.reserve("32MiB");
    const during = await client.query();
    console.log(JSON.stringify([lease.bytes, during.levelBytes > before.levelBytes + 31 * MIB]));
    console.log(JSON.stringify(await outcome(() => client.reserve("1GiB"))));
    console.log(JSON.stringify(await outcome(() => client.reserve("80MiB"))));
    console.log(JSON.stringify(await outcome(() => client.wait("80MiB", { timeoutMs: 30 }))));
  }
  await client.claim("64MiB");
  console.log(JSON.stringify(await outcome(() => client.reserve("65MiB"))));
  const both = [client.reserve("10MiB"), client.reserve(5 * MIB)];
  const leases = await Promise.all(both);
  console.log(JSON.stringify(leases.map(({ bytes }) => bytes)));
  for (const lease of leases) await lease.release();
  await leases[0]!.release();
  const { levelBytes, committedBytes, hardBytes } = await client.query();
  console.log(JSON.stringify([levelBytes < 200 * MIB, committedBytes < 200 * MIB, hardBytes]));
} else if (mode === "hold") {
  // Goes on over restarts of whoever answers.
  await client.reserve("100MiB");
  console.log("held");
  for await (const _ of Deno.stdin.readable) {
    const { levelBytes } = await client.query();
    console.log(JSON.stringify(levelBytes > 100 * MIB));
  }
}
