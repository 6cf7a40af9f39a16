/** The process of the page, as the daemon has it: started again, told of once, ended in time. */
import { assert, assertEquals } from "@std/assert";
import {
  type WebChild,
  WebProcess,
  type WebProcessOptions,
} from "../../../service/lifecycle/web_process.ts";
import { waitUntil } from "../../_support/real_kernel.ts";

/** A child that listens when it is told to, and ends when it is. */
class Child implements WebChild {
  readonly listen = Promise.withResolvers<void>();
  readonly end = Promise.withResolvers<string>();
  readonly calls: string[] = [];
  readonly listens = this.listen.promise;
  readonly ended = this.end.promise;
  /** Ends when it is asked to. */
  obeys = true;
  finish = (): void => {
    this.calls.push("finish");
    if (this.obeys) this.end.resolve("");
  };
  kill = (): void => {
    this.calls.push("kill");
    this.end.resolve("");
  };
}

interface Scene {
  readonly web: WebProcess;
  readonly children: Child[];
  readonly told: string[];
  readonly complaints: string[];
}

function scene(more: Partial<WebProcessOptions> = {}): Scene {
  const children: Child[] = [];
  const told: string[] = [];
  const complaints: string[] = [];
  const web = new WebProcess({
    address: { kind: "tcp", hostname: "127.0.0.1", port: 984 },
    controlSocketPath: "/c",
    spawn: () => {
      const child = new Child();
      children.push(child);
      return child;
    },
    tell: (message) => void told.push(message),
    complain: (message) => void complaints.push(message),
    retryMs: 5,
    ...more,
  });
  web.start();
  return { web, children, told, complaints };
}

Deno.test("the page is told of when it is there, without its link, and is ended with the daemon", async () => {
  const { web, children, told, complaints } = scene();
  children[0]!.listen.resolve();
  await waitUntil(() => told.length > 0, "it is told");
  assertEquals(told, ["page on 127.0.0.1:984; toom web --link prints its link"]);
  await web.stop();
  assertEquals([children[0]!.calls, children.length, complaints], [["finish"], 1, []]);
});

Deno.test("it is started again, and what keeps it from it is told once", async () => {
  const { web, children, told, complaints } = scene();
  for (let count = 0; count < 3; count++) {
    await waitUntil(() => children.length > count, "it is started");
    children[count]!.end.resolve("another program listens there");
  }
  await waitUntil(() => children.length > 3, "it is started again");
  assertEquals(complaints, ["no page on 127.0.0.1:984: another program listens there"]);
  children[3]!.listen.resolve();
  await waitUntil(() => told.length > 0, "it is told");
  children[3]!.end.resolve("another program listens there");
  await waitUntil(() => complaints.length > 1, "what is new again is told again");
  await waitUntil(() => children.length > 4, "it is started again");
  children[4]!.listen.resolve();
  await web.stop();
  assertEquals(told.length, 1);
});

Deno.test("one that does not end is killed", async () => {
  const { web, children } = scene();
  children[0]!.obeys = false;
  const beganMs = performance.now();
  await web.stop();
  assertEquals(children[0]!.calls, ["finish", "kill"]);
  assert(performance.now() - beganMs >= 290);
});

Deno.test("a process that cannot be started is told, and tried again", async () => {
  let tries = 0;
  const { web, complaints } = scene({
    spawn: () => {
      tries++;
      throw new Error("no room");
    },
  });
  await waitUntil(() => tries > 2, "it is tried again");
  assertEquals(complaints, ["no page on 127.0.0.1:984: no room"]);
  await web.stop();
});
