/** Starts the page of a recording: asks what it was, and what would have been. */
import { isOther, PERCENT_THEN, questionPath } from "./answers.js";
import { Connection, takeToken } from "./connection.js";
import { html, render } from "./html.js";
import { Theme } from "./theme.js";
import { RecordingApp } from "./view_recording.js";

/** A slider that moves asks when it has stood still for so long. */
const ASK_AFTER_MS = 150;

class RecordingPage {
  /** What the server says of the recording; undefined: not yet. */
  recording = undefined;
  /** As it would have been. */
  now = undefined;
  question = { percent: PERCENT_THEN, uid: undefined, victim: undefined };
  /** Whose chart is shown. */
  uid = undefined;
  /** How far the replay is, 0 to 1; undefined: none runs. */
  progress = undefined;
  problem = undefined;
  theme = new Theme(() => this.draw());
  #connection = new Connection(sessionStorage);
  #timer = undefined;
  #abort = undefined;
  #isDue = false;

  async start() {
    takeToken(location, history, sessionStorage);
    this.draw();
    try {
      this.recording = await this.#connection.ask("/api/recording");
      this.now = this.recording.answer;
      document.title = `toom: ${this.recording.name}`;
    } catch (error) {
      this.problem = error.message;
    }
    this.draw();
  }

  /** Asks for something else; what is left out stays. */
  choose(changes) {
    this.question = { ...this.question, ...changes };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), ASK_AFTER_MS);
    this.draw();
  }

  show(uid) {
    this.uid = uid;
    this.draw();
  }

  async #ask() {
    this.#abort?.abort();
    const abort = this.#abort = new AbortController();
    const { question } = this;
    if (!isOther(question)) {
      this.now = { ...this.recording.answer, question };
      this.progress = this.problem = undefined;
      this.draw();
      return;
    }
    this.progress = 0;
    this.draw();
    try {
      await this.#connection.stream(questionPath(question), abort, (event, data) => {
        if (abort !== this.#abort) return;
        if (event === "progress") this.progress = data;
        if (event === "problem") this.problem = data.problem;
        if (event === "answer") {
          this.now = data;
          this.problem = undefined;
        }
        this.draw();
      });
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = error.message;
    }
    if (abort !== this.#abort) return;
    this.progress = undefined;
    this.draw();
  }

  draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      const root = document.getElementById("app");
      if (root.firstElementChild?.className === "start") root.replaceChildren();
      render(html`<${RecordingApp} app=${this} />`, root);
    });
  }
}

void new RecordingPage().start();
