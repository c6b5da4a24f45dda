// Gateways for the tests of pages: the binary itself, and one that says what a test tells it to say.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { PATIENCE } from "./browser.mjs";

const BINARY = join(process.env.CARGO_TARGET_DIR ?? "target", "debug", "riverhead");

/** Returns a port of the loopback that nobody uses. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A process of riverhead. */
export class Gateway {
  /** The lines that it printed. */
  lines = [];

  static async start(args, env = {}) {
    const gateway = new Gateway();
    gateway.process = spawn(BINARY, args, { env: { ...process.env, RUST_LOG: "warn", ...env }, stdio: ["ignore", "pipe", "ignore"] });
    createInterface(gateway.process.stdout).on("line", (line) => gateway.lines.push(line));
    gateway.url = `${await gateway.line(/^listening on (http:\S+)/)}/`;
    gateway.admin = await gateway.line(/^admin on (http:\S+)/);
    return gateway;
  }

  /** Starts the demo on free ports, with these settings by environment. */
  static demo(rate, env = {}, ...options) {
    return Gateway.start(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--rate", String(rate), ...options], env);
  }

  /** Returns what a line that it prints has in the first group of a pattern. */
  async line(pattern) {
    for (const start = Date.now(); ; await pause(20)) {
      const found = this.lines.map((line) => pattern.exec(line)).find(Boolean);
      if (found) return found[1];
      if (this.process.exitCode !== null) throw new Error(`riverhead ended: ${this.lines.join("\n")}`);
      if (Date.now() - start > PATIENCE) throw new Error(`never printed: ${pattern}`);
    }
  }

  async stop(signal = "SIGKILL") {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.kill(signal);
    await gone;
  }
}

const STREAMS = `[[streams]]
name = "recentchange"
topics = ["eqiad.mediawiki.recentchange", "codfw.mediawiki.recentchange"]
`;

/** A gateway before the brokers of a demo, which can be restarted while they run on. */
export class Restartable {
  /**
   * Starts it with the demo's stream, or with these streams. The configuration ends with `keys` of the last stream and with
   * `sections`; their files are relative to the directory, which `prepare` is called with.
   */
  static async start(demo, { streams = STREAMS, keys = "", sections = "", prepare = () => {} } = {}) {
    const restartable = new Restartable();
    const health = await (await fetch(`${demo.admin}/healthz`)).json();
    const bootstrap = health.clusters[0].bootstrap;
    restartable.directory = mkdtempSync(join(tmpdir(), "riverhead-pages-"));
    restartable.config = join(restartable.directory, "riverhead.toml");
    restartable.prepared = prepare(restartable.directory);
    writeFileSync(
      restartable.config,
      `[http]
listen = "127.0.0.1:${await freePort()}"
drain = "1s"
[admin]
listen = "127.0.0.1:0"
[[clusters]]
name = "demo"
bootstrap = ${JSON.stringify(bootstrap)}
${streams}${keys}
${sections}
`,
    );
    await restartable.begin();
    return restartable;
  }

  async begin() {
    this.gateway = await Gateway.start(["serve", "--config", this.config]);
    this.url = this.gateway.url;
    // It is printed before the address of the admin listener.
    const tls = this.gateway.lines.map((line) => /^tls on (https:\S+)/.exec(line)).find(Boolean);
    this.https = tls && `${tls[1]}/`;
  }

  /** Lets a successor take over. */
  async restartHot() {
    const { lines } = this.gateway;
    const before = lines.filter((line) => line.startsWith("listening on")).length;
    this.gateway.process.kill("SIGUSR2");
    for (const start = Date.now(); lines.filter((line) => line.startsWith("listening on")).length === before; await pause(20)) {
      if (Date.now() - start > PATIENCE) throw new Error("no successor");
    }
  }

  /** Kills the process, and its successor if it has one, which nobody but its configuration tells. */
  async kill() {
    for (let pids; (pids = this.#pids()).length > 0; await pause(20)) {
      for (const pid of pids) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It has ended meanwhile.
        }
      }
    }
  }

  #pids() {
    const isOurs = (pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words.includes(this.config);
      } catch {
        return false;
      }
    };
    return readdirSync("/proc").map(Number).filter((pid) => pid > 0 && isOurs(pid));
  }

  async stop() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Creates a certificate for `localhost` in the files that `tlsSection` names. */
export function certificate(directory) {
  const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", join(directory, "key.pem"), "-out", join(directory, "cert.pem")];
  execFileSync("openssl", ["req", ...options, ...names, ...files], { stdio: "ignore" });
}

/** The section that serves it, with more keys. */
export const tlsSection = (more = "") => `[http.tls]
listen = "127.0.0.1:0"
certificates = [{ certificate = "cert.pem", key = "key.pem" }]
${more}`;

/** Creates an API key with the scope `read` in the file `keys.toml`, and returns it. */
export function apiKey(directory) {
  const options = ["key", "new", "--file", join(directory, "keys.toml"), "--name", "page", "--scope", "read"];
  return execFileSync(BINARY, options, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).match(/rvh_\w+/)[0];
}

/** A gateway that sends the page of a real one, and says what it is told otherwise. */
export class Scripted {
  /** How the next requests for streams are answered: `(request, response, number)`. */
  answer = (_, response) => open(response);
  /** The documents of `/v2/streams`. */
  streams = [stream("edits"), stream("clicks")];
  /** The requests for streams, as `{url, headers}`, and those for tickets. */
  asked = [];
  tickets = [];
  /** The answer to a request for a ticket: `[status, document]`. */
  ticket = () => [201, { ticket: `rvt_${this.tickets.length}` }];

  static async start(real) {
    const scripted = new Scripted();
    scripted.real = real;
    scripted.server = http.createServer((request, response) => scripted.#route(request, response)).listen(0, "127.0.0.1");
    await once(scripted.server, "listening");
    scripted.url = `http://127.0.0.1:${scripted.server.address().port}/`;
    return scripted;
  }

  #route(request, response) {
    const path = request.url.split("?")[0];
    if (path.startsWith("/v2/stream/")) {
      this.asked.push({ url: request.url, headers: request.headers });
      return this.answer(request, response, this.asked.length);
    }
    if (path === "/v2/tickets") {
      this.tickets.push(request.headers.authorization);
      return json(response, ...this.ticket(this.tickets.length));
    }
    if (path === "/v2/streams") return json(response, 200, { streams: this.streams });
    if (path.startsWith("/v2/streams/")) return json(response, 200, this.streams[0]);
    const forwarded = http.get(new URL(request.url, this.real), { headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Returns the document of a stream. */
export const stream = (name, more = {}) => ({
  name,
  uri: `/v2/stream/${name}`,
  description: `What there is of ${name}`,
  aliases: [],
  topics: [{ name, partitions: [{ partition: 0, earliest: { offset: 0, timestamp: 1 }, latest: { offset: 50, timestamp: 1 } }] }],
  payload: "json",
  schema: null,
  access: "public",
  filter_fields: [],
  rate: { minute: 1, hour: 1 },
  ...more,
});

/** Begins a stream. */
export function open(response) {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  response.write(":ok\n\n");
  return response;
}

/** Sends an event of the stream `edits` with this offset. */
export function event(response, offset, data, { name = "message", time = Date.now() } = {}) {
  const id = JSON.stringify([{ topic: "edits", partition: 0, offset: offset + 1, timestamp: time, log: "a.b.0" }]);
  response.write(`event: ${name}\nid: ${id}\ndata: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
}

/** Sends what has no id. */
export function notice(response, name, data) {
  response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** Refuses as riverhead does. */
export function refuse(response, status, type, title, detail, headers = {}) {
  json(response, status, { status, type, title, detail, method: "GET", uri: "/" }, headers);
}

function json(response, status, document, headers = {}) {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(JSON.stringify(document));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
