/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The recorder's thread: reads the rings beside their readers, with an ordinary priority, and has no
 * part in what is enforced. Runs only while somebody records; nobody waits for it or watches over it.
 *
 * @module
 */
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { openLibc } from "../kernel/ffi/libc.ts";
import { DEFLATE } from "../kernel/packing/deflate.ts";
import { pinThread } from "../kernel/process/affinity.ts";
import { setThreadName } from "../kernel/process/self_protection.ts";
import { attachMemory } from "../pipeline/memory/memory.ts";
import { Recorder } from "../pipeline/recording/recorder.ts";
import type { RecordingHead } from "../pipeline/recording/format.ts";
import { FlightRecorder } from "./flight_recorder.ts";
import { ProcessFacts } from "./process_facts.ts";
import type { FromRecorder, RecorderInit, ToRecorder } from "./recorder_protocol.ts";

/** Turns follow each other so quickly while records come, and so slowly while none do. */
const TURN_MS_MIN = 2;
const TURN_MS_MAX = 10;
const FACTS_EVERY_MS = 20;
/** Bytes that a client has not taken yet; beyond it nothing is recorded for it. */
const UNTAKEN_BYTES_MAX = 32 * 1024 * 1024;

/** One client. */
interface Client {
  readonly recorder: Recorder;
  untaken: number;
  isHeldUp: boolean;
}

function send(message: FromRecorder, transfer: Transferable[] = []): void {
  self.postMessage(message, transfer);
}

function serve(init: RecorderInit): void {
  openLibc();
  setThreadName("toom-recorder");
  if (init.cpus.length > 0) pinThread(init.cpus);
  const memory = attachMemory(init.memory);
  const clock = new MonotonicClock();
  const facts = new ProcessFacts(memory, () => clock.nowNs());
  const clients = new Map<number, Client>();
  const headOf = (startedNs: number): RecordingHead => {
    const agoMs = (clock.nowNs() - startedNs) / 1e6;
    return { ...init.head, startedNs, startedAt: new Date(Date.now() - agoMs).toISOString() };
  };
  const flight = init.flight === undefined ? undefined : new FlightRecorder({
    ...init.flight,
    memory,
    packer: DEFLATE,
    nowNs: () => clock.nowNs(),
    head: headOf,
    facts: () => facts.known(),
    tell: (message) => send({ is: "told", message }),
  });
  const recorders = (): Recorder[] => {
    const all = [...clients.values()].map(({ recorder }) => recorder);
    return flight === undefined ? all : [...all, flight.recorder];
  };

  const begin = (id: number): void => {
    const recorder = new Recorder({
      memory,
      head: headOf(clock.nowNs()),
      packer: DEFLATE,
      put: (bytes) => {
        client.untaken += bytes.length;
        send({ is: "chunk", id, bytes }, [bytes.buffer]);
      },
    });
    const client: Client = { recorder, untaken: 0, isHeldUp: false };
    clients.set(id, client);
    recorder.start();
    recorder.noteFacts(facts.known());
  };

  self.onmessage = ({ data: message }: MessageEvent<ToRecorder>): void => {
    switch (message.is) {
      case "begin":
        begin(message.id);
        break;
      case "taken": {
        const client = clients.get(message.id);
        if (client !== undefined) client.untaken -= message.bytes;
        break;
      }
      case "kills":
        for (const recorder of recorders()) recorder.noteKills(message.kills);
        flight?.noteKills(message.kills);
        break;
      case "end": {
        const client = clients.get(message.id);
        clients.delete(message.id);
        if (message.isWanted) client?.recorder.end(clock.nowNs());
        send({ is: "ended", id: message.id });
        break;
      }
      case "stop":
        flight?.end();
        self.close();
        break;
    }
  };

  let factsDueMs = 0;
  let turnMs = TURN_MS_MIN;
  const turn = (): void => {
    let gathered = 0;
    const nowMs = performance.now();
    if (nowMs >= factsDueMs) {
      factsDueMs = nowMs + FACTS_EVERY_MS;
      const found = facts.look();
      if (found.length > 0) { for (const recorder of recorders()) recorder.noteFacts(found); }
    }
    for (const client of clients.values()) {
      const isBehind = client.untaken > UNTAKEN_BYTES_MAX;
      if (isBehind && !client.isHeldUp) client.recorder.hold(clock.nowNs());
      client.isHeldUp = isBehind;
      if (!isBehind) gathered += client.recorder.step(clock.nowNs());
    }
    if (flight !== undefined) gathered += flight.step();
    turnMs = gathered > 0 ? TURN_MS_MIN : Math.min(TURN_MS_MAX, turnMs + 1);
    setTimeout(turn, turnMs);
  };
  turn();
}

self.onmessage = (message: MessageEvent<RecorderInit>): void => {
  self.onmessage = null;
  serve(message.data);
};
