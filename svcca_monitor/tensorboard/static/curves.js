// Similarity over epochs: a curve a layer, coloured by depth, with the epoch from which it has settled.

import { Chart, epochText, fitted } from "./chart.js";
import { depthColour } from "./colours.js";

export class Curves extends Chart {
  /** data: {names, epochs, values: rows of numbers, settled: epochs, pinned: [{name, values, colour}], key}. */
  show(data, theme) {
    const colours = this.palette(theme);
    const resized = this.resize();
    if (!this.width) return;
    this.data = data;
    this.dark = theme === "dark";
    const key = `${data.key} ${theme}`;
    if (!resized && this.drawn === key) return;
    this.drawn = key;
    this.area = { x: 44, y: 10, width: this.width - 58, height: this.height - 52 };
    const context = this.context(this.base);
    context.clearRect(0, 0, this.width, this.height);
    this.axes(context, colours);
    data.names.forEach((_, i) => {
      this.line(context, data.values[i], depthColour(i, data.names.length, this.dark), 1.5);
    });
    context.setLineDash([5, 3]);
    for (const pin of data.pinned) this.line(context, pin.values, pin.colour, 2);
    context.setLineDash([]);
    this.namePins(context, colours);
    data.settled.forEach((epoch, i) => this.dot(context, i, epoch, colours));
  }

  axes(context, colours) {
    const { x, y, width, height } = this.area;
    context.strokeStyle = colours.line;
    context.fillStyle = colours.text;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    for (let k = 0; k <= 5; k++) {
      const at = this.y(k / 5);
      context.beginPath();
      context.moveTo(x, at);
      context.lineTo(x + width, at);
      context.stroke();
      context.textAlign = "right";
      context.fillText((k / 5).toFixed(1), x - 6, at);
    }
    context.textAlign = "center";
    for (const epoch of this.ticks(width)) {
      context.fillText(epochText(epoch), this.x(epoch), y + height + 12);
    }
    this.legend(context);
    context.save();
    context.translate(10, y + height / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.data.valueTitle, 0, 0);
    context.restore();
  }

  /** The colours of depth, from the first layer to the last. */
  legend(context) {
    const { names } = this.data;
    const y = this.height - 10;
    const room = (this.area.width - 140) / 2;
    context.textAlign = "left";
    context.fillText("epoch", this.area.x, y);
    let x = this.area.x + this.area.width;
    context.textAlign = "right";
    const last = fitted(context, names.at(-1), room);
    context.fillText(last, x, y);
    x -= context.measureText(last).width + 66;
    for (let k = 0; k < 60; k++) {
      context.fillStyle = depthColour(k, 60, this.dark);
      context.fillRect(x + k, y - 4, 1.5, 8);
    }
    context.fillStyle = this.colours.text;
    context.fillText(fitted(context, names[0], room), x - 6, y);
    context.textAlign = "center";
  }

  /** Round epochs, some 60 pixels apart. */
  ticks(width) {
    const { epochs } = this.data;
    const [first, last] = [epochs[0] ?? 0, epochs.at(-1) ?? 1];
    const rough = ((last - first || 1) * 60) / width;
    const power = 10 ** Math.floor(Math.log10(rough));
    const by = [1, 2, 5, 10].map((k) => k * power).find((step) => step >= rough);
    const found = [];
    for (let k = Math.ceil(first / by); k * by <= last + 1e-9; k++) found.push(k * by);
    return found;
  }

  x(epoch) {
    const { epochs } = this.data;
    const span = epochs.at(-1) - epochs[0] || 1;
    return this.area.x + ((epoch - epochs[0]) / span) * this.area.width;
  }

  y(value) {
    const { y, height } = this.area;
    return y + height * (1 - Math.min(Math.max(value, -0.02), 1.02));
  }

  line(context, values, colour, width) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    let pen = false;
    values.forEach((value, k) => {
      if (Number.isNaN(value)) pen = false;
      else {
        context[pen ? "lineTo" : "moveTo"](this.x(this.data.epochs[k]), this.y(value));
        pen = true;
      }
    });
    context.stroke();
  }

  /** The name of each pinned pair at the end of its curve, below the others that end there. */
  namePins(context, { back, text }) {
    const taken = [];
    const end = this.area.x + this.area.width - 4;
    context.textAlign = "right";
    context.lineWidth = 3;
    context.strokeStyle = back;
    for (const { name, values, colour } of this.data.pinned) {
      const last = values.findLast((value) => !Number.isNaN(value));
      if (last === undefined) continue;
      const by = last > 0.5 ? 1 : -1;
      let at = this.y(last) + 9 * by;
      while (taken.some((other) => Math.abs(other - at) < 12)) at += 12 * by;
      taken.push(at);
      const shown = fitted(context, name, this.area.width * 0.7);
      context.strokeText(shown, end - 12, at);
      context.fillStyle = text;
      context.fillText(shown, end - 12, at);
      context.fillStyle = colour;
      context.fillRect(end - 8, at - 4, 8, 8);
    }
  }

  dot(context, i, epoch, colours) {
    const k = this.data.epochs.indexOf(epoch);
    if (k < 0 || Number.isNaN(this.data.values[i][k])) return;
    context.beginPath();
    context.arc(this.x(epoch), this.y(this.data.values[i][k]), 3.5, 0, 2 * Math.PI);
    context.fillStyle = depthColour(i, this.data.names.length, this.dark);
    context.fill();
    context.lineWidth = 1.2;
    context.strokeStyle = colours.back;
    context.stroke();
  }

  /** Mark {layer, index: snapshot, chance}. */
  mark({ layer, index, chance }) {
    if (!this.area) return;
    const context = this.context(this.over);
    context.clearRect(0, 0, this.width, this.height);
    const { x, y, width, height } = this.area;
    if (index >= 0 && index < this.data.epochs.length) {
      context.fillStyle = this.colours.text;
      context.fillRect(this.x(this.data.epochs[index]) - 0.5, y, 1, height);
    }
    if (!(layer >= 0)) return;
    this.line(context, this.data.values[layer], this.colours.back, 6);
    this.line(context, this.data.values[layer], depthColour(layer, this.data.names.length, this.dark), 3);
    if (Number.isFinite(chance)) {
      context.strokeStyle = this.colours.text;
      context.lineWidth = 1;
      context.setLineDash([2, 3]);
      context.beginPath();
      context.moveTo(x, this.y(chance));
      context.lineTo(x + width, this.y(chance));
      context.stroke();
      context.setLineDash([]);
      context.fillStyle = this.colours.text;
      context.textAlign = "right";
      context.textBaseline = "bottom";
      context.fillText("chance", x + width, this.y(chance) - 1);
    }
  }

  nearest([px, py]) {
    if (!this.data || !this.area) return null;
    const distances = this.data.epochs.map((epoch) => Math.abs(this.x(epoch) - px));
    const k = distances.indexOf(Math.min(...distances));
    let best = null;
    let least = 40;
    this.data.values.forEach((row, i) => {
      const away = Math.abs(this.y(row[k]) - py);
      if (away < least) [best, least] = [[i, k], away];
    });
    return best;
  }

  /** Where the cursor is, in pixels of the page. */
  spot() {
    const [i, k] = this.cursor;
    return this.onPage([this.x(this.data.epochs[k]), this.y(this.data.values[i][k] || 0)]);
  }

  point(event, click) {
    this.cursor = this.nearest(this.place(event));
    this.onHover?.(this.cursor, event);
    if (click && this.cursor) this.onPick?.(this.cursor);
  }

  key(event) {
    const move = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Enter" && this.cursor) this.onPick?.(this.cursor);
    else if (move[event.key] && this.data?.epochs.length) {
      const [i, k] = this.cursor ?? [0, this.data.epochs.length - 1];
      const [up, right] = this.cursor ? move[event.key] : [0, 0];
      const within = (at, n) => Math.min(Math.max(at, 0), n - 1);
      this.cursor = [within(i + up, this.data.names.length), within(k + right, this.data.epochs.length)];
      this.onHover?.(this.cursor);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  rows() {
    const head = ["epoch", ...this.data.names, ...this.data.pinned.map((pin) => pin.name)];
    const columns = [...this.data.values, ...this.data.pinned.map((pin) => pin.values)];
    return [head, ...this.data.epochs.map((epoch, k) => [epoch, ...columns.map((c) => c[k])])];
  }
}
