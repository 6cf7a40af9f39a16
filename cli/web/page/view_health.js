/** How toom itself is, and what it costs. */
import { formatBytes, harmless, show } from "./format.js";
import { html } from "./html.js";

/** Parts of the status, and how they are called. */
const GROUPS = [
  ["events", "Events"],
  ["killCounts", "Kills", "kills"],
  ["near", "Near and far"],
  ["measuring", "Shares measured"],
  ["shed", "Left out in a hurry"],
  ["history", "History"],
  ["tmalloc", "tmalloc"],
];

/** A field's name in words, without its unit: `driftPages` becomes `drift`. */
export function wordsOf(name) {
  if (name === "ms") return "time";
  if (name === "seconds") return "for";
  if (name.endsWith("Ms")) return `${wordsOf(name.slice(0, -2))} time`;
  return name.replace(/(Pages|Bytes|Ms|Us|Seconds)$/, "")
    .replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`) || name;
}

export function Health({ store, fields }) {
  const { toom, machine } = store;
  const share = (part) => part === undefined ? "-" : `${(part * 100).toFixed(1)} %`;
  const { shed } = toom;
  const left = shed === undefined ? 0 : shed.reports + shed.orders + shed.logLines;
  const restarts = toom.restarts?.total ?? 0;
  const missed = (toom.journal ?? []).filter((one) => one.missed + one.failed > 0);
  return html`
    <section class="panel health" aria-labelledby="health-title">
      <div class="bar-head">
        <h2 id="health-title">toom itself</h2>
      </div>
      <dl class="facts">
        <${Fact} name="CPU of toom" value=${share(
          store.cpuShare,
        )} help="CPU of its workers, of one CPU" />
        <${Fact} name="memory of toom" value=${formatBytes(toom.memory.rssBytes)} help=${fields
          .memory.rssBytes.help} />
        <${Fact} name="CPU of this page" value=${share(
          store.pageCpuShare,
        )} help="Of the process that serves it" />
        <${Fact} name="memory of this page" value=${formatBytes(
          machine.pageRssBytes,
        )} help="Of the process that serves it" />
        <${Fact} name="books" value=${toom.degraded ? "degraded" : "in order"} help=${fields.toom
          .degraded.help} />
        <${Fact} name="events lost" value=${toom.events.lost} help=${fields.events.lost.help} />
        <${Fact} name="drift" value=${show(
          fields.events.driftPages,
          toom.events.driftPages,
          toom.pageBytes,
        )}
          help=${fields.events.driftPages.help} />
        <${Fact} name="left out" value=${left} help="Reports, orders and lines that nobody took in time" />
        <${Fact} name="started over" value=${restarts === 0
          ? "never"
          : `${restarts} times, the last time as ${
            harmless(toom.restarts.reason ?? "unknown")
          }`} help="Because a worker hung" />
        ${missed.map((one) =>
          html`
            <${Fact} key=${one.name} name=${`${harmless(one.name)} missed`} value=${one.missed +
              one.failed}
              help="Entries of the journal that it could not take" />
          `
        )}
      </dl>
      <details>
        <summary>Events, looks, what was left out, history, tmalloc</summary>
        <div class="groups">
        ${GROUPS.filter(([table, , name = table]) => toom[name] !== undefined)
          .map(([table, title, name = table]) =>
            html`
              <div key=${table} class="group">
                <h3>${title}</h3>
                <dl class="facts">${Object.entries(fields[table]).filter(([field]) =>
                  toom[name][field] !== undefined
                )
                  .map(([field, spec]) =>
                    html`
                      <${Fact} key=${field} name=${wordsOf(field)} help=${spec.help}
                        value=${show(spec, toom[name][field], toom.pageBytes)} />
                    `
                  )}</dl>
              </div>
            `
          )}
      </div>
      </details>
      <h3>Workers</h3>
      <div class="scroll" tabindex="0" role="region" aria-label="Workers">
        <table>
          <caption class="sr">Workers of toom</caption>
          <thead>
            <tr>${Object.entries(fields.workers).map(([name, spec]) =>
              html`
                <th key=${name} scope="col" class=${isText(spec) ? "" : "number"} title=${spec
                  .help}>${spec.column}</th>
              `
            )}</tr>
          </thead>
          <tbody>${toom.workers.map((worker) =>
            html`
              <tr key=${worker.role}>${Object.entries(fields.workers).map(([name, spec]) =>
                html`
                  <td key=${name} class=${isText(spec) ? "" : "number"}>${show(
                    spec,
                    worker[name],
                    toom.pageBytes,
                  )}</td>
                `
              )}</tr>
            `
          )}</tbody>
        </table>
      </div>
    </section>
  `;
}

function isText({ type }) {
  return type === "text" || type === "choice";
}

function Fact({ name, value, help }) {
  return html`
    <div title=${help}>
      <dt>${name}</dt>
      <dd><bdi>${value}</bdi></dd>
    </div>
  `;
}
