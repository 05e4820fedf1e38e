// The view: state, loading, time. The same in TensorBoard and in a report.
//
// A source gives data: list() -> {run: description}, frames(run, tag, since) -> ArrayBuffer, and
// maybe facts(run) -> [[term, text], …]. A host is where the page stands: read() and write(state) for
// deep links, visible(), theme(), onTheme(f), onReload(f), onLink(f).

import { make } from "./chart.js";
import { Controls } from "./controls.js";
import { Difference } from "./difference.js";
import { decodeFrames } from "./frames.js";
import { Run } from "./run.js";
import { RunView } from "./runview.js";
import { factList } from "./table.js";

const POLL = 5000;
const AWAY = 1500;
const MOST_AT_FIRST = 2;
const START = {
  runs: null, filter: "", epoch: null, mode: "end", reference: "final", adjusted: false,
  layer: "", pins: [], first: "", second: "",
};

/** Wait for all of them to their end: the next look must not add to what this one still adds to. */
async function all(promises) {
  const failed = (await Promise.allSettled(promises)).find(({ reason }) => reason);
  if (failed) throw failed.reason;
}

export class App {
  constructor(root, source, host) {
    Object.assign(this, { source, host, listed: {}, views: new Map(), playing: false });
    this.state = { ...START, ...host.read() };
    this.controls = new Controls(this);
    this.difference = new Difference(this);
    this.tip = make("div", { className: "tip", hidden: true, "aria-hidden": "true" });
    this.message = make("p", { className: "message", role: "status" }, "Loading…");
    this.main = make("main", {});
    this.root = root;
    root.classList.add("svcca");
    root.replaceChildren(this.controls.element, this.message, this.main, this.difference.element, this.tip);
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(root);
    // What gets the focus must not be below the header, however much stands in it.
    const header = this.controls.element;
    new ResizeObserver(() => {
      document.documentElement.style.scrollPaddingTop = `${header.offsetHeight + 8}px`;
    }).observe(header);
    host.onTheme(() => this.draw());
    host.onReload(() => this.load());
    host.onLink(() => this.change({ ...START, ...host.read() }));
    this.load();
    if (source.live) setInterval(() => this.visible() && this.load(), POLL);
  }

  visible() {
    return !document.hidden && this.root.clientWidth > 0 && this.host.visible();
  }

  /** Look for runs and for steps that are new; one look at a time. */
  async load() {
    // A run that is chosen meanwhile needs one more.
    this.again = this.loading;
    if (this.loading) return;
    this.loading = true;
    try {
      this.listed = await this.source.list();
      await all(this.chosen().map((name) => this.loadRun(name)));
      this.failed = "";
    } catch (error) {
      this.failed = error.message;
    }
    this.loading = false;
    this.draw();
    if (this.again) this.load();
  }

  async loadRun(name) {
    const description = this.listed[name];
    const view = this.viewOf(name);
    view.run.describe(description);
    // What a first picture needs, at once; then the large ones, which TensorBoard has to hold, singly.
    await all(["layers", "epoch", "dims"].map((tag) => this.loadTag(view, tag, description)));
    this.draw();
    await this.loadTag(view, "final", description);
    this.draw();
    await this.loadTag(view, "history", description);
  }

  async loadTag(view, tag, { tags, times }) {
    const { run } = view;
    const last = tags[`svcca/${tag}`];
    const had = run.frames[tag].at(-1)?.step ?? -1;
    const time = times?.[`svcca/${tag}`];
    if (last === undefined || (last === had && (tag !== "final" || time === view.finalTime))) return;
    // The comparison with the end is written anew when training goes on; a run may start again.
    const replace = tag === "final" || last < had;
    run.add(tag, await this.frames(run.name, `svcca/${tag}`, replace ? -1 : had), replace);
    if (tag === "final") view.finalTime = time;
  }

  /** Frames later than a step, asked for until there is no rest. */
  async frames(run, tag, since) {
    const { frames, rest } = decodeFrames(await this.source.frames(run, tag, since));
    return rest && frames.length ? frames.concat(await this.frames(run, tag, frames.at(-1).step)) : frames;
  }

  viewOf(name) {
    if (!this.views.has(name)) {
      const view = new RunView(new Run(name, this.listed[name]), this);
      const facts = this.source.facts?.(name);
      if (facts) view.element.append(factList(facts));
      this.views.set(name, view);
    }
    return this.views.get(name);
  }

  /** Names of the runs that the filter lets through. */
  filtered() {
    const names = Object.keys(this.listed).sort();
    try {
      const pattern = new RegExp(this.state.filter);
      this.problem = "";
      return names.filter((name) => pattern.test(name));
    } catch (error) {
      this.problem = error.message;
      return names;
    }
  }

  chosen() {
    const names = this.filtered();
    const { runs } = this.state;
    return runs === null ? names.slice(0, MOST_AT_FIRST) : names.filter((name) => runs.includes(name));
  }

  choose(name, on) {
    const others = this.chosen().filter((each) => each !== name);
    this.change({ runs: on ? [...others, name] : others });
  }

  shown() {
    return this.chosen()
      .map((name) => this.views.get(name))
      .filter((view) => view?.run.frames.layers.length);
  }

  /** Epochs of all runs that are shown, ascending. */
  epochs() {
    return [...new Set(this.shown().flatMap((view) => view.run.epochs))].sort((a, b) => a - b);
  }

  index(epochs) {
    if (this.state.epoch === null) return Math.max(0, epochs.length - 1);
    let found = 0;
    epochs.forEach((epoch, k) => {
      if (epoch <= this.state.epoch) found = k;
    });
    return found;
  }

  change(part) {
    Object.assign(this.state, part);
    this.host.write(this.state, START);
    if (this.chosen().some((name) => !this.views.get(name)?.run.version)) this.load();
    this.draw();
  }

  /** Go to the k-th epoch; at the last one the view follows what is still to come. */
  seek(k) {
    const epochs = this.epochs();
    const within = Math.min(Math.max(k, 0), epochs.length - 1);
    this.change({ epoch: within === epochs.length - 1 ? null : epochs[within] });
  }

  togglePlay() {
    this.playing = !this.playing;
    const epochs = this.epochs();
    if (this.playing && this.index(epochs) === epochs.length - 1) this.seek(0);
    this.due = 0;
    this.played = NaN;
    if (this.playing) requestAnimationFrame((time) => this.tick(time));
    this.draw();
  }

  tick(time) {
    if (!this.playing) return;
    // A page that is hidden has no frames: it is seen when it comes back.
    const hidden = !this.visible() || time - this.played > AWAY;
    this.played = time;
    if (hidden) {
      this.togglePlay();
      return;
    }
    const epochs = this.epochs();
    if (time >= this.due) {
      // The whole training in some eight seconds, but no faster than the screen.
      this.due = time + Math.min(500, 8000 / epochs.length) - 4;
      const next = this.index(epochs) + 1;
      this.seek(next);
      if (next >= epochs.length - 1) this.playing = false;
    }
    requestAnimationFrame((later) => this.tick(later));
  }

  pin(pair) {
    const same = (pin) => pin.row === pair.row && pin.column === pair.column;
    const { pins } = this.state;
    this.change({ pins: pins.some(same) ? pins.filter((pin) => !same(pin)) : [...pins, pair] });
  }

  /** Mark what a pointer, or else the keyboard, is at in a chart; null for nothing. */
  hover(target, chart, event) {
    this.hovered = target;
    this.spoken = target && chart;
    for (const view of this.shown()) view.mark(target);
    this.difference.mark(target, this.state.pins);
    this.tell();
    if (!target) return;
    const [x, y] = event ? [event.clientX, event.clientY] : chart.spot();
    const right = x > window.innerWidth / 2;
    this.tip.style.left = right ? "" : `${x + 14}px`;
    this.tip.style.right = right ? `${window.innerWidth - x + 14}px` : "";
    this.tip.style.top = `${Math.min(y + 14, window.innerHeight - this.tip.offsetHeight - 4)}px`;
  }

  /** What the chart says, beside the pointer: also when time goes on under it. */
  tell() {
    const text = this.spoken?.readout.textContent;
    this.tip.hidden = !text;
    if (!text || this.tip.textContent === text) return;
    this.tip.replaceChildren(...Array.from(this.spoken.readout.children, (part) => part.cloneNode(true)));
  }

  key(event) {
    const { tagName, type } = event.target;
    // Buttons and boxes are pressed by Space; where text is typed or chosen, every key has a meaning.
    const pressed = /^(BUTTON|SUMMARY)$/.test(tagName) || type === "checkbox";
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(tagName) && !/^(range|checkbox)$/.test(type)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.index(this.epochs());
    const go = { ",": at - 1, ".": at + 1, Home: 0, End: Infinity }[event.key];
    if (event.key === " " && pressed) return;
    if (event.key === " ") this.togglePlay();
    else if (event.key === "Escape") this.hover(null);
    else if (go !== undefined) this.seek(go);
    else return;
    event.preventDefault();
  }

  /** Draw once before the next picture, however often it was asked for. */
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const theme = this.host.theme();
    this.root.classList.toggle("dark", theme === "dark");
    const views = this.shown();
    const epochs = this.epochs();
    const layers = [...new Set(views.flatMap((view) => view.run.layers))];
    this.controls.update(this.state, {
      runs: this.filtered(), chosen: new Set(this.chosen()), layers, epochs,
      index: this.index(epochs), playing: this.playing, problem: this.problem,
    });
    const elements = views.map((view) => view.element);
    if (elements.some((each, k) => this.main.children[k] !== each) || this.main.children.length !== elements.length) {
      this.main.replaceChildren(...elements);
    }
    const trouble = this.failed && `The data could not be read: ${this.failed}`;
    this.message.textContent = trouble || (views.length ? "" : this.empty());
    this.message.hidden = !this.message.textContent;
    if (this.spoken && !this.spoken.element.isConnected) this.hovered = this.spoken = null;
    for (const view of views) view.update(this.state, theme);
    this.difference.update(views, this.state, theme);
    this.difference.mark(this.hovered, this.state.pins);
    this.tell();
  }

  empty() {
    if (this.loading) return "Loading…";
    if (!Object.keys(this.listed).length) {
      return "No run with SVCCA data yet: train with SVCCAMonitor and a log_dir below TensorBoard's --logdir.";
    }
    return "No run is chosen.";
  }
}
