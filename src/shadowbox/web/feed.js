/**
 * A live match from the server to a viewer. web/wire.py says what the messages are.
 *
 * A broken connection is taken up again where it broke. Rows that were skipped because this page was slow are asked for
 * when the rest has come.
 */
const RETRIES = [500, 1000, 2000, 4000, 8000]; // ms
const CALM = 1500; // ms without a gap before old rows are asked for
const FINAL = new Set([1008, 1013, 1000]); // closed on purpose

export class Feed {
  /**
   * @param {any} viewer
   * @param {number} match
   * @param {Record<string, (message: any) => void>} told  what to do with messages, by kind; `lost` when it is over for good
   */
  constructor(viewer, match, told = {}) {
    this.viewer = viewer;
    this.match = match;
    this.told = told;
    this.events = 0;
    this.tries = 0;
    this.missing = [];
    this.begun = this.ended = this.asked = false;
    this.#connect();
  }

  /** Send a message; it is dropped while there is no connection. */
  send(kind, more = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ kind, ...more }));
  }

  #connect() {
    const address = new URL(`/live/${this.match}/socket`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = new URLSearchParams({ row: this.begun ? this.viewer.rows.length : 0, event: this.events });
    this.asked = false;
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.#told(JSON.parse(data)) : this.#rows(data));
    this.socket.onclose = ({ code }) => this.#closed(code);
  }

  #closed(code) {
    if (this.ended && this.missing.length === 0) return;
    const wait = RETRIES[this.tries++];
    if (FINAL.has(code) || wait === undefined) this.told.lost?.({ code });
    else setTimeout(() => this.#connect(), wait);
  }

  #rows(buffer) {
    this.tries = 0;
    const head = new DataView(buffer);
    const [first, count] = [head.getUint32(0, true), head.getUint32(4, true)];
    this.viewer.append(first, new Uint8Array(buffer, 8));
    const [range] = this.missing;
    if (range && first === range[0]) range[0] += count; // an answer to what was asked for
    if (range && range[0] >= range[1]) {
      this.missing.shift();
      this.asked = false;
    }
    this.#fill();
  }

  #told(message) {
    if (message.kind === "hello") this.#hello(message);
    else if (message.kind === "events") this.#happened(message.events);
    else if (message.kind === "gap") this.#gap(message);
    else if (message.kind === "end" && !this.ended) {
      this.ended = true;
      this.viewer.end(message.result);
      this.#fill();
    }
    this.told[message.kind]?.(message);
  }

  #hello(hello) {
    const key = sessionStorage.getItem(`shadowbox.match.${this.match}`);
    if (key) this.send("own", { key });
    if (this.begun) return;
    this.begun = true;
    this.viewer.begin(hello);
  }

  #happened(events) {
    this.events += events.length;
    this.viewer.happened(events);
  }

  #gap({ first, end }) {
    this.missing.push([first, end]);
    this.gapped = performance.now();
  }

  /** Ask for the oldest rows that are missing, one range at a time. */
  #fill() {
    if (this.asked || this.missing.length === 0) return;
    if (!this.ended && performance.now() - this.gapped < CALM) return;
    const [first, end] = this.missing[0];
    this.asked = true;
    this.send("want", { first, end });
  }
}
