// The controls: one set for all runs.

import { epochText, layerText, make } from "./chart.js";
import { pinColour } from "./colours.js";

const REFERENCES = [
  ["final", "the end"],
  ["previous", "the previous snapshot"],
  ["initial", "the beginning"],
  ["epoch", "an epoch:"],
];
const PANES = [
  ["end", "layers now × layers at the end"],
  ["now", "layers now × layers now"],
];

export class Controls {
  constructor(app) {
    this.app = app;
    this.filter = make("input", {
      type: "search",
      placeholder: "regular expression",
      "aria-label": "Filter runs by a regular expression",
      spellcheck: false,
    });
    this.filter.addEventListener("input", () => app.change({ filter: this.filter.value }));
    this.runs = make("span", { className: "runs" });
    this.problem = make("span", { className: "problem", role: "alert" });
    this.mode = this.select(PANES, (mode) => app.change({ mode }));
    this.reference = this.select(REFERENCES, (value) => this.refer(value));
    this.epoch = make("input", { type: "number", step: "any", "aria-label": "Epoch compared with" });
    this.epoch.addEventListener("change", () => app.change({ reference: Number(this.epoch.value) }));
    this.layer = this.select([], (layer) => app.change({ layer }));
    this.adjusted = make("input", { type: "checkbox" });
    this.adjusted.addEventListener("change", () => app.change({ adjusted: this.adjusted.checked }));
    this.pins = make("span", { className: "pins" });
    this.element = make(
      "header",
      {},
      make("div", { className: "bar", role: "group", "aria-label": "Runs" },
        make("label", {}, "Runs ", this.filter), this.runs, this.problem),
      make("div", { className: "bar", role: "group", "aria-label": "What is compared" },
        make("label", {}, "Pane ", this.mode),
        make("label", {}, "Curves against ", this.reference), this.epoch,
        make("label", {}, "Trajectory of ", this.layer),
        make("label", { title: "(value − chance) / (1 − chance)" }, this.adjusted, " chance as zero"),
        this.pins),
      this.timeBar(),
    );
  }

  select(options, changed) {
    const element = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
    element.addEventListener("change", () => changed(element.value));
    return element;
  }

  refer(value) {
    this.app.change({ reference: value === "epoch" ? this.app.epochs()[0] ?? 0 : value });
  }

  timeBar() {
    this.play = make("button", { type: "button", className: "play" });
    this.play.addEventListener("click", () => this.app.togglePlay());
    this.slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Epoch" });
    this.slider.addEventListener("input", () => this.app.seek(Number(this.slider.value)));
    this.time = make("output", { className: "time" });
    const keys = "Space plays, , and . step, Home and End jump";
    return make("div", { className: "bar time-bar", role: "group", "aria-label": "Time", title: keys },
      this.play, this.slider, this.time);
  }

  /** Show the state. */
  update(state, { runs, chosen, layers, epochs, index, playing, problem }) {
    if (document.activeElement !== this.filter) this.filter.value = state.filter;
    this.problem.textContent = problem;
    this.listRuns(runs, chosen);
    this.mode.value = state.mode;
    const named = REFERENCES.some(([value]) => value === state.reference);
    this.reference.value = named ? state.reference : "epoch";
    this.epoch.hidden = named;
    if (!named && document.activeElement !== this.epoch) this.epoch.value = state.reference;
    this.listLayers(layers, state.layer);
    this.adjusted.checked = state.adjusted;
    this.listPins(state.pins);
    this.play.textContent = playing ? "❚❚" : "►";
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.slider.max = Math.max(0, epochs.length - 1);
    this.slider.value = index;
    const text = epochs.length ? `epoch ${epochText(epochs[index])} of ${epochText(epochs.at(-1))}` : "";
    // An output is read aloud when it changes: of sixty epochs a second nothing would be heard.
    this.time.setAttribute("aria-live", playing ? "off" : "polite");
    if (this.time.textContent !== text) this.time.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
  }

  listRuns(runs, chosen) {
    const key = JSON.stringify(runs);
    if (key !== this.runKey) {
      this.runKey = key;
      const held = runs.find((name) => this.boxes?.get(name) === document.activeElement);
      this.boxes = new Map(runs.map((name) => [name, make("input", { type: "checkbox" })]));
      this.runs.replaceChildren(
        ...runs.map((name) => {
          const box = this.boxes.get(name);
          box.addEventListener("change", () => this.app.choose(name, box.checked));
          return make("label", { className: "chip" }, box, ` ${name || "run"}`);
        }),
      );
      this.boxes.get(held)?.focus();
    }
    for (const [name, box] of this.boxes) box.checked = chosen.has(name);
  }

  listLayers(layers, layer) {
    const key = JSON.stringify(layers);
    if (key !== this.layerKey) {
      this.layerKey = key;
      this.layer.replaceChildren(...layers.map((name) => make("option", { value: name }, layerText(name))));
    }
    this.layer.value = layers.includes(layer) ? layer : layers.at(-1) ?? "";
  }

  listPins(pins) {
    const key = JSON.stringify(pins);
    if (key === this.pinKey) return;
    this.pinKey = key;
    const held = [...this.pins.children].indexOf(document.activeElement);
    this.pins.replaceChildren(
      ...pins.map((pin, k) => {
        const name = `${pin.row} × ${pin.column}`;
        const button = make("button", { type: "button", className: "chip", title: `Unpin ${name}` });
        button.append(`${name} ✕`);
        button.style.borderColor = pinColour(k);
        button.addEventListener("click", () => this.app.pin(pin));
        return button;
      }),
    );
    // Where the last one was taken away by keyboard, the focus goes on to what is next to it.
    if (held >= 0) (this.pins.children[Math.min(held, pins.length - 1)] ?? this.play).focus();
  }
}
