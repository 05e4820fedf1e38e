// The charts of one run, all at the same moment.

import { epochText, make, number } from "./chart.js";
import { ADJUSTED, SIMILARITY } from "./colours.js";
import { Curves } from "./curves.js";
import { HeatMap } from "./heatmap.js";
import { settledTable } from "./table.js";

/** The moments of Raghu et al. 2017, figure 4, as shares of training. */
const MOMENTS = [0, 0.35, 0.75, 1];
const MODES = { now: "at this epoch", end: "at the end" };
/** Of a trajectory: a monitor compares with those earlier snapshots that its memory still holds. */
const FORGOTTEN = "grey: not compared (no longer in memory, left out by sampling, or constant)";
const KEYS = "Arrow keys move the mark, Enter";
const PANE_HELP = `${KEYS} pins its curve.`;

export class RunView {
  constructor(run, app) {
    Object.assign(this, { run, app });
    const file = (what) => `${run.name || "run"} ${what}`;
    this.pane = new HeatMap({ title: "Pane", file: file("pane"), help: PANE_HELP, aspect: 0.9 });
    this.multiples = MOMENTS.map(
      (share) => new HeatMap({ title: `${share * 100} %`, file: "", help: PANE_HELP, small: true }),
    );
    this.heat = new HeatMap({
      title: "Convergence",
      file: file("convergence"),
      help: `Layers by epochs. Dots: settled. ${KEYS} goes to its epoch and layer.`,
      aspect: 0.9,
    });
    this.curves = new Curves({
      title: "Curves",
      file: file("curves"),
      help: `A curve a layer. Dots: settled. ${KEYS} goes to its epoch and layer.`,
      aspect: 0.9,
    });
    this.past = new HeatMap({
      title: "Trajectory",
      file: file("trajectory"),
      help: `Epochs by epochs. ${KEYS} goes to its epoch.`,
      aspect: 0.9,
    });
    this.note = make("p", { className: "note", role: "status" });
    // A report is read from top to bottom; a tab is looked at.
    this.details = make("details", { open: !app.source.live }, make("summary", {}, "Convergence table"));
    this.element = make(
      "section",
      { className: "run", "aria-label": `Run ${run.name}` },
      make("h2", {}, run.name || "run"),
      this.note,
      make("div", { className: "multiples", role: "group", "aria-label": "Panes over training" },
        ...this.multiples.map((chart) => chart.element)),
      make("div", { className: "charts" },
        ...[this.pane, this.curves, this.heat, this.past].map((chart) => chart.element)),
      this.details,
    );
    this.listen();
  }

  listen() {
    const { run, app } = this;
    const names = ([i, j]) => ({ row: run.layers[i], column: run.layers[j] });
    for (const chart of [this.pane, this.curves, this.heat, this.past, ...this.multiples]) {
      chart.onResize = () => app.draw();
    }
    for (const chart of [this.pane, ...this.multiples]) {
      chart.onHover = (cell, event) => app.hover(cell && { kind: "pane", ...names(cell) }, chart, event);
      chart.onPick = (cell) => app.pin(names(cell));
    }
    for (const chart of [this.heat, this.curves]) {
      chart.onHover = (cell, event) =>
        app.hover(
          cell && { kind: "layer", row: run.layers[cell[0]], epoch: run.epochs[cell[1]] },
          chart,
          event,
        );
      chart.onPick = ([i, k]) => app.change({ layer: run.layers[i], epoch: run.epochs[k] });
    }
    this.past.onHover = (cell, event) =>
      app.hover(
        cell && { kind: "past", epoch: run.epochs[cell[0]], other: run.epochs[cell[1]] },
        this.past,
        event,
      );
    this.past.onPick = ([k]) => app.change({ epoch: run.epochs[k] });
  }

  /** Show the state; what has not changed is not drawn again. */
  update(state, theme) {
    const { run } = this;
    if (!run.frames.layers.length) return;
    this.index = state.epoch === null ? run.steps.length - 1 : run.indexAt(state.epoch);
    this.state = state;
    this.scale = state.adjusted ? ADJUSTED : SIMILARITY;
    // Before training has ended there is no end to compare with.
    this.mode = state.mode === "end" && run.finished ? "end" : "now";
    this.showPanes(theme);
    this.prepare();
    this.heat.retitle(`Convergence to ${this.referenceText()}`);
    this.heat.show(this.heatData, theme);
    this.curves.retitle(`Curves to ${this.referenceText()}`);
    this.curves.show(this.curveData, theme);
    this.past.retitle(`Trajectory of ${run.layers[this.layer]}`);
    this.past.show(this.pastData, theme);
    this.mark(null);
  }

  showPanes(theme) {
    const { run } = this;
    this.pane.retitle(
      `Pane: epoch ${epochText(run.epochs[this.index])} × ${this.mode === "end" ? "the end" : "itself"}`,
    );
    this.current = this.showPane(this.pane, this.index, theme);
    const last = run.steps.length - 1;
    this.moments = MOMENTS.map((share) =>
      run.indexAt(run.epochs[0] + share * (run.epochs[last] - run.epochs[0])),
    );
    this.multiplePanes = this.moments.map((index, m) => {
      this.multiples[m].retitle(`${MOMENTS[m] * 100} % · epoch ${epochText(run.epochs[index])}`);
      return this.showPane(this.multiples[m], index, theme);
    });
    this.note.textContent = this.notes();
  }

  showPane(chart, index, theme) {
    const { run, state } = this;
    const pane = run.pane(index, this.mode, state.adjusted);
    if (!pane) return null;
    chart.show(
      {
        rows: run.layers,
        columns: run.layers,
        value: pane.value,
        scale: this.scale,
        rowTitle: "layers at this epoch",
        columnTitle: `layers ${MODES[this.mode]}`,
        frameKey: `${this.mode} ${state.adjusted}`,
        key: `${pane.step} ${pane.other} ${this.mode} ${state.adjusted} ${run.name}`,
      },
      theme,
    );
    return pane;
  }

  /** What depends on the data and the reference, but not on the moment. */
  prepare() {
    const { run, state } = this;
    const chosen = run.layers.indexOf(state.layer);
    this.layer = chosen < 0 ? run.layers.length - 1 : chosen;
    const pins = state.pins.filter((p) => run.layers.includes(p.row) && run.layers.includes(p.column));
    const key = [run.version, state.reference, state.adjusted, this.mode, JSON.stringify(pins)].join(" ");
    if (key !== this.prepared) {
      this.prepared = key;
      const values = run.curves(state.reference, state.adjusted);
      this.settled = run.settled();
      const common = { rows: run.layers, scale: this.scale, rowTitle: "layers" };
      this.heatData = {
        ...common,
        columns: run.epochs.map(epochText),
        columnKind: "number",
        value: (i, k) => values[i][k],
        columnTitle: "epoch",
        frameKey: state.adjusted,
        key,
      };
      this.curveData = {
        names: run.layers,
        epochs: run.epochs,
        values,
        settled: state.reference === "final" ? this.settled.map((each) => each.epoch) : [],
        pinned: pins.map((pin) => ({ name: `${pin.row} × ${pin.column}`, values: this.pinned(pin) })),
        valueTitle: `${run.measure}${state.adjusted ? " (chance = 0)" : ""}`,
        key,
      };
      this.dots = this.curveData.settled
        .map((epoch, row) => [row, run.epochs.indexOf(epoch)])
        .filter(([, column]) => column >= 0);
      this.details.replaceChildren(this.details.firstChild, settledTable(run, this.settled));
    }
    const { layer } = this;
    if (this.pastData?.key !== `${key} ${layer}`) this.forgotten = run.forgotten(layer);
    this.pastData = {
      rows: run.epochs.map(epochText),
      columns: run.epochs.map(epochText),
      columnKind: "number",
      value: (k, l) => this.pastAt(layer, k, l, state.adjusted),
      scale: this.scale,
      rowTitle: "epoch",
      columnTitle: "epoch",
      frameKey: state.adjusted,
      key: `${key} ${layer}`,
    };
  }

  pastAt(layer, k, l, adjusted) {
    const { run } = this;
    const raw = run.between(layer, k, l);
    if (!adjusted) return raw;
    const chance = run.chance(layer, run.steps[k], layer, run.steps[l]);
    return chance < 1 ? (raw - chance) / (1 - chance) : NaN;
  }

  pinned({ row, column }) {
    const { run, state } = this;
    const [i, j] = [run.layers.indexOf(row), run.layers.indexOf(column)];
    return run.steps.map((_, k) => run.pane(k, this.mode, state.adjusted)?.value(i, j) ?? NaN);
  }

  referenceText() {
    const { reference } = this.state;
    if (reference === "final") return this.run.finished ? "the end" : "the latest snapshot";
    if (reference === "previous") return "the previous snapshot";
    return reference === "initial" ? "the beginning" : `epoch ${reference}`;
  }

  notes() {
    const { run } = this;
    const notes = [`${run.layers.length} layers, ${run.steps.length} snapshots, ${run.measure}`];
    if (run.missing) {
      notes.push(
        `${run.missing} steps are missing: TensorBoard keeps a sample. ` +
          "Start it with --samples_per_plugin svcca=5000 to see all of them",
      );
    }
    if (!run.finished) notes.push("training has not finished: the end is the latest snapshot");
    return `${notes.join(" · ")}.`;
  }

  /** Mark in every chart what the cursor of one is at, and say its numbers. */
  mark(hover) {
    const { run, state } = this;
    if (!state) return;
    const at = (name) => run.layers.indexOf(name);
    const [i, j] = [at(hover?.row), at(hover?.column)];
    const cell = i >= 0 && j >= 0 ? [i, j] : null;
    const pins = state.pins.map((p) => [at(p.row), at(p.column)]).filter((p) => Math.min(...p) >= 0);
    const panes = [[this.pane, this.current], ...this.multiples.map((c, m) => [c, this.multiplePanes[m]])];
    for (const [chart, pane] of panes) {
      const level = cell && pane ? pane.chance(...cell) : NaN;
      chart.mark({ cell, pins, level: state.adjusted ? 0 : level });
      chart.say(cell && pane ? this.pairText(cell, pane) : "");
    }
    this.markLayer(hover, i);
    this.markPast(hover);
  }

  markLayer(hover, i) {
    const { run } = this;
    const k = hover?.epoch === undefined ? this.index : run.indexAt(hover.epoch);
    const found = i >= 0 ? run.self(i, k, this.state.reference) : null;
    if (found) found.chance = run.chance(i, run.steps[k], i, found.other);
    const shown = hover?.kind === "layer" && i >= 0;
    this.heat.mark({
      cell: shown ? [i, k] : null,
      column: this.index,
      dots: this.dots,
      level: this.state.adjusted ? 0 : found?.chance,
    });
    this.curves.mark({ layer: i, index: this.index, chance: this.state.adjusted ? 0 : found?.chance });
    const text = found
      ? `${run.layers[i]} at epoch ${epochText(run.epochs[k])}: ` +
        `${this.valueText(this.heatData.value(i, k), found)}${this.settledText(i)}`
      : "";
    this.heat.say(text);
    this.curves.say(text);
  }

  markPast(hover) {
    const { run, layer } = this;
    const cell = hover?.kind === "past" ? [run.indexAt(hover.epoch), run.indexAt(hover.other)] : null;
    this.past.mark({ cell, column: this.index });
    if (!cell) return this.past.say(this.forgotten ? FORGOTTEN : "");
    const [k, l] = cell;
    const chance = run.chance(layer, run.steps[k], layer, run.steps[l]);
    const epochs = `epoch ${epochText(run.epochs[k])} × epoch ${epochText(run.epochs[l])}`;
    const shown = this.pastAt(layer, k, l, this.state.adjusted);
    if (Number.isNaN(run.between(layer, k, l))) {
      return this.past.say(`${run.layers[layer]}, ${epochs}: ${FORGOTTEN}`);
    }
    return this.past.say(
      `${run.layers[layer]}, ${epochs}: ${this.valueText(shown, { value: run.between(layer, k, l), chance })}`,
    );
  }

  pairText([i, j], pane) {
    const { run } = this;
    const found = { value: pane.raw(i, j), chance: pane.chance(i, j) };
    return `${run.layers[i]} × ${run.layers[j]}: ${this.valueText(pane.value(i, j), found)}`;
  }

  valueText(shown, { value, chance }) {
    const { measure } = this.run;
    const plain = `${measure} ${number(value)} · chance ${number(chance)}`;
    return this.state.adjusted ? `${plain} · adjusted ${number(shown)}` : plain;
  }

  settledText(i) {
    const { epoch } = this.settled[i];
    return Number.isFinite(epoch) && this.run.finished ? ` · settled at epoch ${epochText(epoch)}` : "";
  }
}
