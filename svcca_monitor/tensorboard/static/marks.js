// The mark in the charts of a run, and what is said of the numbers that it is at.

import { epochText, number } from "./chart.js";
import { cellsOf, pinnedCells } from "./pins.js";

/** Of a trajectory: a monitor compares with those earlier snapshots that its memory still holds. */
const FORGOTTEN = "grey: not compared (no longer in memory, left out by sampling, or constant)";

/** Mark in every chart of a RunView what the cursor of any chart is at; nothing if it is null. */
export function markCharts(view, hover) {
  const { run, state } = view;
  const cellOf = cellsOf(run.layers);
  const cell = cellOf(hover);
  const pins = pinnedCells(state.pins, cellOf);
  const panes = [[view.pane, view.current], ...view.multiples.map((c, m) => [c, view.multiplePanes[m]])];
  for (const [chart, pane] of panes) {
    const level = cell && pane ? pane.chance(...cell) : NaN;
    chart.mark({ cell, pins, level: state.adjusted ? 0 : level });
    chart.say(...(cell && pane ? pairText(view, cell, pane) : [""]));
  }
  markLayer(view, hover, run.layers.indexOf(hover?.row));
  markPast(view, hover);
}

/** Layer i in the two charts of layers over epochs. */
function markLayer(view, hover, i) {
  const { run, state, heat, curves } = view;
  const k = hover?.epoch === undefined ? view.index : run.indexAt(hover.epoch);
  const found = i >= 0 ? run.self(i, k, state.reference) : null;
  if (found) found.chance = run.chance(i, run.steps[k], i, found.other);
  const shown = hover?.kind === "layer" && i >= 0;
  const level = state.adjusted ? 0 : found?.chance;
  heat.mark({ cell: shown ? [i, k] : null, column: view.index, dots: view.dots, level });
  curves.mark({ layer: i, index: view.index, chance: level });
  const text = found
    ? [
        `${run.layers[i]} at epoch ${epochText(run.epochs[k])}: `,
        valueText(view, view.heatData.value(i, k), found) + settledText(view, i),
      ]
    : [""];
  heat.say(...text);
  curves.say(...text);
}

function markPast(view, hover) {
  const { run, layer, past } = view;
  const cell = hover?.kind === "past" ? [run.indexAt(hover.epoch), run.indexAt(hover.other)] : null;
  past.mark({ cell, column: view.index });
  if (!cell) return past.say("", view.forgotten ? FORGOTTEN : "");
  const [k, l] = cell;
  const chance = run.chance(layer, run.steps[k], layer, run.steps[l]);
  const epochs = `epoch ${epochText(run.epochs[k])} × epoch ${epochText(run.epochs[l])}`;
  const value = run.between(layer, k, l);
  return past.say(
    `${run.layers[layer]}, ${epochs}: `,
    Number.isNaN(value) ? FORGOTTEN : valueText(view, view.pastData.value(k, l), { value, chance }),
  );
}

function pairText(view, [i, j], pane) {
  const { layers } = view.run;
  const found = { value: pane.raw(i, j), chance: pane.chance(i, j) };
  return [`${layers[i]} × ${layers[j]}: `, valueText(view, pane.value(i, j), found)];
}

function valueText({ run, state }, shown, { value, chance }) {
  const plain = `${run.measure} ${number(value)} · chance ${number(chance)}`;
  return state.adjusted ? `${plain} · adjusted ${number(shown)}` : plain;
}

function settledText({ run, settled }, i) {
  const epoch = run.finished ? settled[i].epoch : NaN;
  return Number.isFinite(epoch) ? ` · settled at epoch ${epochText(epoch)}` : "";
}
