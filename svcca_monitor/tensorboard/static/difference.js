// What one run has more than another, layer by layer.

import { epochText, make, number } from "./chart.js";
import { DIFFERENCE } from "./colours.js";
import { HeatMap } from "./heatmap.js";
import { cellsOf, pinnedCells } from "./pins.js";

export class Difference {
  constructor(app) {
    this.app = app;
    this.chart = new HeatMap({
      title: "Difference",
      owner: "two runs",
      help: "First run minus second run. Arrow keys move the mark, Enter pins its curve.",
      aspect: 0.92,
    });
    this.first = this.chooser("first");
    this.second = this.chooser("second");
    this.note = make("p", { className: "note", role: "status" });
    this.element = make(
      "section",
      { className: "run difference", "aria-label": "Difference of two runs" },
      make("h2", {}, "Difference"),
      make("p", { className: "choice" }, this.first, " minus ", this.second),
      this.note,
      make("div", { className: "charts" }, this.chart.element),
    );
    this.chart.onResize = () => app.draw();
    this.chart.onHover = (cell, event) =>
      app.hover(
        cell && { kind: "pane", row: this.names[cell[0]], column: this.names[cell[1]] },
        this.chart,
        event,
      );
    this.chart.onPick = ([i, j]) => app.pin({ row: this.names[i], column: this.names[j] });
  }

  chooser(key) {
    const select = make("select", { "aria-label": `Difference: ${key} run` });
    select.addEventListener("change", () => this.app.change({ [key]: select.value }));
    return select;
  }

  /** Show the difference of two of the views of runs. */
  update(views, state, theme) {
    this.element.hidden = views.length < 2;
    if (this.element.hidden) return;
    const names = views.map((view) => view.run.name);
    const chosen = [state.first, state.second].map((name, k) => (names.includes(name) ? name : names[k]));
    [this.first, this.second].forEach((select, k) => {
      if ([...select.options].map((option) => option.value).join("\n") !== names.join("\n")) {
        select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
      }
      select.value = chosen[k];
    });
    const [a, b] = chosen.map((name) => views[names.indexOf(name)]);
    this.names = a.run.layers.filter((name) => b.run.layers.includes(name));
    const [paneA, paneB] = [a.current, b.current];
    this.note.textContent = this.notes(a, b);
    if (!this.names.length || !paneA || !paneB) return;
    const [inA, inB] = [a, b].map((view) => this.names.map((name) => view.run.layers.indexOf(name)));
    this.value = (i, j) => paneA.value(inA[i], inA[j]) - paneB.value(inB[i], inB[j]);
    this.chart.show(
      {
        rows: this.names,
        columns: this.names,
        value: this.value,
        scale: DIFFERENCE,
        rowTitle: "layers at this epoch",
        columnTitle: a.mode === "end" ? "layers at the end" : "layers at this epoch",
        frameKey: `${chosen} ${a.mode}`,
        key: `${chosen} ${paneA.step} ${paneB.step} ${a.mode} ${b.mode} ${state.adjusted}`,
      },
      theme,
    );
  }

  notes(a, b) {
    if (!this.names.length) return "These runs have no layer of the same name.";
    if (a.run.measure !== b.run.measure) {
      return `Of two measures: ${a.run.measure} and ${b.run.measure}. The difference means little.`;
    }
    const epochs = [a, b].map((view) => epochText(view.run.epochs[view.index]));
    return `Epoch ${epochs[0]} against epoch ${epochs[1]}; brown: the first run is more alike.`;
  }

  mark(hover, pins) {
    if (this.element.hidden || !this.names || !this.value) return;
    const cellOf = cellsOf(this.names);
    const cell = cellOf(hover);
    this.chart.mark({ cell, pins: pinnedCells(pins, cellOf) });
    if (!cell) return this.chart.say("");
    return this.chart.say(`${hover.row} × ${hover.column}: `, number(this.value(...cell)));
  }
}
