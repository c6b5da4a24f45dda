// Chromium without a window, driven over a pipe by its DevTools protocol. Needs no package of npm.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long to wait for something that must happen, in milliseconds: other work may run beside a test. */
export const PATIENCE = 60_000;

/** Where pictures go. */
export const SCREENSHOTS = join(process.env.CARGO_TARGET_DIR ?? "target", "screenshots");

/** A running Chromium. */
export class Browser {
  #process;
  #profile;
  #rest = Buffer.alloc(0);
  #next = 1;
  #answers = new Map();
  #listeners = new Map();

  /** Starts it with these arguments besides its usual ones. */
  static async start(...more) {
    const browser = new Browser();
    browser.#profile = mkdtempSync(join(tmpdir(), "riverhead-chromium-"));
    const options = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--no-first-run",
      "--hide-scrollbars",
      "--force-color-profile=srgb",
      "--remote-debugging-pipe",
      `--user-data-dir=${browser.#profile}`,
      ...more,
    ];
    browser.#process = spawn(process.env.CHROMIUM ?? "chromium", options, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.#process.on("error", (error) => {
      throw error;
    });
    browser.#process.stdio[4].on("data", (data) => browser.#read(data));
    browser.#process.stdio[3].on("error", () => {});
    await browser.send("Browser.getVersion");
    return browser;
  }

  #read(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (let end; (end = this.#rest.indexOf(0)) >= 0; ) {
      const message = JSON.parse(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end + 1);
      if (message.id) {
        const { resolve, reject, method } = this.#answers.get(message.id);
        this.#answers.delete(message.id);
        if (message.error) reject(new Error(`${method}: ${message.error.message}`));
        else resolve(message.result);
      } else {
        this.#listeners.get(message.sessionId)?.(message.method, message.params);
      }
    }
  }

  send(method, params = {}, sessionId) {
    const id = this.#next++;
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject, method }));
  }

  /** Opens a page of its own profile: a window of this size, in this colour scheme. */
  async open(url, { width = 1360, height = 850, dark = false, phone = false, bypassCSP = false, expects = [] } = {}) {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId, new URL(url).origin, expects);
    this.#listeners.set(sessionId, (method, params) => page.onEvent(method, params));
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await page.send(`${domain}.enable`);
    await page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone });
    await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    await this.send("Browser.grantPermissions", { origin: new URL(url).origin, permissions: ["clipboardReadWrite", "clipboardSanitizedWrite"], browserContextId });
    if (bypassCSP) await page.send("Page.setBypassCSP", { enabled: true });
    await page.go(url);
    return page;
  }

  async close() {
    const gone = new Promise((resolve) => this.#process.on("exit", resolve));
    this.send("Browser.close").catch(() => {});
    const killer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await gone;
    clearTimeout(killer);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** One page. It keeps what it complains of and whom it asks. */
export class Page {
  /** What the page said on its console, exceptions, and what the browser said of it. */
  complaints = [];
  /** All URLs that were asked for. */
  requests = [];
  /** The answers to them whose head has come, as the browser tells of them: `url`, `status`, `protocol`, `connectionId`. */
  answers = [];
  /** The statuses of all answers that came over the network, by URL, also of those that the page may not see. */
  statuses = new Map();
  #urls = new Map();

  constructor(browser, sessionId, targetId, origin, expects) {
    Object.assign(this, { browser, sessionId, targetId, origin, expects });
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  onEvent(method, params) {
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.complaints.push(params.args.map(({ value, description }) => value ?? description).join(" "));
    } else if (method === "Runtime.exceptionThrown") {
      this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Network.requestWillBeSent") {
      this.requests.push(params.request.url);
      this.#urls.set(params.requestId, params.request.url);
    } else if (method === "Network.responseReceivedExtraInfo") {
      this.statuses.set(this.#urls.get(params.requestId), params.statusCode);
    } else if (method === "Network.responseReceived") {
      this.answers.push(params.response);
    } else if (method === "Fetch.requestPaused") {
      const responseHeaders = [{ name: "content-type", value: "text/html" }];
      // The page may be closed meanwhile.
      this.send("Fetch.fulfillRequest", { requestId: params.requestId, responseCode: 200, responseHeaders }).catch(() => {});
    }
  }

  /** Follows a URL, and waits until the page has run. */
  async go(url) {
    await this.send("Page.navigate", { url });
    await this.until("document.readyState === 'complete'");
  }

  /** Shows an empty page of this origin, without asking anybody for it. */
  async goEmpty(origin) {
    await this.send("Fetch.enable", { patterns: [{ urlPattern: `${origin}/` }] });
    await this.go(`${origin}/`);
    await this.send("Fetch.disable");
  }

  /** Returns the value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true, and returns its value. */
  async until(expression, patience = PATIENCE) {
    const start = Date.now();
    for (;;) {
      const value = await this.value(expression).catch((error) => {
        // While a page is replaced it has no context.
        if (/context|navigat/i.test(error.message)) return null;
        throw error;
      });
      if (value) return value;
      if (Date.now() - start > patience) {
        await this.screenshot("failure").catch(() => {});
        throw new Error(`never true: ${expression}; the page says: ${await this.value("document.body.innerText.slice(0, 700)")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  text(selector) {
    return this.value(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? null`);
  }

  /** Clicks with the mouse on the middle of what the selector finds. */
  async click(selector) {
    const find = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`!!${find}`);
    const { x, y } = await this.value(`(() => { const e = ${find}; e.scrollIntoView({ block: "nearest" }); const { x, y, width, height } = e.getBoundingClientRect(); return { x: x + width / 2, y: y + height / 2 }; })()`);
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
    }
  }

  /** Replaces the text of a field as a person does. */
  async type(selector, text) {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.value(`document.querySelector(${JSON.stringify(selector)}).select()`);
    if (text === "") await this.press("Backspace");
    else await this.send("Input.insertText", { text });
  }

  async press(key) {
    const code = { Enter: 13, Escape: 27, Tab: 9, ArrowDown: 40, ArrowUp: 38, Backspace: 8, " ": 32 }[key];
    const text = { Enter: "\r", " ": " " }[key] ?? (key.length === 1 ? key : undefined);
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", key, windowsVirtualKeyCode: code, text });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", key, windowsVirtualKeyCode: code });
  }

  /** Keeps a picture of the page as it is. */
  async screenshot(name) {
    mkdirSync(SCREENSHOTS, { recursive: true });
    writeFileSync(join(SCREENSHOTS, `${name}.png`), await this.picture({ format: "png" }));
  }

  /** Returns a picture of the page as it is: `{format, quality}`. */
  async picture(options) {
    const { data } = await this.send("Page.captureScreenshot", options);
    return Buffer.from(data, "base64");
  }

  /** Fails if the page has complained, but for what was expected, or has asked anybody but its own gateway. */
  check() {
    const complaints = this.complaints.filter((text) => !this.expects.some((expected) => expected.test(text)));
    if (complaints.length) throw new Error(`the page complains: ${complaints.join("\n")}`);
    const outside = this.requests.filter((url) => !url.startsWith(`${this.origin}/`) && !url.startsWith("data:"));
    if (outside.length) throw new Error(`requests to others: ${outside.join(" ")}`);
  }

  async close() {
    await this.browser.send("Target.closeTarget", { targetId: this.targetId });
  }
}
