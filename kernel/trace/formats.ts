/**
 * Where the kernel says that the fields of its binary pages lie: parsers of `events/.../format` and
 * `events/header_page`. Documentation/trace/events.rst
 *
 * @module
 */

/** A field of an event, or of a page's header. */
export interface FormatField {
  /** Bytes from the start of the record. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  readonly signed: boolean;
}

/** The layout of one event. */
export interface EventFormat {
  /** E.g. `"rss_stat"`. */
  readonly name: string;
  /** Its number in the pages; differs from boot to boot. */
  readonly id: number;
  /** By name, those common to all events included. */
  readonly fields: ReadonlyMap<string, FormatField>;
}

/** The layout of a page of the ring buffer. */
export interface PageHeader {
  readonly timestampOffset: number;
  readonly commitOffset: number;
  /** 8 on 64-bit kernels, 4 on 32-bit ones. */
  readonly commitBytes: number;
  /** Where the records begin. */
  readonly dataOffset: number;
  /** The most bytes of records in a page. */
  readonly dataBytes: number;
}

const FIELD_LINE =
  /^\s*field:\s*(.+?);\s*offset:\s*(\d+);\s*size:\s*(\d+);(?:\s*signed:\s*([01]);)?/;
/** The name at the end of a C declaration: `char comm[16]`, `__data_loc char[] name`. */
const DECLARED_NAME = /([A-Za-z_]\w*)(?:\[[^\]]*\])?$/;

function parseFields(text: string, what: string): Map<string, FormatField> {
  const fields = new Map<string, FormatField>();
  for (const line of text.split("\n")) {
    if (!/^\s*field:/.test(line)) continue;
    const parts = FIELD_LINE.exec(line);
    const name = parts === null ? undefined : DECLARED_NAME.exec(parts[1]!)?.[1];
    if (parts === null || name === undefined) {
      throw new SyntaxError(`Cannot parse ${what}: unexpected line ${JSON.stringify(line)}`);
    }
    const field = { offset: Number(parts[2]), size: Number(parts[3]), signed: parts[4] === "1" };
    // An event may name a field as a common one is named; the common one came first and is meant.
    if (!fields.has(name)) fields.set(name, field);
  }
  return fields;
}

/**
 * Parses `events/SYSTEM/EVENT/format`.
 *
 * @throws {SyntaxError} When the name, the id or all fields are missing, or a line makes no sense.
 */
export function parseEventFormat(text: string): EventFormat {
  const name = /^name: (\S+)$/m.exec(text)?.[1];
  if (name === undefined) throw new SyntaxError("Cannot parse an event's format: no line 'name:'");
  const what = `the format of event "${name}"`;
  const id = /^ID: (\d+)$/m.exec(text)?.[1];
  if (id === undefined) throw new SyntaxError(`Cannot parse ${what}: no line 'ID:'`);
  const fields = parseFields(text, what);
  if (fields.size === 0) throw new SyntaxError(`Cannot parse ${what}: it has no fields`);
  return { name, id: Number(id), fields };
}

/**
 * Parses `events/header_page`; read the instance's own, as the data's size is that of its sub-buffers.
 *
 * @throws {SyntaxError} When a field is missing.
 */
export function parseHeaderPage(text: string): PageHeader {
  const fields = parseFields(text, "the header of ring buffer pages");
  const field = (name: string): FormatField => {
    const found = fields.get(name);
    if (found === undefined) {
      throw new SyntaxError(`Cannot parse the header of ring buffer pages: no field "${name}"`);
    }
    return found;
  };
  return {
    timestampOffset: field("timestamp").offset,
    commitOffset: field("commit").offset,
    commitBytes: field("commit").size,
    dataOffset: field("data").offset,
    dataBytes: field("data").size,
  };
}
