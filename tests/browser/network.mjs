// The network between a browser and the server, to be cut: a TCP proxy on a port of its own.
import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Network {
  #links = new Set();
  #polls = new Map(); // connections on which a poll of Engine.IO waits, with the number of it on that connection
  #server;
  #works = true;

  /** A network to the server at `url`; `.url` is where it begins. */
  static async to(url) {
    const network = new Network();
    const { hostname, port } = new URL(url);
    network.#server = createServer((near) => network.#carry(near, connect(Number(port), hostname)));
    network.#server.listen(0, "127.0.0.1");
    await once(network.#server, "listening");
    network.url = `http://127.0.0.1:${network.#server.address().port}`;
    return network;
  }

  /** Cut every connection (a reset, without a word), and let no new one through. */
  cut() {
    this.#works = false;
    for (const socket of this.#links) socket.resetAndDestroy();
  }

  /** Of each poll that waits: the how manieth request of its connection it is. */
  get polls() {
    return [...this.#polls.values()];
  }

  /** Cut the connections on which polls wait (a reset, without a word). Browsers repeat such a request by themselves. */
  cutPolls() {
    for (const socket of this.#polls.keys()) socket.resetAndDestroy();
    this.#polls.clear();
  }

  mend() {
    this.#works = true;
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #carry(near, far) {
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#links.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#links.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
    let requests = 0;
    near.on("data", (data) => {
      const [method, path] = data.toString("latin1", 0, 100).split(" ");
      if (method === "GET" || method === "POST") requests += 1;
      if (method === "GET" && path.startsWith("/socket.io/") && path.includes("sid=")) this.#polls.set(near, requests);
    });
    far.on("data", () => this.#polls.delete(near));
    near.on("close", () => this.#polls.delete(near));
    if (!this.#works) near.resetAndDestroy();
  }
}
