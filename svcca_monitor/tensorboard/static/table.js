// Tables: when each layer settled, and the facts of a run.

import { epochText, make, number } from "./chart.js";
import { CONVERGED } from "./run.js";

/** The convergence table of a run, the layer nearest the output first. */
export function settledTable(run, settled) {
  const cells = (tag, texts) => texts.map((text) => make(tag, {}, text));
  const body = run.layers.map((name, i) => {
    const { epoch, area, chance } = settled[i];
    const row = make("tr", {}, make("th", { scope: "row" }, name));
    row.append(
      ...cells("td", [number(area), Number.isFinite(epoch) ? epochText(epoch) : "–", number(chance)]),
    );
    return row;
  });
  const end = run.finished ? "the end" : "the latest snapshot";
  const caption =
    `area: mean similarity to ${end} over training${run.levelled ? ", with chance as zero" : ""}; ` +
    `settled: epoch from which it stays at ${CONVERGED} or above; ` +
    "chance: what unrelated layers of that size would score";
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...cells("th", ["layer", "area", "settled", "chance"]))),
    make("tbody", {}, ...body.reverse()),
  );
}

/** Facts as a list of terms: [[term, text], …]. */
export function factList(facts) {
  const entries = facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
  return make("dl", { className: "facts" }, ...entries);
}
