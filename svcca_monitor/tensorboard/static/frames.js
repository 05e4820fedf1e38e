// The answers of /frames (see frames.py): a line of JSON, then float32.

/** One matrix of a tag at a step. */
export class Frame {
  constructor(step, rows, columns, triangle, data) {
    Object.assign(this, { step, rows, columns, triangle, data });
  }

  at(i, j) {
    if (!this.triangle) return this.data[i * this.columns + j];
    const low = Math.min(i, j);
    // The rows above hold n + (n − 1) + … numbers.
    return this.data[low * this.rows - (low * (low - 1)) / 2 + Math.abs(i - j)];
  }
}

/** Frames, in the order of their steps, and how many later ones were left out. */
export function decodeFrames(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10) + 1;
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  let at = end;
  const frames = head.steps.map((step, k) => {
    const [rows, columns] = head.shapes[k];
    const length = head.triangle ? (rows * (rows + 1)) / 2 : rows * columns;
    const data = new Float32Array(buffer, at, length);
    at += 4 * length;
    return new Frame(step, rows, columns, head.triangle, data);
  });
  return { frames, rest: head.rest };
}
