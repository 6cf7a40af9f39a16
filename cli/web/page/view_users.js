/** The table of users: bars against soft and hard. */
import { formatBytes, formatPart, formatSeconds, harmless, show } from "./format.js";
import { html, Part } from "./html.js";
import { secondsToHard, usedPart } from "./store.js";

/** Rows at first; the others are drawn when somebody asks for them. */
export const ROWS_FIRST = 50;

/** Columns: the field, and on which screens it is. */
const COLUMNS = [
  { name: "usagePages", className: "wide" },
  { name: "hardPages", className: "wide" },
  { name: "growthPagesPerSecond", className: "widest" },
  { name: "processes", className: "wide" },
  { name: "kills", className: "" },
];

const STATES = { ok: "", soft: "above soft", hard: "above hard" };

/** Usage against soft and hard, in a sentence. */
function usageText(user, pageBytes) {
  const size = (pages) => formatBytes(pages * pageBytes);
  return `${formatPart(usedPart(user))}: ${size(user.usagePages)} of ${size(user.hardPages)}, ` +
    `soft ${size(user.softPages)}`;
}

/** A bar ends at hard; the line in it is soft. */
export function Bar({ user, pageBytes }) {
  const part = usedPart(user);
  const soft = user.hardPages === 0 ? 1 : user.softPages / user.hardPages;
  return html`
    <span class=${`bar ${user.state}`} role="meter" aria-label="used" aria-valuemin="0"
      aria-valuemax="100" aria-valuenow=${Math.min(100, Math.round(part * 100))}
      aria-valuetext=${usageText(user, pageBytes)} title=${usageText(user, pageBytes)}>
      <span class="fill" style=${{ width: `${Math.min(100, part * 100)}%` }}></span>
      <span class="soft" style=${{ left: `${soft * 100}%` }}></span>
    </span>
  `;
}

class UserRow extends Part {
  render({ user, fields, pageBytes, isSelected, isTabStop, app }) {
    const left = secondsToHard(user);
    const words = [STATES[user.state], user.inDoubt ? "in doubt" : ""].filter((word) =>
      word !== ""
    );
    const hurry = left < 60 ? `hard in ${formatSeconds(left)}` : "";
    return html`
      <tr class=${`${user.state} ${isSelected ? "selected" : ""}`} onClick=${() =>
        app.select(user.uid)}>
        <th scope="row">
          <button type="button" class="name" data-uid=${user.uid} aria-pressed=${isSelected}
            tabindex=${isTabStop ? 0 : -1}
            onClick=${(event) => {
              event.stopPropagation();
              app.select(user.uid);
            }}><bdi>${user.user === null ? `uid ${user.uid}` : harmless(user.user)}</bdi></button>
          <span class="uid">${user.user === null ? "" : user.uid}</span>
        </th>
        <td class="used">
          <${Bar} user=${user} pageBytes=${pageBytes} />
          <span class="part">${formatPart(usedPart(user))}</span>
          <span class="words">
            <span class="narrow">${formatBytes(user.usagePages * pageBytes)} of ${formatBytes(
              user.hardPages * pageBytes,
            )} </span>
            ${words.length === 0
              ? ""
              : html`<span class=${`word ${user.state}`}>${words.join(", ")}</span>`}
            ${hurry === "" ? "" : html`<span class="word hurry">${hurry}</span>`}
          </span>
        </td>
        ${COLUMNS.map(({ name, className }) =>
          html`
            <td key=${name} class=${`number ${className}`}>${show(
              fields[name],
              user[name],
              pageBytes,
            )}</td>
          `
        )}
      </tr>
    `;
  }
}

function Heading({ name, title, help, className, store, app }) {
  const isSorted = store.sort === name;
  const direction = store.order < 0 ? "descending" : "ascending";
  return html`
    <th scope="col" class=${className} aria-sort=${isSorted ? direction : "none"}>
      <button type="button" title=${`${help}; sort by it`} onClick=${() => app.sortBy(name)}>
        ${title}<span aria-hidden="true">${isSorted ? (store.order < 0 ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  `;
}

export function Users({ store, fields, app }) {
  const { toom, users } = store;
  const shown = store.shownUsers;
  const rows = shown.slice(0, app.rowsMax);
  const tabStop = rows.some(({ uid }) => uid === app.uid) ? app.uid : rows[0]?.uid;
  const heading = (name, title, help, className) =>
    html`<${Heading} key=${name} ...${{ name, title, help, className, store, app }} />`;
  return html`
    <section class="panel users" aria-labelledby="users-title">
      <div class="bar-head">
        <h2 id="users-title">Users</h2>
        <label class="search"><span class="sr">Only users with this name or uid</span>
          <input id="search" type="search" placeholder="Search  /" value=${store.filter}
            autocomplete="off" spellcheck="false"
            onInput=${(event) => app.filter(event.currentTarget.value)} /></label>
      </div>
      <table>
        <caption class="sr">Users against their limits. A bar ends at the hard limit, the line in it is
          soft.</caption>
        <thead><tr>
          ${heading("user", "USER", fields.user.help, "")}
          ${heading("used", "USED", "Usage as a part of the hard limit", "used")}
          ${COLUMNS.map(({ name, className }) =>
            heading(name, fields[name].column, fields[name].help, `number ${className}`)
          )}
        </tr></thead>
        <tbody>
          ${rows.map((user) =>
            html`
              <${UserRow} key=${user.uid} user=${user} fields=${fields} pageBytes=${toom.pageBytes}
                isSelected=${user.uid === app.uid} isTabStop=${user.uid === tabStop} app=${app} />
            `
          )}
        </tbody>
      </table>
      ${rows.length > 0
        ? ""
        : html`<p class="none">${
          users.size === 0 ? "No user has a limit." : "No user has this text."
        }</p>`}
      ${shown.length > rows.length
        ? html`<p class="none"><button type="button" class="tool" onClick=${() => app.showAll()}>
        Show all ${shown.length} users</button></p>`
        : ""}
    </section>
  `;
}

/** For the head of a user. */
export function timeText(user) {
  const left = secondsToHard(user);
  return left === Infinity ? "" : `hard in ${formatSeconds(left)} at this pace`;
}
