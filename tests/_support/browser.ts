/**
 * A real Chromium for tests of the page, without a window, driven over its DevTools protocol: pages are
 * opened, keys pressed, elements clicked, and screens photographed.
 *
 * https://chromedevtools.github.io/devtools-protocol/
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { hasFile } from "./real_kernel.ts";

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** undefined: there is none. Debian has it in the package chromium. */
export const CHROMIUM = PROGRAMS.find(hasFile);
export const CHROMIUM_NEEDS = "chromium (apt install chromium)";

const START_MS_MAX = 60_000;
const ANSWER_MS_MAX = 60_000;
const POLL_MS = 50;

type Params = Readonly<Record<string, unknown>>;
interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly message: string };
}

/** How a screen is. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  /** A phone's: by touch, and as wide as it says. */
  readonly isPhone?: boolean;
  readonly isDark?: boolean;
}

export class Browser implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly dir: string;
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly tabs = new Map<string, Tab>();
  private number = 0;

  private constructor(child: Deno.ChildProcess, dir: string, socket: WebSocket) {
    this.child = child;
    this.dir = dir;
    this.socket = socket;
    socket.onmessage = ({ data }): void => {
      const answer = JSON.parse(String(data)) as Answer;
      if (answer.id !== undefined) this.waiting.get(answer.id)?.(answer);
      else this.tabs.get(answer.sessionId ?? "")?.note(answer.method!, answer.params ?? {});
    };
  }

  get pid(): number {
    return this.child.pid;
  }

  static async start(args: readonly string[] = []): Promise<Browser> {
    const dir = Deno.makeTempDirSync({ prefix: "toom-browser-" });
    const child = new Deno.Command(CHROMIUM!, {
      args: [
        "--headless=new",
        "--no-sandbox", // As root there is none.
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--lang=en-US",
        `--user-data-dir=${dir}`,
        "--remote-debugging-port=0",
        ...args,
        "about:blank",
      ],
      env: { TZ: "UTC" },
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const address = Promise.withResolvers<string>();
    void (async (): Promise<void> => {
      const lines: TransformStream<string, string> = new TextLineStream();
      for await (
        const line of child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(lines)
      ) {
        const found = /^DevTools listening on (ws:\S+)/.exec(line);
        if (found !== null) address.resolve(found[1]!);
      }
      address.reject(new Error("chromium has ended"));
    })();
    const timer = setTimeout(() => child.kill("SIGKILL"), START_MS_MAX);
    try {
      const socket = new WebSocket(await address.promise);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      return new Browser(child, dir, socket);
    } catch (error) {
      await child.status;
      Deno.removeSync(dir, { recursive: true });
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A tab that shows nothing yet. */
  async open(screen: Screen): Promise<Tab> {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, String(sessionId), String(targetId));
    this.tabs.set(String(sessionId), tab);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await tab.call(`${domain}.enable`);
    await tab.show(screen);
    return tab;
  }

  /** @throws {Error} When the browser says no, or nothing. */
  async call(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = ++this.number;
    const answer = await new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`chromium does not answer to ${method}`)),
        ANSWER_MS_MAX,
      );
      this.waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      const session = sessionId === undefined ? {} : { sessionId };
      this.socket.send(JSON.stringify({ id, method, params, ...session }));
    });
    this.waiting.delete(id);
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result ?? {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.socket.onclose = resolve);
    try {
      await this.call("Browser.close");
    } catch {
      this.child.kill("SIGKILL");
    }
    await closed;
    await this.child.status;
    await Deno.remove(this.dir, { recursive: true }).catch(() => {});
  }
}

export class Tab {
  /** What the page has complained of: errors, what its policy forbade, what it could not fetch. */
  readonly complaints: string[] = [];
  /** Addresses that it asked for. */
  readonly requests: string[] = [];
  private readonly browser: Browser;
  private readonly session: string;
  private readonly target: string;

  constructor(browser: Browser, session: string, target: string) {
    this.browser = browser;
    this.session = session;
    this.target = target;
  }

  async call(method: string, params: Params = {}): Promise<Params> {
    return await this.browser.call(method, params, this.session);
  }

  note(method: string, params: Params): void {
    const { entry, exceptionDetails, request, type, args } = params as {
      readonly entry?: { readonly level: string; readonly text: string; readonly url?: string };
      readonly exceptionDetails?: {
        readonly text: string;
        readonly exception?: { readonly description?: string };
      };
      readonly request?: { readonly url: string };
      readonly type?: string;
      readonly args?: readonly { readonly value?: unknown }[];
    };
    if (method === "Network.requestWillBeSent") this.requests.push(request!.url);
    if (method === "Log.entryAdded" && entry!.level !== "info" && entry!.level !== "verbose") {
      this.complaints.push(`${entry!.text} ${entry!.url ?? ""}`);
    }
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = exceptionDetails!;
      this.complaints.push(exception?.description ?? text);
    }
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(type!)) {
      this.complaints.push(args!.map(({ value }) => String(value)).join(" "));
    }
  }

  async show({ width, height, isPhone = false, isDark = false }: Screen): Promise<void> {
    await this.call("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: isPhone,
    });
    await this.call("Emulation.setTouchEmulationEnabled", { enabled: isPhone });
    await this.call("Emulation.setEmulatedMedia", {
      features: [
        { name: "prefers-color-scheme", value: isDark ? "dark" : "light" },
        { name: "prefers-reduced-motion", value: "reduce" },
      ],
    });
  }

  async go(url: string): Promise<void> {
    const { errorText } = await this.call("Page.navigate", { url });
    if (errorText !== undefined && errorText !== "") throw new Error(`${url}: ${errorText}`);
    await this.until("document.readyState === 'complete'");
  }

  /** The value of an expression in the page; promises are waited for. */
  async value<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    }) as { result: { value: Value }; exceptionDetails?: { exception?: { description: string } } };
    if (exceptionDetails === undefined) return result.value;
    throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
  }

  /** Waits until an expression is true. @throws {Error} After some seconds. */
  async until(expression: string, timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!await this.value(`Boolean(${expression})`)) {
      if (performance.now() > deadlineMs) {
        const text = await this.value<string>("document.body.innerText.slice(0, 600)");
        throw new Error(`never: ${expression}\n${this.complaints.join("\n")}\n${text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The text of what a selector finds; "" when it finds nothing. */
  async text(selector: string): Promise<string> {
    return await this.value(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`);
  }

  /** Presses the left button in the middle of an element. */
  async click(selector: string): Promise<void> {
    const at = await this.value<{ x: number; y: number } | null>(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      if (element === null) return null;
      element.scrollIntoView({ block: "center" });
      const { x, y, width, height } = element.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`);
    if (at === null) throw new Error(`nothing to click: ${selector}`);
    for (const type of ["mouseMoved", "mousePressed", "mouseReleased"]) {
      await this.call("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
    }
    await this.drawn();
  }

  /** Waits until what was to be drawn is. */
  async drawn(): Promise<void> {
    await this.value(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
    );
  }

  /** Presses a key: a letter, or a name such as `Enter` or `ArrowDown`. */
  async press(key: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = {
      Enter: 13,
      Escape: 27,
      Tab: 9,
      ArrowDown: 40,
      ArrowUp: 38,
    };
    const text = key.length === 1 ? { text: key } : key === "Enter" ? { text: "\r" } : {};
    const windowsVirtualKeyCode = codes[key] ?? key.toUpperCase().charCodeAt(0);
    await this.call("Input.dispatchKeyEvent", {
      type: "keyDown",
      key,
      windowsVirtualKeyCode,
      ...text,
    });
    await this.call("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode });
  }

  /** What there is to see, or all of the page, as PNG. */
  async photograph(isWhole = false): Promise<Uint8Array<ArrayBuffer>> {
    await this.drawn();
    const { data } = await this.call("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: isWhole,
      optimizeForSpeed: false,
    });
    return Uint8Array.fromBase64(String(data));
  }

  /** Elements as a screen reader has them: `role: name`, those without a name left out. */
  async accessible(): Promise<string[]> {
    const { nodes } = await this.call("Accessibility.getFullAXTree") as {
      readonly nodes: readonly {
        readonly ignored: boolean;
        readonly role?: { readonly value: string };
        readonly name?: { readonly value: string };
      }[];
    };
    return nodes.filter(({ ignored }) => !ignored)
      .map(({ role, name }) => `${role?.value ?? ""}: ${name?.value ?? ""}`);
  }

  async close(): Promise<void> {
    await this.browser.call("Target.closeTarget", { targetId: this.target });
  }
}
