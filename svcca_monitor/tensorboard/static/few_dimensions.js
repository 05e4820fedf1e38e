// Mean canonical correlation of independent real views of few dimensions, as in
// svcca_monitor/few_dimensions.py, where the density and its integrals are explained.

// An eighth of those in Python, for the first picture must not wait: the error is below 5e-5.
const ANGLES = 250;
const MARGIN = 9;

/** For p ≤ q dimensions, fewer than n - 1. */
export function meanCorrelation(n, p, q) {
  const m = n - 1;
  const shared = Math.max(0, p + q - m);
  const others = shared ? sumOfCorrelations(m, m - q, m - p) : sumOfCorrelations(m, p, q);
  return (shared + others) / p;
}

function sumOfCorrelations(m, p, q) {
  const centre = Math.sqrt(q * (m - p)) / m;
  const spread = Math.sqrt(p * (m - q)) / m;
  const margin = MARGIN / Math.sqrt(m);
  const first = Math.max(0, Math.asin(centre - spread) - margin);
  const last = Math.min(Math.PI / 2, Math.asin(Math.min(1, centre + spread)) + margin);
  const step = (last - first) / ANGLES;
  const angles = Array.from({ length: ANGLES }, (_, i) => first + step * (i + 0.5));
  const rho = angles.map(Math.sin);
  const logs = angles.map(
    (a) => (q - p) * Math.log(Math.sin(a)) + (m - p - q) * Math.log(Math.cos(a)),
  );
  const top = logs.reduce((a, b) => Math.max(a, b));
  const functions = orthonormal(
    logs.map((log) => Math.exp(log - top)),
    rho.map((r) => r * r),
    p,
  );
  const weighted = functions.map((f) => f.map((value, i) => value * rho[i]));
  const integrals = functions.map(signed);
  const weightedIntegrals = weighted.map(signed);
  const pairs = functions.map((f) => integrals.map((g) => dot(f, g)));
  const change = functions.map((f, i) =>
    functions.map((_, j) => dot(weighted[i], integrals[j]) + dot(f, weightedIntegrals[j])),
  );
  if (p % 2) {
    border(pairs, functions);
    border(change, weighted);
  }
  return traceOfSolution(pairs, change) / 2;
}

function orthonormal(weight, x, count) {
  const mean = x.reduce((a, b) => a + b) / x.length;
  const functions = [];
  let next = Float64Array.from(weight);
  for (let k = 0; k < count; k++) {
    for (let pass = 0; pass < 2; pass++) {
      for (const f of functions) {
        const along = dot(f, next);
        for (let i = 0; i < next.length; i++) next[i] -= along * f[i];
      }
    }
    const length = Math.sqrt(dot(next, next));
    const found = next.map((value) => value / length);
    functions.push(found);
    next = found.map((value, i) => (x[i] - mean) * value);
  }
  return functions;
}

function signed(f) {
  const total = f.reduce((a, b) => a + b);
  let below = 0;
  return f.map((value) => {
    below += value;
    return 2 * below - value - total;
  });
}

function border(matrix, functions) {
  const sums = functions.map((f) => f.reduce((a, b) => a + b));
  matrix.forEach((row, i) => row.push(sums[i]));
  matrix.push([...sums.map((value) => -value), 0]);
}

/** Trace of X with A X = B, by elimination with the largest pivots. */
function traceOfSolution(a, b) {
  const size = a.length;
  for (let k = 0; k < size; k++) {
    let pivot = k;
    for (let i = k + 1; i < size; i++) if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
    for (const m of [a, b]) [m[k], m[pivot]] = [m[pivot], m[k]];
    for (let i = 0; i < size; i++) {
      const factor = i === k ? 0 : a[i][k] / a[k][k];
      if (!factor) continue;
      for (let j = k; j < size; j++) a[i][j] -= factor * a[k][j];
      for (let j = 0; j < size; j++) b[i][j] -= factor * b[k][j];
    }
  }
  return a.reduce((trace, row, k) => trace + b[k][k] / row[k], 0);
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
