/** Short sounds of a match, synthesized in the browser: hits, knock-outs, jumps and the end. */

const STORAGE_KEY = "shadowbox.sound";

export class Sounds {
  /** @param {HTMLButtonElement} toggle */
  constructor(toggle) {
    this.on = localStorage.getItem(STORAGE_KEY) !== "off";
    this.context = null;
    const show = () => {
      toggle.textContent = this.on ? "Sound on" : "Sound off";
      toggle.setAttribute("aria-pressed", String(this.on));
    };
    toggle.addEventListener("click", () => {
      this.on = !this.on;
      localStorage.setItem(STORAGE_KEY, this.on ? "on" : "off");
      show();
    });
    show();
  }

  /** Make sounds possible; a browser allows them after a key or a press only. */
  begin() {
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume().catch(() => {});
  }

  /** Sounds of events, by the name of their kind. */
  play(events, kinds) {
    if (!this.on || this.context?.state !== "running") return;
    for (const { kind, value } of events.slice(0, 4)) {
      const name = kinds[kind];
      if (name === "hit") this.#hit(Number(value));
      else if (/knockout|^ko$/.test(name)) this.#tone(420, 60, 0.5, 0.3, "sawtooth");
      else if (name === "pickup") this.#tone(520, 880, 0.09, 0.12, "triangle");
      else if (name === "jump") this.#tone(240, 420, 0.07, 0.06, "sine");
      else if (name === "land") this.#noise(0.05, 300, 0.06);
      else if (name === "win") this.#tone(440, 880, 0.5, 0.15, "triangle");
    }
  }

  #hit(damage) {
    this.#noise(0.06 + damage * 0.004, 1800 - 40 * Math.min(damage, 30), 0.25);
    this.#tone(220 - 4 * Math.min(damage, 30), 70, 0.1 + damage * 0.005, 0.25, "square");
  }

  #tone(from, to, seconds, loud, type) {
    const now = this.context.currentTime;
    const sound = new OscillatorNode(this.context, { type, frequency: from });
    sound.frequency.exponentialRampToValueAtTime(to, now + seconds);
    this.#out(sound, seconds, loud);
  }

  #noise(seconds, frequency, loud) {
    const length = Math.ceil(this.context.sampleRate * seconds);
    const buffer = new AudioBuffer({ length, sampleRate: this.context.sampleRate });
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < length; i++) samples[i] = Math.random() * 2 - 1;
    const sound = new AudioBufferSourceNode(this.context, { buffer });
    const filter = new BiquadFilterNode(this.context, { type: "lowpass", frequency });
    sound.connect(filter);
    this.#out(sound, seconds, loud, filter);
  }

  #out(sound, seconds, loud, last = sound) {
    const now = this.context.currentTime;
    const gain = new GainNode(this.context, { gain: loud * 0.4 });
    gain.gain.exponentialRampToValueAtTime(0.001, now + seconds);
    last.connect(gain).connect(this.context.destination);
    sound.start(now);
    sound.stop(now + seconds);
  }
}
