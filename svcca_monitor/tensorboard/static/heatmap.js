// A matrix as a picture: the first row at the bottom, one colour a cell, a bar of the scale beside it.

import { Chart, fitted, stride } from "./chart.js";
import { toSvg, download } from "./exports.js";

const LABEL = 13;

export class HeatMap extends Chart {
  constructor(options) {
    super(options);
    this.plain = options.small; // no labels and no bar
    this.cells = document.createElement("canvas");
    if (!this.plain) {
      this.offer("SVG", () => download(`${this.file}.svg`, "image/svg+xml", toSvg(this)));
    }
  }

  /**
   * Show a matrix.
   *
   * data: {rows: labels, columns: labels, value(i, j), scale, rowTitle, columnTitle, key};
   * nothing is drawn again while `key` stays the same.
   */
  show(data, theme) {
    const colours = this.palette(theme);
    const resized = this.resize();
    if (!this.width) return;
    const frame = `${data.rows.length} ${data.columns.length} ${data.columns.at(-1)} ${theme} ${data.frameKey}`;
    if (resized || frame !== this.frame) {
      this.layOut(data, colours);
      // Where the cells are, for who drives the page from outside.
      this.over.dataset.area = Object.values(this.area).join(" ");
      this.frame = frame;
      this.drawn = "";
    }
    this.data = data;
    if (this.drawn !== data.key) this.paint();
    this.drawn = data.key;
  }

  /** Everything but the cells: it stays while time goes on. */
  layOut(data, colours) {
    const context = this.context(this.base);
    context.clearRect(0, 0, this.width, this.height);
    if (this.plain) {
      this.area = { x: 0, y: 0, width: this.width, height: this.height };
      return;
    }
    const widest = (labels) => Math.max(...labels.map((text) => context.measureText(text).width), 0);
    const turned = data.columnKind !== "number";
    const left = Math.min(widest(data.rows), this.width * 0.26) + 24;
    const below = (turned ? Math.min(widest(data.columns), this.height * 0.24) : LABEL) + 26;
    const right = widest(data.scale.labels) + 26;
    this.area = { x: left, y: 6, width: this.width - left - right, height: this.height - below - 6 };
    const { x, y, width, height } = this.area;
    context.fillStyle = colours.text;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const cell = height / data.rows.length;
    for (let i = 0, by = stride(data.rows.length, height, LABEL); i < data.rows.length; i += by) {
      context.fillText(fitted(context, data.rows[i], left - 22), x - 4, y + height - (i + 0.5) * cell);
    }
    this.columnLabels(context, data, turned, below);
    context.textAlign = "center";
    context.fillText(data.columnTitle, x + width / 2, this.height - 8);
    context.save();
    context.translate(8, y + height / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(data.rowTitle, 0, 0);
    context.restore();
    this.drawBar(context, data.scale, colours);
  }

  columnLabels(context, data, turned, below) {
    const { x, y, width, height } = this.area;
    const cell = width / data.columns.length;
    const each = turned ? LABEL : 30;
    for (let j = 0, by = stride(data.columns.length, width, each); j < data.columns.length; j += by) {
      context.save();
      context.translate(x + (j + 0.5) * cell, y + height + 5);
      if (turned) context.rotate(-Math.PI / 2);
      context.textAlign = turned ? "right" : "center";
      context.fillText(fitted(context, data.columns[j], below - 24), 0, turned ? 0 : 6);
      context.restore();
    }
  }

  drawBar(context, scale, colours) {
    const { x, y, width, height } = this.area;
    const at = x + width + 10;
    for (let k = 0; k < height; k++) {
      context.fillStyle = scale.css(scale.low + ((scale.high - scale.low) * k) / height);
      context.fillRect(at, y + height - k - 1, 9, 1.5);
    }
    context.fillStyle = colours.text;
    context.textAlign = "left";
    scale.labels.forEach((text, k) => {
      context.textBaseline = ["bottom", "middle", "top"][k];
      context.fillText(text, at + 12, y + height * (1 - k / 2));
    });
    context.textBaseline = "middle";
  }

  paint() {
    const { rows, columns, value, scale } = this.data;
    const [n, m] = [rows.length, columns.length];
    if (!n || !m) return;
    if (this.cells.width !== m || this.cells.height !== n) {
      Object.assign(this.cells, { width: m, height: n });
      this.image = new ImageData(m, n);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    for (let i = 0; i < n; i++) {
      const row = (n - 1 - i) * m;
      for (let j = 0; j < m; j++) this.pixels[row + j] = scale.pixel(value(i, j));
    }
    this.cells.getContext("2d").putImageData(this.image, 0, 0);
    const context = this.context(this.base);
    const { x, y, width, height } = this.area;
    context.imageSmoothingEnabled = false;
    context.clearRect(x, y, width, height);
    context.drawImage(this.cells, x, y, width, height);
  }

  /**
   * Mark what the cursor of any chart is at: {cell: [i, j], column, pins: [{cell, colour}, …],
   * dots: [[i, j], …], level}.
   */
  mark({ cell, column, pins = [], dots = [], level }) {
    if (!this.area || !this.data) return;
    const context = this.context(this.over);
    context.clearRect(0, 0, this.width, this.height);
    const { x, y, width, height } = this.area;
    const [w, h] = [width / this.data.columns.length, height / this.data.rows.length];
    const left = (j) => x + j * w;
    const top = (i) => y + height - (i + 1) * h;
    const outline = ([i, j], colour, around, wide) => {
      context.lineWidth = 2 * wide;
      context.strokeStyle = around;
      context.strokeRect(left(j), top(i), w, h);
      context.lineWidth = wide;
      context.strokeStyle = colour;
      context.strokeRect(left(j), top(i), w, h);
    };
    if (column !== undefined && column >= 0) {
      context.fillStyle = "#000a";
      context.fillRect(left(column + 0.5) - 1.5, y, 3, height);
      context.fillStyle = "#fff";
      context.fillRect(left(column + 0.5) - 0.5, y, 1, height);
    }
    for (const [i, j] of dots) {
      context.beginPath();
      context.arc(left(j + 0.5), top(i) + h / 2, Math.max(1, Math.min(3.5, w / 3, h / 3)), 0, 2 * Math.PI);
      context.fillStyle = "#fff";
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = "#000a";
      context.stroke();
    }
    for (const pin of pins) outline(pin.cell, pin.colour, "#fffc", 2.5);
    if (cell) outline(cell, "#fff", "#000a", 1.5);
    if (Number.isFinite(level) && !this.plain) this.markLevel(context, level);
  }

  /** Where the chance level of a cell stands on the bar. */
  markLevel(context, level) {
    const { x, y, width, height } = this.area;
    const { low, high } = this.data.scale;
    const at = y + height * (1 - (level - low) / (high - low));
    context.fillStyle = this.colours.accent;
    context.fillRect(x + width + 6, at - 1, 17, 2);
  }

  cellAt([px, py]) {
    if (!this.area || !this.data) return null;
    const { x, y, width, height } = this.area;
    const j = Math.floor(((px - x) / width) * this.data.columns.length);
    const i = Math.floor(((y + height - py) / height) * this.data.rows.length);
    const inside = i >= 0 && j >= 0 && i < this.data.rows.length && j < this.data.columns.length;
    return inside ? [i, j] : null;
  }

  /** Where the cursor is, in pixels of the page. */
  spot() {
    const { x, y, width, height } = this.area;
    const [i, j] = this.cursor;
    return this.onPage([
      x + ((j + 0.5) * width) / this.data.columns.length,
      y + height - ((i + 0.5) * height) / this.data.rows.length,
    ]);
  }

  point(event, click) {
    this.cursor = this.cellAt(this.place(event));
    this.onHover?.(this.cursor, event);
    if (click && this.cursor) this.onPick?.(this.cursor);
  }

  key(event) {
    const move = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Enter" && this.cursor) this.onPick?.(this.cursor);
    else if (move[event.key] && this.data) {
      const [i, j] = this.cursor ?? [0, 0];
      const [up, right] = this.cursor ? move[event.key] : [0, 0];
      const within = (k, n) => Math.min(Math.max(k, 0), n - 1);
      this.cursor = [within(i + up, this.data.rows.length), within(j + right, this.data.columns.length)];
      this.onHover?.(this.cursor);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  rows() {
    const { rows, columns, value } = this.data;
    const head = [`${this.data.rowTitle} \\ ${this.data.columnTitle}`, ...columns];
    return [head, ...rows.map((name, i) => [name, ...columns.map((_, j) => value(i, j))])];
  }
}
