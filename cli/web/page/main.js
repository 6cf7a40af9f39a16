/** Starts the page: listens, keeps what is chosen, and draws. */
import { Connection, takeToken } from "./connection.js";
import { html, render } from "./html.js";
import { actionOf } from "./keys.js";
import { LiveSeries, nearestUsers } from "./series.js";
import { Store } from "./store.js";
import { Theme } from "./theme.js";
import { App } from "./view_app.js";
import { ROWS_FIRST } from "./view_users.js";

const EXPLAIN_EVERY_MS = 2000;
/** Who is in the chart of all is chosen anew this often. */
const OVERVIEW_EVERY_MS = 30_000;
const HOURS_NONE = { seconds: [], pages: [] };

class Page {
  uid = undefined;
  range = "live";
  live = new LiveSeries();
  /** Of the chosen user, by hours. */
  hours = HOURS_NONE;
  overview = [];
  explained = undefined;
  receipt = undefined;
  isHelp = false;
  isAllKills = false;
  rowsMax = ROWS_FIRST;
  #theme = new Theme(() => this.draw());
  #store = new Store();
  #connection = new Connection(sessionStorage);
  #fields = undefined;
  #isDue = false;
  #overviewAtMs = -Infinity;

  start() {
    const chosen = takeToken(location, history, sessionStorage);
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#goTo(location.hash.slice(1)));
    document.addEventListener("visibilitychange", () => this.draw());
    setInterval(() => void this.#explain(), EXPLAIN_EVERY_MS);
    this.#goTo(chosen);
    this.draw();
    void this.#connection.listen(
      (event, data) => this.#take(event, data),
      (state) => {
        this.#store.connection = state;
        if (state === "live" && this.#fields === undefined) void this.#begin();
        this.draw();
      },
    );
  }

  async #begin() {
    try {
      this.#fields = await this.#connection.ask("/api/fields");
      const { kills } = await this.#connection.ask("/api/kills");
      this.#store.addKills(kills);
    } catch {
      // What is not there is not shown; the stream tells whether the server lives.
    }
    this.draw();
  }

  #take(event, data) {
    const store = this.#store;
    if (store.isPaused) return;
    store.take(event, data);
    if (event === "snapshot" || event === "change") {
      this.live.take(store.atMs, store.users);
      const nowMs = performance.now();
      if (nowMs - this.#overviewAtMs > OVERVIEW_EVERY_MS || event === "snapshot") {
        this.#overviewAtMs = nowMs;
        this.overview = nearestUsers(store.users.values());
        this.live.keep([...this.overview, ...(this.uid === undefined ? [] : [this.uid])]);
        for (const uid of this.overview) void this.#loadLive(uid, event === "snapshot");
        if (event === "snapshot" && this.uid !== undefined) void this.#loadLive(this.uid, true);
      }
    }
    this.draw();
  }

  /** Draws with the next frame, and not while nobody can see it. */
  draw() {
    if (this.#isDue || document.hidden) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      const root = document.getElementById("app");
      if (root.firstElementChild?.className === "start") root.replaceChildren();
      render(html`<${App} store=${this.#store} fields=${this.#fields} app=${this} />`, root);
    });
  }

  // ---------------------------------------------------------------------------------- what is chosen

  select(uid) {
    const hash = uid === undefined ? "" : `user=${uid}`;
    if (location.hash.slice(1) !== hash) history.pushState(null, "", `/${hash && `#${hash}`}`);
    this.#goTo(hash);
    // On a small screen what was chosen is below the list.
    if (uid !== undefined && matchMedia("(max-width: 1000px)").matches) {
      requestAnimationFrame(() => {
        const title = document.getElementById("detail-title");
        title?.closest("section").scrollIntoView();
        title?.focus({ preventScroll: true });
      });
    }
  }

  openKill(id) {
    const former = this.uid === undefined ? "" : `user=${this.uid}&`;
    history.pushState(null, "", `/#${former}kill=${id}`);
    this.#goTo(location.hash.slice(1));
  }

  closeKill() {
    this.receipt = undefined;
    history.pushState(null, "", this.uid === undefined ? "/" : `/#user=${this.uid}`);
    this.draw();
  }

  /** Shows what the fragment of the address says, so that a link leads to it, and back goes back. */
  #goTo(hash) {
    const wanted = new URLSearchParams(hash);
    const uidText = wanted.get("user") ?? "";
    const uid = /^\d{1,10}$/.test(uidText) ? Number(uidText) : undefined;
    if (uid !== this.uid) {
      this.uid = uid;
      this.explained = undefined;
      this.hours = HOURS_NONE;
      if (uid !== undefined) {
        void this.#explain();
        void this.#loadLive(uid, false);
        void this.#loadHours();
      }
    }
    const id = wanted.get("kill");
    if (id === null) this.receipt = undefined;
    else if (this.receipt?.id !== id) void this.#loadReceipt(id);
    this.draw();
  }

  showRange(range) {
    this.range = range;
    this.hours = HOURS_NONE;
    void this.#loadHours();
    this.draw();
  }

  async #loadReceipt(id) {
    this.receipt = { id };
    try {
      const answer = await this.#connection.ask(`/api/kills/${encodeURIComponent(id)}`);
      if (this.receipt?.id === id) this.receipt = { id, ...answer };
    } catch (error) {
      if (this.receipt?.id === id) this.receipt = { id, problem: error.message };
    }
    this.draw();
  }

  async #loadLive(uid, isAnew) {
    if (!isAnew && this.live.has(uid)) return;
    try {
      const { atMs, usagePages } = await this.#connection.ask(`/api/series/${uid}`);
      this.live.begin(uid, atMs, usagePages);
    } catch {
      this.live.begin(uid, [], []);
    }
    this.draw();
  }

  async #loadHours() {
    const { uid, range } = this;
    if (uid === undefined || range === "live") return;
    try {
      const { atMs, usagePages } = await this.#connection.ask(`/api/series/${uid}?range=${range}`);
      if (this.uid !== uid || this.range !== range) return;
      this.hours = { seconds: atMs.map((ms) => ms / 1000), pages: usagePages };
    } catch {
      // The chart says that there is nothing.
    }
    this.draw();
  }

  async #explain() {
    const { uid } = this;
    if (uid === undefined || document.hidden || this.#store.isPaused) return;
    let explained;
    try {
      explained = await this.#connection.ask(`/api/explain/${uid}`);
    } catch (error) {
      explained = { problem: error.message };
    }
    if (this.uid !== uid) return;
    this.explained = explained;
    this.draw();
  }

  // ------------------------------------------------------------------------------------ what is pressed

  #key(event) {
    // A window has its own keys.
    if (document.querySelector("dialog[open]") !== null) return;
    const action = actionOf(event);
    if (action === undefined) return;
    event.preventDefault();
    switch (action) {
      case "search":
        document.getElementById("search")?.focus();
        break;
      case "next":
        this.#move(1);
        break;
      case "previous":
        this.#move(-1);
        break;
      case "back":
        if (document.activeElement?.id === "search" && this.#store.filter !== "") this.filter("");
        else this.select(undefined);
        break;
      case "pause":
        this.pause();
        break;
      case "theme":
        this.nextTheme();
        break;
      case "help":
        this.help();
        break;
    }
  }

  /** Moves the focus among the users; Enter chooses. */
  #move(step) {
    const names = [...document.querySelectorAll(".users .name")];
    if (names.length === 0) return;
    const at = names.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : names.length - 1) : at + step;
    names[Math.max(0, Math.min(names.length - 1, next))].focus();
  }

  sortBy(name) {
    this.#store.sortBy(name);
    this.draw();
  }

  filter(text) {
    this.#store.filter = text;
    this.draw();
  }

  showAll() {
    this.rowsMax = Infinity;
    this.draw();
  }

  showAllKills() {
    this.isAllKills = true;
    this.draw();
  }

  pause() {
    this.#store.isPaused = !this.#store.isPaused;
    // What was missed meanwhile comes with a new beginning.
    if (!this.#store.isPaused) this.#connection.again();
    this.draw();
  }

  help() {
    this.isHelp = true;
    this.draw();
  }

  closeHelp() {
    this.isHelp = false;
    this.draw();
  }

  nextTheme() {
    this.#theme.next();
    this.draw();
  }

  get themeName() {
    return this.#theme.name;
  }

  get themeKey() {
    return this.#theme.key;
  }
}

new Page().start();
