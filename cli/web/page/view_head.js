/** The head of the page: how toom is, and the machine at a glance. */
import {
  formatBytes,
  formatPart,
  formatSeconds,
  formatTime,
  harmless,
  userName,
} from "./format.js";
import { html } from "./html.js";

const CONNECTIONS = {
  waiting: ["wait", "asking"],
  live: ["good", "live"],
  lost: ["bad", "connection lost"],
  refused: ["bad", "not let in"],
};

export function Head({ store, app }) {
  const { toom, machine, connection, isPaused, problem } = store;
  const isStale = connection !== "live" || problem !== undefined;
  const [mood, word] = connection === "live" && isStale
    ? ["bad", "no answer"]
    : CONNECTIONS[connection];
  return html`
    <header>
      <h1><img src="/page/icon.svg" alt="" width="28" height="28" />toom</h1>
      <p class="where">
        ${machine === undefined ? "" : html`<strong>${harmless(machine.name)}</strong>`}
        ${toom === undefined
          ? ""
          : ` ${harmless(toom.version)}, up ${
            formatSeconds(toom.uptimeSeconds)
          }, source ${toom.source}` +
            (toom.dryRun ? ", dry run" : "")}
      </p>
      <p class="pills" role="status">
        ${toom === undefined || isStale ? "" : html`
          <span class=${`pill ${toom.degraded ? "bad" : "good"}`}>
            ${toom.degraded ? "books degraded" : "books in order"}
          </span>
        `}
        <span class=${`pill ${isPaused ? "wait" : mood}`}>${isPaused ? "paused" : word}</span>
      </p>
      <p class="tools">
        <button type="button" class="tool" onClick=${() => app.pause()} aria-pressed=${isPaused}
          title="stand still, and go on (p)">${isPaused ? "Go on" : "Pause"}</button>
        <button type="button" class="tool" onClick=${() => app.nextTheme()}
          title="light, dark, or as the system has it (t)">Theme: ${app.themeName}</button>
        <button type="button" class="tool" onClick=${() =>
          app.help()} title="keys (?)">Keys</button>
      </p>
    </header>
  `;
}

/** What stands in the way of what is shown being true. */
export function Problem({ store }) {
  const { problem, connection, atMs } = store;
  if (connection === "refused") {
    return html`
      <div class="problem" role="alert">
        <p><strong>This page was not let in.</strong> Open it by the link that
        <code>toom web --link</code> prints: it has the token in it.</p>
      </div>
    `;
  }
  const since = atMs === 0 ? "" : ` What is shown is of ${formatTime(atMs)}.`;
  if (connection === "lost") {
    return html`<p class="problem" role="alert">The page's server does not answer; it is asked
      again.${since}</p>`;
  }
  if (problem !== undefined) {
    return html`<p class="problem" role="alert">${problem}.${since}</p>`;
  }
  return null;
}

function Tile({ title, value, more, bar, help }) {
  return html`
    <div class="tile" title=${help}>
      <dt>${title}</dt>
      <dd>
        <span class="big">${value}</span>
        ${bar === undefined ? "" : html`
          <span class="bar" aria-hidden="true">
            <span class="fill" style=${{ width: `${Math.min(100, bar * 100)}%` }}></span>
          </span>
        `}
        <span class="more">${more}</span>
      </dd>
    </div>
  `;
}

export function Tiles({ store, fields }) {
  const { toom, machine, users } = store;
  if (toom === undefined) return null;
  const usedBytes = machine.totalBytes - machine.availableBytes;
  const all = [...users.values()];
  const above = all.filter(({ state }) => state !== "ok").length;
  const doubts = all.filter(({ inDoubt }) => inDoubt).length;
  const last = store.killsOf()[0];
  const { kills, events, near, memory } = toom;
  const failures = [
    kills.failed > 0 ? `${kills.failed} failed` : "",
    kills.spared > 0 ? `${kills.spared} spared` : "",
  ].filter((word) => word !== "").join(", ");
  const share = (part) => part === undefined ? "" : `${(part * 100).toFixed(1)} % CPU`;
  return html`
    <dl class="tiles" aria-label="The machine at a glance">
      <${Tile} title="Memory" value=${formatPart(usedBytes / machine.totalBytes)}
        bar=${usedBytes / machine.totalBytes}
        more=${`${formatBytes(machine.availableBytes)} of ${
          formatBytes(machine.totalBytes)
        } available`}
        help="Memory of the machine that is not available, by the kernel's estimate" />
      <${Tile} title="Users" value=${all.length}
        more=${`${above} above soft${doubts > 0 ? `, ${doubts} in doubt` : ""}`}
        help="Users with a limit" />
      <${Tile} title="Kills" value=${kills.total}
        more=${failures !== ""
          ? failures
          : last === undefined
          ? "none so far"
          : `last ${formatTime(last.at)}, ${userName(last)}`}
        help=${fields.killCounts.total.help} />
      <${Tile} title="Events" value=${`${Math.round(events.perSecond)}/s`}
        more=${near === undefined
          ? "each is read"
          : near.isNear
          ? "somebody is near: each page is booked"
          : "all are far: pages cost nothing"}
        help=${fields.events.perSecond.help} />
      <${Tile} title="toom itself" value=${formatBytes(memory.rssBytes)}
        more=${share(store.cpuShare)} help="What toom itself has resident, and its CPU" />
    </dl>
  `;
}
