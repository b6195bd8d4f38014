/**
 * Connection of a page to a live match: passes the server's messages (web/wire.py) to the viewer.
 *
 * After a broken connection it reconnects and continues at the same row. Rows that the server
 * skipped because this page was slow are requested once the newest ones have arrived.
 */
const RETRIES = [500, 1000, 2000, 4000, 8000]; // ms
const CALM = 1500; // ms without a gap before skipped rows are requested
const FINAL = new Set([1008, 1013, 1000]); // close codes after which there is no retry

export class Feed {
  /**
   * @param {any} viewer
   * @param {number} match
   * @param {Record<string, (message: any) => void>} handlers  called with each message, by its
   *   kind; `lost` when the connection has ended for good
   * @param {string[]} [players]  names to show instead of the specs of the agents
   */
  constructor(viewer, match, handlers = {}, players = undefined) {
    this.viewer = viewer;
    this.match = match;
    this.handlers = handlers;
    this.players = players;
    this.events = 0;
    this.tries = 0;
    this.missing = []; // ranges of skipped rows: [first, end)
    this.begun = this.ended = this.requested = false;
    this.#connect();
  }

  /** Send a message; dropped while there is no connection. */
  send(kind, more = {}) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ kind, ...more }));
  }

  #connect() {
    const address = new URL(`/live/${this.match}/socket`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const row = this.begun ? this.viewer.rows.length : 0;
    address.search = new URLSearchParams({ row, event: this.events });
    this.requested = false;
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) =>
      typeof data === "string" ? this.#receive(JSON.parse(data)) : this.#rows(data);
    this.socket.onclose = ({ code }) => this.#closed(code);
  }

  #closed(code) {
    if (this.ended && this.missing.length === 0) return;
    const delay = RETRIES[this.tries++];
    if (FINAL.has(code) || delay === undefined) this.handlers.lost?.({ code });
    else setTimeout(() => this.#connect(), delay);
  }

  #rows(buffer) {
    this.tries = 0;
    const head = new DataView(buffer);
    const [first, count] = [head.getUint32(0, true), head.getUint32(4, true)];
    this.viewer.append(first, new Uint8Array(buffer, 8));
    const [range] = this.missing;
    if (range && first === range[0]) range[0] += count; // the answer to a request
    if (range && range[0] >= range[1]) {
      this.missing.shift();
      this.requested = false;
    }
    this.#fill();
  }

  #receive(message) {
    if (message.kind === "hello") this.#hello(message);
    else if (message.kind === "events") this.#happened(message.events);
    else if (message.kind === "gap") this.#gap(message);
    else if (message.kind === "end" && !this.ended) {
      this.ended = true;
      this.viewer.end(message.result);
      this.#fill();
    }
    this.handlers[message.kind]?.(message);
  }

  #hello(hello) {
    const key = sessionStorage.getItem(`shadowbox.match.${this.match}`);
    if (key) this.send("own", { key });
    if (this.begun) return;
    this.begun = true;
    this.viewer.begin({ ...hello, players: this.players ?? hello.players });
  }

  #happened(events) {
    this.events += events.length;
    this.viewer.happened(events);
  }

  #gap({ first, end }) {
    this.missing.push([first, end]);
    this.gapped = performance.now();
  }

  /** Request the oldest missing rows, one range at a time. */
  #fill() {
    if (this.requested || this.missing.length === 0) return;
    if (!this.ended && performance.now() - this.gapped < CALM) return;
    const [first, end] = this.missing[0];
    this.requested = true;
    this.send("want", { first, end });
  }
}
