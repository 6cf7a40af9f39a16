/**
 * Prometheus' text format 0.0.4 and OpenMetrics 1.0, written family by family.
 *
 * @module
 */
import { harmless } from "../fields/show.ts";
import { ByteText } from "./byte_text.ts";

export type ExpositionFormat = "prometheus" | "openmetrics";
export type MetricType = "gauge" | "counter" | "histogram" | "info";

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** What a scraper that sends this `Accept` gets. */
export function formatFor(accept: string | null): ExpositionFormat {
  return accept?.includes("application/openmetrics-text") === true ? "openmetrics" : "prometheus";
}

/** A set of labels in braces; empty without any. What users can name is on one line, whatever it is. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${labelValue(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Of a label: backslashes, quotes and line feeds are escaped, after all that is not harmless. */
export function labelValue(text: string): string {
  if (/^[\w .:/@-]*$/.test(text)) return text;
  return harmless(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** Counts of values by upper bounds. */
export class Histogram {
  readonly bounds: readonly number[];
  /** By bound, and of all above. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  /** @param bounds Ascending; a value that equals one is within it. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.counts[at < 0 ? this.bounds.length : at]!++;
    this.sum += value;
    this.count++;
  }
}

/** Collects families into one text, as bytes. */
export class Exposition {
  private readonly format: ExpositionFormat;
  /** Samples of large families are put here as bytes. */
  readonly bytes = new ByteText();

  constructor(format: ExpositionFormat) {
    this.format = format;
  }

  /**
   * Begins a family; its samples follow.
   *
   * @param name Of a counter with `_total`, of an info with `_info`.
   */
  family(name: string, type: MetricType, help: string): void {
    const isOpen = this.format === "openmetrics";
    const family = isOpen ? name.replace(/_total$|_info$/, "") : name;
    const shown = type === "info" && !isOpen ? "gauge" : type;
    const text = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    this.bytes.text(
      `# HELP ${family} ${
        isOpen ? text.replaceAll('"', '\\"') : text
      }\n# TYPE ${family} ${shown}\n`,
    );
  }

  /** @param labels With their braces. */
  sample(name: string, labels: string, value: number): void {
    this.bytes.text(`${name}${labels} ${numberText(value)}\n`);
  }

  /** A family of one histogram. */
  histogram(name: string, help: string, { bounds, counts, sum, count }: Histogram): void {
    this.family(name, "histogram", help);
    let total = 0;
    bounds.forEach((bound, index) => {
      total += counts[index]!;
      this.sample(`${name}_bucket`, `{le="${boundText(bound)}"}`, total);
    });
    this.sample(`${name}_bucket`, '{le="+Inf"}', count);
    this.sample(`${name}_sum`, "", sum);
    this.sample(`${name}_count`, "", count);
  }

  end(): Uint8Array<ArrayBuffer> {
    if (this.format === "openmetrics") this.bytes.text("# EOF\n");
    return this.bytes.take();
  }
}

/** OpenMetrics wants a point in each bound. */
function boundText(bound: number): string {
  const text = String(bound);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
