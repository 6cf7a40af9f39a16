/** Kills, and the receipt of one. */
import { formatBytes, formatTime, harmless, show, userName } from "./format.js";
import { Component, html } from "./html.js";

const ROWS_FIRST = 10;

/** Columns: the field, and on which screens it is. */
const COLUMNS = [
  { name: "user", text: userName },
  { name: "comm" },
  { name: "pid", className: "wide", isNumber: true },
  { name: "victimPages", isNumber: true },
  { name: "usagePages", className: "wide", isNumber: true },
  { name: "hardPages", className: "widest", isNumber: true },
  { name: "overshootBytes", className: "widest", isNumber: true },
  { name: "latencyUs", className: "wide", isNumber: true },
];

export function Kills({ store, fields, app }) {
  const user = store.users.get(app.uid);
  const title = user === undefined ? "Kills" : html`${"Kills of "}<bdi>${userName(user)}</bdi>`;
  const all = store.killsOf(app.uid);
  const kills = app.isAllKills ? all : all.slice(0, ROWS_FIRST);
  const classOf = ({ className = "", isNumber }) => `${className} ${isNumber ? "number" : "clip"}`;
  const textOf = ({ name, text }, kill) =>
    text?.(kill) ?? show(fields[name], kill[name], kill.pageBytes);
  return html`
    <section class="panel kills" aria-labelledby="kills-title">
      <div class="bar-head"><h2 id="kills-title">${title}</h2></div>
      ${kills.length === 0 ? html`<p class="none">None.</p>` : html`
        <table>
          <caption class="sr">Kills, the newest first</caption>
          <thead>
            <tr><th scope="col" title=${fields.at.help}>${fields.at.column}</th>${COLUMNS.map((
              column,
            ) =>
              html`
                <th key=${column.name} scope="col" class=${classOf(column)}
                  title=${fields[column.name].help}>${fields[column.name].column}</th>
              `
            )}</tr>
          </thead>
          <tbody>${kills.map((kill) =>
            html`
              <tr key=${kill.id} onClick=${() => app.openKill(kill.id)}>
                <th scope="row"><button type="button" class="name"
                  title="show its receipt" onClick=${(event) => {
                    event.stopPropagation();
                    app.openKill(kill.id);
                  }}><time datetime=${kill.at}>${formatTime(kill.at)}</time></button></th>
                ${COLUMNS.map((column) =>
                  html`
                    <td key=${column.name} class=${classOf(column)} title=${textOf(
                      column,
                      kill,
                    )}><bdi>${textOf(column, kill)}</bdi></td>
                  `
                )}
              </tr>
            `
          )}</tbody>
        </table>
      `}
      ${all.length > kills.length
        ? html`<p class="none"><button type="button" class="tool" onClick=${() =>
          app.showAllKills()}>
        Show all ${all.length} kills</button></p>`
        : ""}
    </section>
  `;
}

/** Told to who does not see the table grow. */
export function News({ store }) {
  const kills = store.news.map((id) => store.kills.get(id)).filter((kill) => kill !== undefined);
  return html`
    <div class="sr" aria-live="polite">${kills.map((kill) =>
      html`<p key=${kill.id}>toom has killed ${harmless(kill.comm)}, pid ${kill.pid} of ${
        userName(kill)
      }, with ${formatBytes(kill.victimPages * kill.pageBytes)}</p>`
    )}</div>
  `;
}

/** A window over the page; the browser keeps the focus in it, and Escape closes it. */
export class Dialog extends Component {
  #element = null;

  componentDidMount() {
    this.#element.showModal();
  }

  render({ title, children, onClose }) {
    return html`
      <dialog ref=${(element) => (this.#element = element)} aria-labelledby="dialog-title"
        onClose=${onClose} onClick=${(event) => {
          if (event.target === this.#element) this.#element.close();
        }}>
        <div class="window">
          <div class="bar-head">
            <h2 id="dialog-title">${title}</h2>
            <button type="button" class="tool" onClick=${() => this.#element.close()}>Close</button>
          </div>
          ${children}
        </div>
      </dialog>
    `;
  }
}

export function Receipt({ receipt, fields, app }) {
  const { id, kill, sentences, problem } = receipt;
  return html`
    <${Dialog} title=${kill === undefined ? "Receipt" : `Receipt ${harmless(kill.id)}`}
      onClose=${() => app.closeKill()}>
      ${problem === undefined ? "" : html`<p class="problem">${problem}</p>`}
      ${kill === undefined
        ? problem === undefined ? html`<p class="more">${harmless(id)} is being asked for.</p>` : ""
        : html`
          <p class="more"><time datetime=${kill.at}>${harmless(kill.at)}</time>${kill.dryRun
            ? ", a dry run"
            : ""}</p>
          <dl class="receipt">${sentences.map(([about, said]) =>
            html`
              <div key=${about}>
                <dt>${about}</dt>
                <dd><bdi>${harmless(said)}</bdi></dd>
              </div>
            `
          )}</dl>
          <${Others} kill=${kill} fields=${fields.weighed} />
          <details>
            <summary>All fields</summary>
            <dl class="facts">${Object.entries(fields.kill).map(([name, spec]) =>
              html`
                <div key=${name} title=${spec.help}>
                  <dt>${name}</dt>
                  <dd><bdi>${show(spec, kill[name], kill.pageBytes)}</bdi></dd>
                </div>
              `
            )}</dl>
          </details>
          <p class="more">On a terminal: <code>toom kills show ${harmless(kill.id)}</code></p>
        `}
    <//>
  `;
}

function Others({ kill, fields }) {
  if (kill.others.length === 0) return null;
  const columns = Object.entries(fields);
  return html`
    <h3>Beside it</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Processes beside it">
      <table>
        <caption class="sr">Processes beside the victim, and why they live</caption>
        <thead>
          <tr>${columns.map(([name, spec]) =>
            html`
              <th key=${name} scope="col" class=${name === "fate" ? "" : "number"} title=${spec
                .help}>${spec.column}</th>
            `
          )}</tr>
        </thead>
        <tbody>${kill.others.map((other) =>
          html`
            <tr key=${other.pid}>${columns.map(([name, spec]) =>
              html`
                <td key=${name} class=${name === "fate" ? "" : "number"}>${show(
                  spec,
                  other[name],
                  kill.pageBytes,
                )}</td>
              `
            )}</tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}
