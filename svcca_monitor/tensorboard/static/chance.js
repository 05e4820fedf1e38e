// What independent layers score: the closed forms of svcca_monitor/chance.py.

const NODES = 1024;
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
  if (p !== 1 || q >= n - 1) return wachterMean(n, p, q);
  return Math.exp(
    logGamma((q + 1) / 2) + logGamma((n - 1) / 2) - logGamma(q / 2) - logGamma(n / 2),
  );
}

/** Mean canonical correlation under Wachter's law, by Gauss-Chebyshev quadrature. */
function wachterMean(n, p, q) {
  const small = p / (n - 1);
  const large = q / (n - 1);
  if (large >= 1) return 1;
  const spread = Math.sqrt(small * (1 - large));
  const centre = Math.sqrt(large * (1 - small));
  const lower = (centre - spread) ** 2;
  const radius = ((centre + spread) ** 2 - lower) / 2;
  let sum = 0;
  for (let k = 0; k < NODES; k++) {
    const theta = ((k + 0.5) * Math.PI) / NODES;
    const value = lower + 2 * radius * Math.cos(theta / 2) ** 2;
    const density = (radius * Math.sin(theta)) ** 2 / (2 * Math.PI * small * value * (1 - value));
    sum += Math.sqrt(value) * density;
  }
  return Math.max(0, small + large - 1) / small + (sum * Math.PI) / NODES;
}

/** Stirling's series, after stepping up to where it is good to 1e-12. */
function logGamma(x) {
  let shift = 0;
  while (x < 12) shift -= Math.log(x++);
  const inverse = 1 / (x * x);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}
