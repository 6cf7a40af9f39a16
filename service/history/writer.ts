/**
 * The process that writes the history: `toom history-writer`, started by the daemon and told what to
 * write by lines on its standard input. It ends with its input.
 *
 * A process and not a thread: a disk that hangs would keep the daemon's threads from ending, and so the
 * daemon from starting over; memory that runs out would end them all. docs/decisions/
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { HistoryDatabase } from "./database.ts";
import type { WriterAnswer, WriterInit, WriterRequest } from "./protocol.ts";

/** A batch and what is beside it. */
const LINE_CHARACTERS_MAX = 64 * 2 ** 20;

/**
 * Writes until the input ends.
 *
 * @param lines The daemon's.
 * @param answer Takes a line.
 */
export async function writeHistory(
  lines: AsyncIterable<string>,
  answer: (line: string) => void,
): Promise<void> {
  let database: HistoryDatabase | undefined;
  let init: WriterInit | undefined;
  let told: string | undefined;
  try {
    for await (const line of lines) {
      if (line === "" || line.length > LINE_CHARACTERS_MAX) continue;
      if (init === undefined) {
        init = JSON.parse(line) as WriterInit;
        continue;
      }
      const { number, ...batch } = JSON.parse(line) as WriterRequest;
      let result: WriterAnswer = { number };
      try {
        if (database === undefined) {
          const opened = new HistoryDatabase(init.path, init.bounds, () => new Date());
          opened.open();
          database = opened;
        }
        database.write(batch);
      } catch (error) {
        result = { number, problem: oneLine(error) };
      }
      if (database?.damage !== undefined && database.damage !== told) {
        told = database.damage;
        result = { ...result, notice: told };
      }
      answer(JSON.stringify(result));
    }
  } finally {
    database?.close();
  }
}

function oneLine(error: unknown): string {
  const text = messageOf(error);
  return text.replace(/\s*[\r\n]+\s*/g, " ");
}
