// A riverhead process, as an operator starts it.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.RIVERHEAD ?? join(process.env.CARGO_TARGET_DIR ?? "target", "debug", "riverhead");

/** A gateway on free ports of the loopback, and its configuration file. */
export class Gateway {
  /** Starts `riverhead demo` with these options. */
  static demo(options = [], environment = {}) {
    return new Gateway(["demo", ...options], environment).#listens();
  }

  /** Starts `riverhead serve` with this text as its file. */
  static serve(text, environment = {}) {
    const gateway = new Gateway([], environment);
    gateway.write(text);
    gateway.arguments = ["serve", "--config", gateway.path("riverhead.toml")];
    return gateway.#listens();
  }

  constructor(args, environment) {
    this.directory = mkdtempSync(join(tmpdir(), "riverhead-page-"));
    this.arguments = args;
    this.environment = environment;
    this.log = "";
  }

  path(name) {
    return join(this.directory, name);
  }

  /** Replaces the configuration file. */
  write(text) {
    writeFileSync(this.path("riverhead.toml"), text);
  }

  /** Sends SIGHUP. */
  reload() {
    this.process.kill("SIGHUP");
  }

  async #listens() {
    const free = { RIVERHEAD_HTTP__LISTEN: "127.0.0.1:0", RIVERHEAD_ADMIN__LISTEN: "127.0.0.1:0" };
    const env = { PATH: process.env.PATH, TMPDIR: this.directory, ...free, ...this.environment };
    this.process = spawn(BINARY, this.arguments, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.stderr.on("data", (data) => (this.log += data));
    let lines = "";
    await new Promise((resolve, reject) => {
      this.process.on("error", reject);
      this.process.on("exit", (code) => reject(new Error(`riverhead ended with ${code}:\n${this.log}`)));
      this.process.stdout.on("data", (data) => {
        lines += data;
        if (/^admin on \S+$/m.test(lines)) resolve();
      });
    });
    this.public = /^listening on (\S+)$/m.exec(lines)[1];
    this.admin = /^admin on (\S+)$/m.exec(lines)[1];
    return this;
  }

  /** Starts the same again at the same addresses. */
  async restart() {
    this.environment = {
      ...this.environment,
      RIVERHEAD_HTTP__LISTEN: new URL(this.public).host,
      RIVERHEAD_ADMIN__LISTEN: new URL(this.admin).host,
    };
    return this.#listens();
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  async end() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
