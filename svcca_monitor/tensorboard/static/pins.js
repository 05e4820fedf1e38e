// Pairs of layers by name, as cells of a pane: each run has an order of its own.

import { pinColour } from "./colours.js";

/** Gives the cell of {row, column} among the names; null if one is not there. */
export function cellsOf(names) {
  return (pair) => {
    const cell = [names.indexOf(pair?.row), names.indexOf(pair?.column)];
    return Math.min(...cell) >= 0 ? cell : null;
  };
}

/** Pins whose layers are there: [{row, column, cell, colour}, …]. */
export function pinnedCells(pins, cellOf) {
  return pins
    .map((pin, k) => ({ ...pin, cell: cellOf(pin), colour: pinColour(k) }))
    .filter((pin) => pin.cell);
}
