// A relay (coturn) that can be killed, as the only path between browsers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

const DEADLINE_MS = 20_000;

export class Relay {
  #process = null;
  #port;
  #options;

  /** `port`, and who may use it: what the server gives to its members. */
  constructor({ port, username, password }) {
    this.#port = port;
    this.#options = [
      "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-udp", "--log-file=stdout", "--pidfile=/dev/null", "--lt-cred-mech", "--realm=test",
      "--listening-ip=127.0.0.1", `--listening-port=${port}`, "--relay-ip=127.0.0.1", "--allow-loopback-peers", `--user=${username}:${password}`,
    ];
  }

  /** Run; resolves once it takes connections. */
  async start() {
    this.#process = spawn("turnserver", this.#options, { stdio: "ignore" });
    const given = Date.now() + DEADLINE_MS;
    while (!(await this.#answers())) {
      if (Date.now() > given || this.#process.exitCode !== null) throw new Error("coturn does not start");
      await pause(50);
    }
  }

  /** End at once: every path over it is gone. */
  async kill() {
    if (this.#process === null) return;
    const ended = this.#process.exitCode === null ? once(this.#process, "exit") : null;
    this.#process.kill("SIGKILL");
    await ended;
    this.#process = null;
  }

  async #answers() {
    const socket = connect(this.#port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
