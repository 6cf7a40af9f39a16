/**
 * The way to the server: the token of the link, questions, and the stream of what happens. Not by
 * EventSource, which cannot send the token.
 */

const TOKEN_KEY = "toom.token";
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;
/** The server says something at least every 15 s. */
const SILENCE_MS_MAX = 40_000;
/** Of one message; the largest is the first, with all users. */
const CHARACTERS_MAX = 20_000_000;

/**
 * Takes the token out of the address, where others could read it over a shoulder, and keeps it for this tab.
 *
 * @returns What is left of the fragment.
 */
export function takeToken(location, history, storage) {
  const parts = location.hash.replace(/^#/, "").split("&").filter((part) => part !== "");
  const token = parts.find((part) => part.startsWith("token="));
  const rest = parts.filter((part) => part !== token).join("&");
  if (token !== undefined) {
    storage.setItem(TOKEN_KEY, token.slice("token=".length));
    history.replaceState(null, "", `${location.pathname}${rest === "" ? "" : `#${rest}`}`);
  }
  return rest;
}

/** The server does not let this page in. */
export class RefusedError extends Error {}

export class Connection {
  #storage;
  #abort = undefined;

  constructor(storage) {
    this.#storage = storage;
  }

  /** Begins to listen anew, with all that there is. */
  again() {
    this.#abort?.abort();
  }

  #headers() {
    const token = this.#storage.getItem(TOKEN_KEY);
    return token === null ? {} : { authorization: `Bearer ${token}` };
  }

  /** Asks once. @throws {Error} One line. */
  async ask(path) {
    const response = await fetch(path, { headers: this.#headers(), cache: "no-store" });
    if (response.status === 401) throw new RefusedError("the link is not valid any more");
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error ?? `status ${response.status}`);
    return answer;
  }

  /**
   * Listens for ever, again and again.
   *
   * @param onMessage Called with the name of each message and what it says.
   * @param onState Called with `live`, `lost` or `refused`.
   */
  async listen(onMessage, onState) {
    let retryMs = RETRY_MS_MIN;
    for (;;) {
      try {
        await this.#listenOnce((event, data) => {
          retryMs = RETRY_MS_MIN;
          onMessage(event, data);
        }, onState);
        onState("lost");
      } catch (error) {
        if (error instanceof RefusedError) {
          onState("refused");
          return;
        }
        onState("lost");
      }
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
    }
  }

  async #listenOnce(onMessage, onState) {
    const abort = this.#abort = new AbortController();
    await this.stream("/api/live", abort, onMessage, () => onState("live"));
  }

  /**
   * Reads Server-Sent Events until their end, or until they are aborted.
   *
   * @param abort Also aborted here, where the server says nothing for long.
   * @param onMessage Called with the name of each message and what it says.
   * @param onBegin Called when the server has let this page in.
   */
  async stream(path, abort, onMessage, onBegin = () => {}) {
    let timer = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
    try {
      const response = await fetch(path, {
        headers: this.#headers(),
        cache: "no-store",
        signal: abort.signal,
      });
      if (response.status === 401) throw new RefusedError("the link is not valid any more");
      if (!response.ok) {
        const { error } = await response.json().catch(() => ({}));
        throw new Error(error ?? `status ${response.status}`);
      }
      onBegin();
      const parser = new EventParser(onMessage);
      const decoder = new TextDecoder();
      for await (const chunk of chunksOf(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
        parser.take(decoder.decode(chunk, { stream: true }));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

async function* chunksOf(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Takes a stream of Server-Sent Events apart, in whatever pieces it comes. */
export class EventParser {
  #onMessage;
  #text = "";

  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  take(text) {
    this.#text += text;
    if (this.#text.length > CHARACTERS_MAX) throw new Error("a message is too long");
    for (let end = this.#text.indexOf("\n\n"); end >= 0; end = this.#text.indexOf("\n\n")) {
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const valueOf = (name) =>
        lines.filter((line) => line.startsWith(`${name}: `))
          .map((line) => line.slice(name.length + 2)).join("\n");
      const data = valueOf("data");
      if (data !== "") this.#onMessage(valueOf("event"), JSON.parse(data));
    }
  }
}
