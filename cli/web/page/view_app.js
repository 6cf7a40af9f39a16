/** The whole page. */
import { html } from "./html.js";
import { KEYS } from "./keys.js";
import { Head, Problem, Tiles } from "./view_head.js";
import { Health } from "./view_health.js";
import { Dialog, Kills, News, Receipt } from "./view_kills.js";
import { Detail } from "./view_user.js";
import { Users } from "./view_users.js";

export function App({ store, fields, app }) {
  const isReady = store.toom !== undefined && fields !== undefined;
  const { receipt } = app;
  return html`
    <${Head} store=${store} app=${app} />
    <${Problem} store=${store} />
    <${News} store=${store} />
    ${isReady
      ? html`
        <main>
          <${Tiles} store=${store} fields=${fields} />
          <div class="columns">
            <div class="column">
              <${Users} store=${store} fields=${fields.user} app=${app} />
              <${Kills} store=${store} fields=${fields.kill} app=${app} />
            </div>
            <${Detail} store=${store} fields=${fields} app=${app} />
          </div>
          <${Health} store=${store} fields=${fields} />
        </main>
      `
      : store.connection === "refused" || store.problem !== undefined
      ? ""
      : html`
        <p class="start">toom is being asked.</p>
      `}
    ${receipt === undefined || fields === undefined
      ? ""
      : html`<${Receipt} key=${receipt.id} receipt=${receipt} fields=${fields} app=${app} />`}
    ${app.isHelp ? html`<${Help} app=${app} />` : ""}
  `;
}

function Help({ app }) {
  return html`
    <${Dialog} title="Keys" onClose=${() => app.closeHelp()}>
      <dl class="keys">${KEYS.map(({ key, shown, also, help }) =>
        html`
          <div key=${key}>
            <dt><kbd>${shown ?? key}</kbd>${also === undefined ? "" : html`
              <kbd>${also}</kbd>
            `}</dt>
            <dd>${help}</dd>
          </div>
        `
      )}</dl>
      <p
        class="more">A bar ends at the hard limit; the line in it is soft. Numbers have the same names as in
        toom status, toom top and the metrics; hold the pointer over one to read what it is.</p>
      <//>
  `;
}
