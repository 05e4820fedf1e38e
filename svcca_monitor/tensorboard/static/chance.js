// What independent real layers score: the closed forms of svcca_monitor/chance.py.

import { meanCorrelation } from "./few_dimensions.js";

const NODES = 384;
// The package averages so many dimensions exactly. That takes milliseconds for each two sizes, of which
// a long run has thousands: from 13 on, the limit less its first error is within what views show.
const FEW = 32;
const EXACT = 12;
const known = new Map();

/** Mean similarity of independent layers; NaN where there is no closed form. */
export function chanceLevel(measure, n, p, q) {
  return chanceLevels(measure, n, p)(q);
}

/** The same for one p and any q: asked for each two sizes of layers in every frame. */
export function chanceLevels(measure, n, p) {
  const form = FORMS[measure];
  if (!form || !(n > 1) || !(p > 0)) return () => NaN;
  const level = (q) => (q > 0 ? form(n, Math.min(p, q), Math.max(p, q)) : NaN);
  if (form !== correlationMean) return level;
  // An integral, of whole numbers: worth keeping, and not many.
  const levels = within(within(known, n), p);
  return (q) => {
    if (!levels.has(q)) levels.set(q, level(q));
    return levels.get(q);
  };
}

function within(map, key) {
  if (!map.has(key)) map.set(key, new Map());
  return map.get(key);
}

const FORMS = {
  cca: correlationMean,
  svcca: correlationMean,
  cca_r2: (n, p, q) => Math.min(1, q / (n - 1)),
  cka: (n, p, q) => Math.min(1, Math.sqrt(p * q) / (n - 1)),
  cka_debiased: () => 0,
};

function correlationMean(n, p, q) {
  const few = p <= FEW && Number.isInteger(p) && Number.isInteger(q);
  if (few && p <= EXACT && q < n - 1) return meanCorrelation(n, p, q);
  const level = wachterMean(n, p, q);
  if (level >= 1) return level;
  const excess = wachterExcess(n, p, q);
  return few || excess * n > 1 ? level - excess : level;
}

/** The first term of what Wachter's law is above the mean of real views. */
function wachterExcess(n, p, q) {
  const [lower, upper] = edges(n, p, q);
  let arcsine = 0;
  for (let k = 0; k < NODES; k++) {
    const cosine = Math.cos(((k + 0.5) * Math.PI) / (2 * NODES));
    arcsine += Math.sqrt(lower + (upper - lower) * cosine ** 2) / NODES;
  }
  return (arcsine / 2 - (Math.sqrt(lower) + Math.sqrt(upper)) / 4) / p;
}

function edges(n, p, q) {
  const [a, b] = [p / (n - 1), q / (n - 1)];
  const spread = Math.sqrt(a * (1 - b));
  const centre = Math.sqrt(b * (1 - a));
  return [(centre - spread) ** 2, (centre + spread) ** 2];
}

/** Mean canonical correlation under Wachter's law, by Gauss-Chebyshev quadrature. */
function wachterMean(n, p, q) {
  const small = p / (n - 1);
  const large = q / (n - 1);
  if (large >= 1) return 1;
  const [lower, upper] = edges(n, p, q);
  const radius = (upper - lower) / 2;
  let sum = 0;
  for (let k = 0; k < NODES; k++) {
    const theta = ((k + 0.5) * Math.PI) / NODES;
    const value = lower + 2 * radius * Math.cos(theta / 2) ** 2;
    const density = (radius * Math.sin(theta)) ** 2 / (2 * Math.PI * small * value * (1 - value));
    sum += Math.sqrt(value) * density;
  }
  return Math.max(0, small + large - 1) / small + (sum * Math.PI) / NODES;
}
