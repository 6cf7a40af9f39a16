/** The whole page of a recording. */
import {
  answerSentence,
  chartData,
  chartSentence,
  fateOf,
  FATES,
  formatElapsed,
  isOther,
  PERCENT_THEN,
  PERCENTS,
  usersOf,
} from "./answers.js";
import { Chart } from "./chart.js";
import { formatBytes, formatPart, formatTime, harmless, show } from "./format.js";
import { html } from "./html.js";

/** Rows of a table. */
const ROWS_MAX = 200;
/** Marks in a chart. */
const MARKS_MAX = 300;

export function RecordingApp({ app }) {
  const { recording, problem } = app;
  return html`
    <${Head} app=${app} />
    ${problem === undefined ? "" : html`
      <p class="problem" role="alert">${harmless(problem)}</p>
    `}
    ${recording === undefined
      ? problem === undefined ? html`<p class="start">The recording is being read.</p>` : ""
      : html`<${Body} app=${app} />`}
  `;
}

function Head({ app }) {
  const { recording } = app;
  return html`
    <header>
      <h1><img src="/page/icon.svg" alt="" width="28" height="28" />toom</h1>
      <p class="where">${recording === undefined ? "" : html`
        <strong>${harmless(
          recording.name,
        )}</strong>${` from ${formatTime(recording.head.startedAt)}, ` +
          `${formatElapsed(recording.answer.seconds)}, source ${recording.head.source}, ` +
          `toom ${harmless(recording.head.toomVersion)}, ${recording.answer.records} records`}
      `}</p>
      <p class="tools">
        <button type="button" class="tool" onClick=${() => {
          app.theme.next();
          app.draw();
        }}
          title="light, dark, or as the system has it">Theme: ${app.theme.name}</button>
      </p>
    </header>
  `;
}

function Body({ app }) {
  const { recording, now } = app;
  const then = recording.answer;
  const nameOf = (uid) => harmless(recording.names[uid] ?? `uid ${uid}`);
  const users = usersOf(then, now);
  const uid = app.uid ?? users[0]?.uid;
  const notes = [
    ...(then.damage === null
      ? []
      : [`It is damaged (${then.damage}): what stands before that is shown, nothing after it.`]),
    ...now.notes.map(({ text }) => `${text[0].toUpperCase()}${text.slice(1)}.`),
  ];
  const shared = { app, then, now, users, uid, nameOf, pageBytes: recording.head.pageBytes };
  return html`
    <main>
      <${WhatIf} ...${shared} />
      ${notes.length === 0 ? "" : html`
        <section class="panel" aria-label="What is to be known of it">
          <div class="sentences">${notes.map((note) =>
            html`<p key=${note}>${harmless(note)}</p>`
          )}</div>
        </section>
      `}
      <div class="columns">
        <div class="column">
          <${Users} ...${shared} fields=${recording.fields.user} />
          <${Kills} ...${shared} fields=${recording.fields.kill} />
        </div>
        <${UsageChart} ...${shared} />
      </div>
    </main>
  `;
}

function WhatIf({ app, now, users, nameOf, pageBytes }) {
  const { question, progress, recording } = app;
  const { percent, uid, victim } = question;
  const limited = users.filter(({ hardThen }) => hardThen !== null);
  const its = limited.find((user) => user.uid === uid);
  const size = its === undefined
    ? ""
    : `, ${formatBytes(Math.round(its.hardThen * percent / 100) * pageBytes)}`;
  const value = `${formatPart(percent / 100)}${size}`;
  return html`
    <section class="panel what-if" aria-labelledby="what-if-title">
      <div class="bar-head">
        <h2 id="what-if-title">What if</h2>
        <button type="button" class="tool" disabled=${!isOther(question)} onClick=${() =>
          app.choose({ percent: PERCENT_THEN, victim: undefined })}>As it was</button>
      </div>
      <div class="choices">
        <label>the limits of
          <select id="whose" onChange=${({ target }) => {
            const chosen = target.value === "" ? undefined : Number(target.value);
            if (chosen !== undefined) app.show(chosen);
            app.choose({ uid: chosen });
          }}>
            <option value="" selected=${uid === undefined}>all users</option>
            ${limited.map((user) =>
              html`
                <option key=${user.uid} value=${user.uid}
                  selected=${user.uid === uid}>${nameOf(user.uid)}</option>
              `
            )}
          </select>
        </label>
        <label class="slider">had been
          <input id="percent" type="range" min="0" max=${PERCENTS.length - 1} step="1"
            list="percents" value=${PERCENTS.indexOf(percent)} aria-valuetext=${value}
            onInput=${({ target }) => app.choose({ percent: PERCENTS[Number(target.value)] })} />
          <output for="percent">${value}</output>
        </label>
        <datalist id="percents"><option value=${PERCENTS.indexOf(PERCENT_THEN)}></option></datalist>
        <label>and victims were chosen by
          <select id="victim" onChange=${({ target }) =>
            app.choose({ victim: target.value === "" ? undefined : target.value })}
            title="where a limit does not name a policy of its own">
            <option value="" selected=${victim === undefined}>what it was</option>
            ${recording.policies.map((policy) =>
              html`<option key=${policy} value=${policy} selected=${
                policy === victim
              }>${policy}</option>`
            )}
          </select>
        </label>
      </div>
      ${progress === undefined
        ? html`<p class="answer" role="status">${answerSentence(now, nameOf)}</p>`
        : html`
          <p class="answer"><label>Replaying <progress max="1" value=${progress}></progress>
            ${formatPart(progress)}</label></p>
        `}
    </section>
  `;
}

function Users({ app, users, uid, nameOf, fields, pageBytes }) {
  const rows = users.slice(0, ROWS_MAX);
  const pages = (name, value) => show(fields[name], value, pageBytes);
  const change = (then, now) =>
    then === now ? now : html`
      <span class="more wide">${then} → </span><span class="changed">${now}</span>
    `;
  return html`
    <section class="panel users" aria-labelledby="users-title">
      <div class="bar-head"><h2 id="users-title">Users</h2></div>
      ${rows.length === 0 ? html`<p class="none">Nobody had a limit.</p>` : html`
        <table>
          <caption class="sr">Users, those with kills first</caption>
          <thead>
            <tr>
              <th scope="col">${fields.user.column}</th>
              <th scope="col" class="number" title=${fields.peakPages.help}>${fields.peakPages
                .column}</th>
              <th scope="col" class="number" title=${fields.hardPages.help}>${fields.hardPages
                .column}</th>
              <th scope="col" class="number" title=${fields.kills.help}>${fields.kills
                .column}</th>
            </tr>
          </thead>
          <tbody>${rows.map((user) =>
            html`
              <tr key=${user.uid} class=${user.uid === uid ? "selected" : ""} onClick=${() =>
                app.show(user.uid)}>
                <th scope="row"><button type="button" class="name" data-uid=${user.uid}
                  aria-pressed=${user.uid === uid} onClick=${(event) => {
                    event.stopPropagation();
                    app.show(user.uid);
                  }}><bdi>${nameOf(user.uid)}</bdi></button></th>
                <td class="number">${change(
                  pages("peakPages", user.peakThen),
                  pages("peakPages", user.peakNow),
                )}</td>
                <td class="number">${change(
                  pages("hardPages", user.hardThen),
                  pages("hardPages", user.hardNow),
                )}</td>
                <td class="number">${change(user.killsThen || "-", user.killsNow || "-")}</td>
              </tr>
            `
          )}</tbody>
        </table>
      `}
      ${users.length > rows.length
        ? html`<p class="none">${users.length - rows.length} more are not shown.</p>`
        : ""}
    </section>
  `;
}

function Kills({ now, uid, nameOf, fields, pageBytes }) {
  const its = now.kills.filter((kill) => kill.uid === uid);
  const rows = its.slice(0, ROWS_MAX);
  const when = ({ then, now }) => {
    const times = [then, now].filter((moment) => moment !== null)
      .map(({ atSeconds }) => formatElapsed(atSeconds));
    return times.length < 2 || times[0] === times[1] ? times.at(-1) : html`
      <span class="more wide">${times[0]} → </span>${times[1]}
    `;
  };
  const cell = (name, kill) => {
    const moment = kill.now ?? kill.then;
    return show(fields[name], { ...kill, ...moment }[name], pageBytes);
  };
  return html`
    <section class="panel kills" aria-labelledby="kills-title">
      <div class="bar-head"><h2 id="kills-title">Kills${uid === undefined ? "" : html`
        ${" of "}<bdi>${nameOf(uid)}</bdi>
      `}</h2></div>
      ${rows.length === 0 ? html`<p class="none">None, then or now.</p>` : html`
        <table>
          <caption class="sr">Kills, the first first</caption>
          <thead>
            <tr>
              <th scope="col" title="since the recording began">AFTER</th>
              <th scope="col">${fields.comm.column}</th>
              <th scope="col" class="number wide">${fields.pid.column}</th>
              <th scope="col" class="number wide" title=${fields.usagePages.help}>${fields
                .usagePages
                .column}</th>
              <th scope="col">FATE</th>
            </tr>
          </thead>
          <tbody>${rows.map((kill, at) =>
            html`
              <tr key=${at} id=${`kill-${at}`} class=${`fate-${fateOf(kill)}`} tabindex="-1">
                <th scope="row">${when(kill)}</th>
                <td class="clip" title=${cell("comm", kill)}><bdi>${cell("comm", kill)}</bdi></td>
                <td class="number wide">${cell("pid", kill)}</td>
                <td class="number wide">${cell("usagePages", kill)}</td>
                <td class="what">${FATES[fateOf(kill)]}</td>
              </tr>
            `
          )}</tbody>
        </table>
      `}
      ${its.length > rows.length
        ? html`<p class="none">${its.length - rows.length} more are not shown.</p>`
        : ""}
    </section>
  `;
}

function UsageChart({ app, then, now, uid, nameOf, pageBytes }) {
  const data = uid === undefined ? undefined : chartData(then, now, uid, pageBytes);
  const name = uid === undefined ? "" : nameOf(uid);
  const title = html`
    <div class="bar-head">
      <h2 id="detail-title" tabindex="-1"><bdi>${name}</bdi>${uid === undefined ||
          app.recording.names[uid] === undefined
        ? ""
        : html`
          <span class="uid">uid ${uid}</span>
        `}</h2>
    </div>
  `;
  if (data === undefined) {
    return html`
      <section class="panel detail" aria-labelledby="detail-title">${title}
        <p class="none">${uid === undefined
          ? "There is nobody to show."
          : "Of so many users it has no chart."}</p></section>
    `;
  }
  const its = now.kills.filter((kill) => kill.uid === uid);
  const marks = its.slice(0, MARKS_MAX).map((kill, at) => {
    const second = (kill.now ?? kill.then).atSeconds;
    return {
      id: at,
      second,
      className: `fate-${fateOf(kill)}`,
      title: `${formatElapsed(second)}: ${harmless(kill.comm)}, pid ${kill.pid}, ${
        FATES[fateOf(kill)]
      }`,
    };
  });
  const isWhatIf = data.length > 4;
  const lines = [
    { label: "used", colour: "--accent", isFilled: true },
    { label: "soft", colour: "--soft", isDashed: true },
    { label: "hard", colour: "--hard" },
    ...(isWhatIf ? [{ label: "used then", colour: "--dim", isDashed: true }] : []),
  ];
  const top = data[3].reduce((most, value) => Math.max(most, value ?? 0), 1);
  return html`
    <section class="panel detail" aria-labelledby="detail-title">${title}
      <${Chart} data=${data} lines=${lines} unit="bytes" top=${top} kills=${marks}
        onKill=${(at) => document.getElementById(`kill-${at}`)?.focus()} theme=${app.theme.key}
        formatSecond=${formatElapsed}
        label=${chartSentence(name, data, its.length, formatBytes)} />
      <p class="legend" aria-hidden="true">
        <span class="key used">used</span><span class="key soft">soft</span>
        <span class="key hard">hard</span>
        ${isWhatIf ? html`<span class="key then">used then</span>` : ""}
        <span class="key kill">killed</span>
        ${isWhatIf ? html`<span class="key spared">killed then, lives now</span>` : ""}
      </p>
    </section>
  `;
}
