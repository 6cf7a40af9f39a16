/** Kills are heard of from the daemon's stream, by whichever socket answers. */
import { assertEquals } from "@std/assert";
import { KillWatch } from "../../../cli/web/kill_watch.ts";
import { waitUntil } from "../../_support/real_kernel.ts";

Deno.test("what happens is heard at once, on the second socket when the first is not there", async () => {
  const dir = await Deno.makeTempDir();
  const asked: string[] = [];
  let tell: ReadableStreamDefaultController<Uint8Array> | undefined;
  const server = Deno.serve({ path: `${dir}/read.sock`, onListen: (): void => {} }, (request) => {
    asked.push(new URL(request.url).pathname);
    return new Response(
      new ReadableStream<Uint8Array>({ start: (controller) => void (tell = controller) }),
      { headers: { "content-type": "text/event-stream" } },
    );
  });
  let heard = 0;
  const watch = new KillWatch([`${dir}/none.sock`, `${dir}/read.sock`], () => void heard++);
  try {
    await waitUntil(() => tell !== undefined, "it asks");
    assertEquals(asked, ["/v1/events"]);
    const before = heard;
    tell!.enqueue(new TextEncoder().encode("event: kill\ndata: {}\n\n"));
    await waitUntil(() => heard > before, "it hears");
  } finally {
    await watch.stop();
    await server.shutdown();
    await Deno.remove(dir, { recursive: true });
  }
});
