/** The chart, and all about the user who is chosen. */
import { Chart } from "./chart.js";
import { formatPart, formatTime, harmless, show, userName } from "./format.js";
import { html } from "./html.js";
import { chartSentence } from "./series.js";
import { usedPart } from "./store.js";
import { Bar, timeText } from "./view_users.js";
import uPlot from "../vendor/uPlot.esm.js";

const RANGES = [["live", "10 minutes"], ["day", "24 hours"], ["week", "7 days"]];
const SHOWN_FACTS = [
  "usagePages",
  "countedPages",
  "sharedPages",
  "promisedPages",
  "softPages",
  "hardPages",
  "peakPages",
  "growthPagesPerSecond",
  "processes",
  "kills",
];

export function Detail({ store, fields, app }) {
  const user = store.users.get(app.uid);
  if (user === undefined) return html`<${Overview} store=${store} app=${app} />`;
  const { pageBytes } = store.toom;
  return html`
    <section class="panel detail" aria-labelledby="detail-title">
      <div class="bar-head">
        <h2 id="detail-title" tabindex="-1"><bdi>${userName(user)}</bdi>
          ${user.user === null ? "" : html`
            <span class="uid">uid ${user.uid}</span>
          `}</h2>
        <button type="button" class="tool" onClick=${() => app.select(undefined)}
          title="back to all users (Esc)">All users</button>
      </div>
      <p class="headline">
        <span class=${`big ${user.state}`}>${formatPart(usedPart(user))}</span>
        <${Bar} user=${user} pageBytes=${pageBytes} />
        <span class="more">${timeText(user)}</span>
      </p>
      <${Ranges} app=${app} />
      <${UserChart} user=${user} store=${store} app=${app} />
      <dl class="facts">
        ${SHOWN_FACTS.map((name) =>
          html`
            <div key=${name} title=${fields.user[name].help}>
              <dt>${fields.user[name].column ?? "COUNTED"}</dt>
              <dd>${show(fields.user[name], user[name], pageBytes)}</dd>
            </div>
          `
        )}
      </dl>
      <${Explained} fields=${fields} app=${app} pageBytes=${pageBytes} />
    </section>
  `;
}

function Ranges({ app }) {
  return html`
    <p class="ranges" role="group" aria-label="Time of the chart">
      ${RANGES.map(([range, title]) =>
        html`
          <button key=${range} type="button" class="tool" aria-pressed=${app.range === range}
            onClick=${() => app.showRange(range)}>${title}</button>
        `
      )}
    </p>
  `;
}

function markOf(kill) {
  return {
    id: kill.id,
    second: Date.parse(kill.at) / 1000,
    title: `${formatTime(kill.at)}: ${userName(kill)}, pid ${kill.pid} (${
      harmless(kill.comm)
    }) was killed`,
  };
}

function UserChart({ user, store, app }) {
  const { pageBytes } = store.toom;
  const isLive = app.range === "live";
  const series = isLive ? app.live.of(user.uid) : app.hours;
  const { seconds, pages } = series;
  const bytes = (value) => seconds.map(() => value * pageBytes);
  const data = [
    seconds,
    pages.map((value) => value === null ? null : value * pageBytes),
    bytes(user.softPages),
    bytes(user.hardPages),
  ];
  const kills = store.killsOf(user.uid);
  const lines = [
    { label: "used", colour: "--accent", isFilled: true, isStepped: !isLive },
    { label: "soft", colour: "--soft", isDashed: true },
    { label: "hard", colour: "--hard" },
  ];
  const inside = kills.filter(({ at }) => Date.parse(at) / 1000 >= (seconds[0] ?? Infinity)).length;
  return html`
    <${Chart} data=${data} lines=${lines} unit="bytes" top=${user.hardPages * pageBytes}
      kills=${kills.map(markOf).reverse()} onKill=${(id) => app.openKill(id)} theme=${app.themeKey}
      label=${chartSentence(user, series, inside, pageBytes)} />
    <p class="legend"
      aria-hidden="true"><span class="key used">used</span><span class="key soft">soft</span>
      <span class="key hard">hard</span><span class="key kill">a kill</span></p>
    ${!isLive && seconds.length === 0
      ? html`<p class="none">Nothing was written of this time yet: the most of each hour is, when it is over.</p>`
      : ""}
  `;
}

function Overview({ store, app }) {
  const uids = app.overview.filter((uid) => store.users.has(uid));
  const tables = uids.map((uid) => {
    const { seconds, pages } = app.live.of(uid);
    const { hardPages } = store.users.get(uid);
    return [
      seconds,
      pages.map((value) => value === null || hardPages === 0 ? null : value / hardPages),
    ];
  }).filter(([seconds]) => seconds.length > 0);
  const joined = tables.length === 0 ? [[]] : uPlot.join(tables);
  const data = [...joined, joined[0].map(() => 1)];
  const users = uids.map((uid) => store.users.get(uid));
  const lines = [
    ...tables.map((_, at) => ({ label: userName(users[at]), colour: `--line-${at}` })),
    { label: "hard", colour: "--hard" },
  ];
  const kills = store.killsOf().map(markOf).reverse();
  const label = users.length === 0
    ? "Usage over time: no user has a limit."
    : `Usage over time, as a part of each user's hard limit, of those who are nearest to it: ${
      users.map((user) => `${userName(user)} ${formatPart(usedPart(user))}`).join(", ")
    }.`;
  return html`
    <section class="panel detail" aria-labelledby="detail-title">
      <div class="bar-head">
        <h2 id="detail-title" tabindex="-1">Usage over time</h2>
      </div>
      <p class="more">As a part of the hard limit, of those who are nearest to theirs. Choose a user for
        its own chart, its processes, and why nobody of it is killed.</p>
      <${Chart} data=${data} lines=${lines} unit="part" top=${1} kills=${kills}
        onKill=${(id) => app.openKill(id)} theme=${app.themeKey} label=${label} />
      <ul class="legend">
        ${users.map((user, at) =>
          html`
            <li key=${user.uid}><button type="button" class=${`key line-${at}`}
              onClick=${() => app.select(user.uid)}><bdi>${userName(user)}</bdi></button></li>
          `
        )}
        <li><span class="key hard">hard</span></li>
        <li><span class="key kill">a kill</span></li>
      </ul>
    </section>
  `;
}

function Explained({ fields, app, pageBytes }) {
  const { explained } = app;
  if (explained === undefined) return html`<p class="more">It is being asked about.</p>`;
  if (explained.problem !== undefined) return html`<p class="problem">${explained.problem}</p>`;
  const { explanation, sentences } = explained;
  return html`
    <h3>Why nobody is killed, or who would be</h3>
    <div class="sentences">
      ${sentences.map((sentence, at) => html`<p key=${at}>${harmless(sentence)}</p>`)}
    </div>
    <${Processes} processes=${explanation.processes} fields=${fields
      .process} pageBytes=${pageBytes} />
  `;
}

function Processes({ processes, fields, pageBytes }) {
  if (processes.length === 0) return html`<p class="none">It has no process.</p>`;
  const columns = Object.entries(fields);
  const classOf = (name) =>
    ["givesBackPages", "growthPagesPerSecond", "oomScoreAdj"].includes(name)
      ? "number wide"
      : "number";
  const isText = (name) => ["comm", "fate"].includes(name);
  return html`
    <h3>Processes</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Processes">
      <table class="processes">
        <caption class="sr">The largest processes, and who would be killed next</caption>
        <thead>
          <tr>${columns.map(([name, spec]) =>
            html`
              <th key=${name} scope="col" class=${isText(name) ? "" : classOf(name)} title=${spec
                .help}>${spec.column}</th>
            `
          )}</tr>
        </thead>
        <tbody>${processes.map((process) =>
          html`
            <tr key=${process.pid} class=${process.fate}>${columns.map(([name, spec]) =>
              html`
                <td key=${name} class=${isText(name) ? name : classOf(name)}><bdi>${show(
                  spec,
                  process[name],
                  pageBytes,
                )}</bdi></td>
              `
            )}</tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}
