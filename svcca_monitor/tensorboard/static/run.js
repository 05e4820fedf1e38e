// The data model: a run has tags, a tag has frames; what views show is worked out here.

import { chanceLevel, chanceLevels } from "./chance.js";

/** A layer has settled from the epoch after which it never falls below this (settling.py). */
export const CONVERGED = 0.9;
const TAGS = ["layers", "epoch", "dims", "final", "history"];

export class Run {
  constructor(name, description) {
    this.name = name;
    this.frames = Object.fromEntries(TAGS.map((tag) => [tag, []]));
    Object.assign(this, { version: 0, steps: [], epochs: [] });
    this.describe(description);
  }

  describe({ layers, measure, n_samples, tags }) {
    // What is still on its way is known to be there.
    const ended = tags["svcca/final"] >= tags["svcca/layers"];
    Object.assign(this, { layers, measure, ended, samples: n_samples });
  }

  /** Add frames of a tag, or replace them all. */
  add(tag, frames, replace) {
    this.frames[tag] = replace ? frames : this.frames[tag].concat(frames);
    this.version++;
    this.steps = this.frames.layers.map((frame) => frame.step);
    this.byStep = Object.fromEntries(
      TAGS.map((name) => [name, new Map(this.frames[name].map((frame) => [frame.step, frame]))]),
    );
    this.epochs = epochsOf(this.steps, this.frames.epoch);
    this.levels = new Map();
  }

  /** Whether every step has been compared with the last one. */
  get finished() {
    const last = this.frames.layers.at(-1);
    return Boolean(last) && this.byStep.final.has(last.step);
  }

  /** Snapshots that TensorBoard left out: each history counts those before it. */
  get missing() {
    const last = this.frames.history.at(-1);
    return last ? Math.max(0, last.columns + 1 - this.frames.layers.length) : 0;
  }

  /** Index of the last snapshot at or before an epoch; the first, if there is none. */
  indexAt(epoch) {
    let found = 0;
    this.epochs.forEach((e, k) => {
      if (e <= epoch + 1e-9) found = k;
    });
    return found;
  }

  /** Chance level of layer i at one step against layer j at another. */
  chance(i, step, j, other) {
    const [here, there] = [this.byStep.dims.get(step), this.byStep.dims.get(other)];
    if (!here || !there) return NaN;
    return chanceLevel(this.measure, this.samples, here.at(i, 0), there.at(j, 0));
  }

  /** A pane: `{step, other, value(i, j), raw(i, j), chance(i, j)}`; nan where sampling left it out. */
  pane(index, mode, adjusted) {
    const step = this.steps[index];
    const frame = this.byStep[mode === "end" ? "final" : "layers"].get(step);
    const raw = frame ? (i, j) => frame.at(i, j) : () => NaN;
    const other = mode === "end" ? this.steps.at(-1) : step;
    const dims = [step, other].map((s) => this.byStep.dims.get(s));
    const known = dims.every(Boolean);
    const chance = (i, j) =>
      known
        ? chanceLevel(this.measure, this.samples, dims[0].at(i, 0), dims[1].at(j, 0))
        : NaN;
    const value = adjusted ? this.adjuster(step, other, raw, dims) : raw;
    return { step, other, value, chance, raw };
  }

  /** Layer i at snapshot k against itself at a reference: {value, other: the step compared with}. */
  self(i, k, reference) {
    const last = this.steps.length - 1;
    if (reference === "final" && this.finished) {
      const frame = this.byStep.final.get(this.steps[k]);
      return { value: frame ? frame.at(i, i) : NaN, other: this.steps[last] };
    }
    const named = { final: last, previous: k - 1, initial: 0 }[reference];
    const other = named ?? this.indexAt(reference);
    return other < 0 ? { value: NaN } : { value: this.between(i, k, other), other: this.steps[other] };
  }

  /** Layer i at snapshot k against itself at snapshot l: the later one has the comparison. */
  between(i, k, l) {
    const [early, late] = k < l ? [k, l] : [l, k];
    if (early === late) return this.frames.layers[k]?.at(i, i) ?? NaN;
    const history = this.byStep.history.get(this.steps[late]);
    const column = this.ordinal(early);
    return history && column < history.columns ? history.at(i, column) : NaN;
  }

  /** Whether layer i was not compared with some of its earlier snapshots that are shown. */
  forgotten(i) {
    return this.steps.some((_, k) => {
      for (let early = 0; early < k; early++) {
        if (Number.isNaN(this.between(i, k, early))) return true;
      }
      return false;
    });
  }

  /**
   * Place of a snapshot among all that were taken, those left out by sampling included; NaN where it
   * cannot be known, as the history of that snapshot was left out while it was kept itself.
   */
  ordinal(k) {
    const known = this.byStep.history.get(this.steps[k])?.columns;
    return known ?? (this.missing ? NaN : k);
  }

  /** Layers × snapshots against a reference, as rows of numbers. */
  curves(reference, adjusted) {
    return this.layers.map((_, i) =>
      this.steps.map((step, k) => {
        const { value, other } = this.self(i, k, reference);
        return adjusted ? rescaled(value, this.chance(i, step, i, other)) : value;
      }),
    );
  }

  /** Whether chance levels of this measure are known here, and with them what is beyond chance. */
  get levelled() {
    const last = this.steps.at(-1);
    return this.layers.some((_, i) => Number.isFinite(this.chance(i, last, i, last)));
  }

  /**
   * For each layer, as convergence() in settling.py: epoch from which it stays at CONVERGED and its
   * area under the curve, with chance as zero where it is known; and its chance level.
   */
  settled() {
    const last = this.steps.length - 1;
    const span = this.epochs[last] - this.epochs[0];
    return this.curves("final", this.levelled).map((curve, i) => {
      let below = -1;
      let area = 0;
      curve.forEach((value, k) => {
        if (!(value >= CONVERGED)) below = k;
        if (k) area += ((value + curve[k - 1]) / 2) * (this.epochs[k] - this.epochs[k - 1]);
      });
      return {
        epoch: below < last ? this.epochs[below + 1] : NaN,
        area: span > 0 ? area / span : NaN,
        chance: this.chance(i, this.steps[last], i, this.steps[last]),
      };
    });
  }

  /** Values of a pane with chance at 0; `dims` are those of its rows and of its columns. */
  adjuster(step, other, raw, dims) {
    const n = this.layers.length;
    const key = `${step} ${other}`;
    if (!this.levels.has(key)) {
      if (this.levels.size > 20) this.levels.clear();
      this.levels.set(key, this.levelTable(...dims));
    }
    const table = this.levels.get(key);
    return (i, j) => rescaled(raw(i, j), table[i * n + j]);
  }

  /** Chance levels of all pairs: asked for once for each two sizes, as layers share them. */
  levelTable(rows, columns) {
    const n = this.layers.length;
    const table = new Float32Array(n * n).fill(NaN);
    if (!rows || !columns) return table;
    const [p, q] = [rows, columns].map((dims) => places(n, (i) => dims.at(i, 0)));
    const levels = p.distinct.map((a) =>
      Float32Array.from(q.distinct, chanceLevels(this.measure, this.samples, a)),
    );
    for (let i = 0; i < n; i++) {
      const row = levels[p.place[i]];
      for (let j = 0; j < n; j++) table[i * n + j] = row[q.place[j]];
    }
    return table;
  }
}

/** Epochs of steps; of those that sampling left out, in proportion between their neighbours. */
function epochsOf(steps, frames) {
  let next = 0;
  return steps.map((step) => {
    while (next < frames.length && frames[next].step < step) next++;
    const [before, after] = [frames[next - 1], frames[next]];
    if (after?.step === step) return after.at(0, 0);
    const [s, e] = before ? [before.step, before.at(0, 0)] : [0, 0];
    const rate = after ? (after.at(0, 0) - e) / (after.step - s) : e / s;
    return e + (step - s) * (Number.isFinite(rate) ? rate : 1);
  });
}

/** The distinct ones of n values, and where among them each is. */
function places(n, value) {
  const distinct = [];
  const known = new Map();
  const place = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const each = value(i);
    if (!known.has(each)) known.set(each, distinct.push(each) - 1);
    place[i] = known.get(each);
  }
  return { distinct, place };
}

/** So that chance is 0 and identity 1. */
export function rescaled(value, chance) {
  return chance < 1 ? (value - chance) / (1 - chance) : NaN;
}
