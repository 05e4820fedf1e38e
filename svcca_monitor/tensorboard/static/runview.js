// The charts of one run, all at the same moment.

import { epochText, layerText, make } from "./chart.js";
import { ADJUSTED, SIMILARITY } from "./colours.js";
import { Curves } from "./curves.js";
import { HeatMap } from "./heatmap.js";
import { markCharts } from "./marks.js";
import { cellsOf, pinnedCells } from "./pins.js";
import { rescaled } from "./run.js";
import { settledTable } from "./table.js";

/** The moments of Raghu et al. 2017, figure 4, as shares of training. */
const MOMENTS = [0, 0.35, 0.75, 1];
const MODES = { now: "at this epoch", end: "at the end" };
const KEYS = "Arrow keys move the mark, Enter";
const PANE_HELP = `${KEYS} pins its curve.`;

function counted(things, name) {
  return `${things.length} ${name}${things.length === 1 ? "" : "s"}`;
}

export class RunView {
  constructor(run, app) {
    Object.assign(this, { run, app });
    const owner = run.name || "run";
    this.pane = new HeatMap({ title: "Pane", owner, help: PANE_HELP, aspect: 0.9 });
    this.multiples = MOMENTS.map(
      (share) => new HeatMap({ title: `${share * 100} %`, owner, help: PANE_HELP, small: true }),
    );
    this.heat = new HeatMap({
      title: "Convergence",
      owner,
      help: `Layers by epochs. Dots: settled. ${KEYS} goes to its epoch and layer.`,
      aspect: 0.9,
    });
    this.curves = new Curves({
      title: "Curves",
      owner,
      help: `A curve a layer. Dots: settled. ${KEYS} goes to its epoch and layer.`,
      aspect: 0.9,
    });
    this.past = new HeatMap({
      title: "Trajectory",
      owner,
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
      make("h3", {}, "Panes over training"),
      make("div", { className: "multiples", role: "group", "aria-label": "Panes over training" },
        ...this.multiples.map((chart) => chart.element)),
      make("div", { className: "room" }, make("div", { className: "charts" },
        ...[this.pane, this.curves, this.heat, this.past].map((chart) => chart.element))),
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
    this.past.retitle(`Trajectory of ${layerText(run.layers[this.layer])}`);
    this.past.show(this.pastData, theme);
    this.mark(this.app.hovered);
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
    const key = `${run.version} ${index} ${this.mode} ${state.adjusted}`;
    if (chart.data?.key === key) {
      chart.show(chart.data, theme);
      return chart.data.pane;
    }
    const pane = run.pane(index, this.mode, state.adjusted);
    chart.show(
      {
        pane,
        rows: run.layers,
        columns: run.layers,
        value: pane.value,
        scale: this.scale,
        rowTitle: "layers at this epoch",
        columnTitle: `layers ${MODES[this.mode]}`,
        frameKey: `${run.version} ${this.mode} ${state.adjusted}`,
        key,
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
    const pins = pinnedCells(state.pins, cellsOf(run.layers));
    const key = [run.version, state.reference, state.adjusted, this.mode, JSON.stringify(pins)].join(" ");
    if (key !== this.prepared) {
      this.prepared = key;
      const values = run.curves(state.reference, state.adjusted);
      // Levels of chance take long, and what has settled is not known before the end is.
      this.settled = run.ended && !run.finished ? null : run.settled();
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
        // Against the latest snapshot, every layer would have settled just now.
        settled: state.reference === "final" && run.finished ? this.settled.map(({ epoch }) => epoch) : [],
        pinned: pins.map((pin) => ({
          name: `${pin.row} × ${pin.column}`,
          colour: pin.colour,
          values: this.pinned(pin.cell),
        })),
        valueTitle: `${run.measure}${state.adjusted ? " (chance = 0)" : ""}`,
        key,
      };
      this.dots = this.curveData.settled
        .map((epoch, row) => [row, run.epochs.indexOf(epoch)])
        .filter(([, column]) => column >= 0);
      const table = this.settled ? [settledTable(run, this.settled)] : [];
      this.details.replaceChildren(this.details.firstChild, ...table);
    }
    const { layer } = this;
    if (this.pastData?.key === `${key} ${layer}`) return;
    this.forgotten = run.forgotten(layer);
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
    return adjusted ? rescaled(raw, run.chance(layer, run.steps[k], layer, run.steps[l])) : raw;
  }

  pinned([i, j]) {
    const { run, state } = this;
    return run.steps.map((_, k) => {
      const pane = run.pane(k, this.mode, false);
      const raw = pane.raw(i, j);
      return state.adjusted ? rescaled(raw, pane.chance(i, j)) : raw;
    });
  }

  referenceText() {
    const { reference } = this.state;
    if (reference === "final") return this.run.finished ? "the end" : "the latest snapshot";
    if (reference === "previous") return "the previous snapshot";
    if (reference === "initial") return "the beginning";
    return `epoch ${epochText(this.run.epochs[this.run.indexAt(reference)])}`;
  }

  notes() {
    const { run } = this;
    const notes = [`${counted(run.layers, "layer")}, ${counted(run.steps, "snapshot")}, ${run.measure}`];
    if (run.missing) {
      notes.push(
        `${run.missing} steps are missing: TensorBoard keeps a sample. ` +
          "Start it with --samples_per_plugin svcca=5000 to see all of them",
      );
    }
    if (!run.finished && run.ended) notes.push("the comparison with the end is on its way");
    else if (!run.finished) {
      notes.push(
        "training has not finished: panes are of layers now × layers now, curves end at the latest snapshot",
      );
    }
    return `${notes.join(" · ")}.`;
  }

  /** Mark in every chart what the cursor of one is at, and say its numbers. */
  mark(hover) {
    if (this.state) markCharts(this, hover);
  }
}
