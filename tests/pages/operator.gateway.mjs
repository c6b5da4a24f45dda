// A gateway with a configuration file that a test replaces, as an operator does.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Gateway } from "./gateway.mjs";

export class Configured {
  static async start(text) {
    const configured = new Configured();
    configured.directory = mkdtempSync(join(tmpdir(), "riverhead-operator-"));
    configured.config = join(configured.directory, "riverhead.toml");
    configured.write(text);
    await configured.begin("127.0.0.1:0", "127.0.0.1:0");
    return configured;
  }

  async begin(http, admin) {
    this.gateway = await Gateway.start(["serve", "--config", this.config], { RIVERHEAD_HTTP__LISTEN: http, RIVERHEAD_ADMIN__LISTEN: admin });
    this.admin = this.gateway.admin;
  }

  /** Replaces the file. */
  write(text) {
    writeFileSync(this.config, text);
  }

  /** Lets the process read the file again. */
  reload() {
    this.gateway.process.kill("SIGHUP");
  }

  /** Kills the process. */
  kill() {
    return this.gateway.stop();
  }

  /** Starts another process at the same addresses. */
  again() {
    return this.begin(new URL(this.gateway.url).host, new URL(this.admin).host);
  }

  async stop() {
    await this.gateway.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
