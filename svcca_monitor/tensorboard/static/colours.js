// Colour scales that are uniform to the eye: viridis for similarities, vik for differences, and the
// darker part of plasma for the depth of a curve.

const VIRIDIS = [
  [68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140],
  [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37],
];
const VIK = [
  [0, 18, 97], [3, 67, 128], [55, 128, 168], [154, 193, 212], [236, 229, 224],
  [221, 172, 146], [193, 112, 72], [147, 48, 20], [89, 0, 8],
];
const PLASMA = [
  [13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [210, 80, 113], [229, 107, 93],
];
const PLASMA_ON_DARK = [
  [139, 100, 230], [190, 80, 200], [219, 92, 150], [240, 120, 110], [250, 165, 70], [245, 220, 60],
];
/** Pins: each three times as bright, or as dark, as either background. */
const PINS = ["#d95f02", "#1f8fd6", "#e7298a", "#1b9e77", "#a6761d", "#8a7fd6"];
const STEPS = 512;
export const UNKNOWN = [128, 128, 128];

/** A table of colours over [low, high]; what lies outside has the colour of the end. */
export class Scale {
  constructor(anchors, low, high, labels) {
    Object.assign(this, { low, high, labels });
    this.table = new Uint32Array(STEPS + 1);
    for (let k = 0; k < STEPS; k++) this.table[k] = pack(mixed(anchors, k / (STEPS - 1)));
    this.table[STEPS] = pack(UNKNOWN);
  }

  /** As a pixel of ImageData. */
  pixel(value) {
    if (value !== value) return this.table[STEPS];
    const place = ((value - this.low) / (this.high - this.low)) * (STEPS - 1);
    return this.table[place <= 0 ? 0 : place >= STEPS - 1 ? STEPS - 1 : Math.round(place)];
  }

  css(value) {
    const p = this.pixel(value);
    return `rgb(${p & 255},${(p >> 8) & 255},${(p >> 16) & 255})`;
  }
}

export const SIMILARITY = new Scale(VIRIDIS, 0, 1, ["0", "0.5", "1"]);
export const ADJUSTED = new Scale(VIRIDIS, 0, 1, ["chance", "0.5", "1"]);
export const DIFFERENCE = new Scale(VIK, -0.5, 0.5, ["−0.5", "0", "+0.5"]);

/** Colour of the curve of layer i of n. */
export function depthColour(i, n, dark) {
  const [r, g, b] = mixed(dark ? PLASMA_ON_DARK : PLASMA, n > 1 ? i / (n - 1) : 0);
  return `rgb(${Math.round(r)},${Math.round(g)},${Math.round(b)})`;
}

/** Colour of the k-th pin. */
export function pinColour(k) {
  return PINS[k % PINS.length];
}

function mixed(anchors, share) {
  const place = share * (anchors.length - 1);
  const k = Math.min(Math.floor(place), anchors.length - 2);
  return anchors[k].map((c, channel) => c + (place - k) * (anchors[k + 1][channel] - c));
}

function pack([r, g, b]) {
  // Bytes of ImageData: red first, and every machine with a browser is little-endian.
  return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
}
