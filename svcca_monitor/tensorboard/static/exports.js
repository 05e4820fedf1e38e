// What can be taken along: PNG, CSV, SVG.

export function download(name, type, content) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[^\w.\- ]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** RFC 4180, nan as an empty field; a spreadsheet must not take a name for a formula. */
export function toCsv(rows) {
  const field = (value) => {
    if (typeof value === "number") return Number.isFinite(value) ? shortest(value) : "";
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

/** The fewest digits that mean the same number in single precision, which is how it came. */
function shortest(value) {
  let digits = 1;
  while (Math.fround(value.toPrecision(digits)) !== Math.fround(value)) digits++;
  return String(Number(value.toPrecision(digits)));
}

export function toPng(chart) {
  const canvas = document.createElement("canvas");
  const title = Math.round(24 * chart.ratio);
  canvas.width = chart.base.width;
  canvas.height = chart.base.height + title;
  const context = canvas.getContext("2d");
  context.fillStyle = chart.colours.back;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = chart.colours.text;
  context.font = `${Math.round(13 * chart.ratio)}px Roboto, system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillText(chart.heading.textContent, 8, title / 2);
  context.drawImage(chart.base, 0, title);
  canvas.toBlob((blob) => download(`${chart.file}.png`, "image/png", blob));
}

const CELL = 12;
/** Longer names are cut in the middle; cells have them whole. */
const LONGEST = 60;

/** A heat map as SVG: a rectangle a cell, with its value as a title; names are text nodes. */
export function toSvg(chart) {
  const { rows, columns, value, scale, rowTitle, columnTitle } = chart.data;
  const short = (name) => (name.length > LONGEST ? `${name.slice(0, 29)}…${name.slice(-30)}` : name);
  const longest = (names) => Math.max(...names.map((name) => short(name).length));
  const left = 30 + 6.2 * longest(rows);
  const [width, height] = [CELL * columns.length, CELL * rows.length];
  const top = 28;
  const svg = node("svg", {
    xmlns: "http://www.w3.org/2000/svg",
    width: left + width + 70,
    height: top + height + 30 + 6.2 * longest(columns),
    "font-family": "sans-serif",
    "font-size": 10,
  });
  text(svg, chart.heading.textContent, { x: left, y: 16, "font-size": 13 });
  rows.forEach((row, i) => {
    const y = top + height - (i + 1) * CELL;
    text(svg, short(row), { x: left - 4, y: y + 9, "text-anchor": "end" });
    columns.forEach((column, j) => {
      const cell = node("rect", { x: left + j * CELL, y, width: CELL, height: CELL });
      cell.setAttribute("fill", scale.css(value(i, j)));
      const number = value(i, j);
      const shown = Number.isFinite(number) ? number.toFixed(6) : "nan";
      cell.append(node("title", {}, `${row} × ${column}: ${shown}`));
      svg.append(cell);
    });
  });
  columns.forEach((column, j) => {
    const place = `translate(${left + j * CELL + 9} ${top + height + 4}) rotate(-90)`;
    text(svg, short(column), { transform: place, "text-anchor": "end" });
  });
  const bottom = top + height + 22 + 6.2 * longest(columns);
  text(svg, columnTitle, { x: left + width / 2, y: bottom, "text-anchor": "middle" });
  const turned = `translate(12 ${top + height / 2}) rotate(-90)`;
  text(svg, rowTitle, { transform: turned, "text-anchor": "middle" });
  for (let k = 0; k < 64; k++) {
    const y = top + (height * (63 - k)) / 64;
    const bar = { x: left + width + 12, y, width: 10, height: height / 64 + 0.5 };
    bar.fill = scale.css(scale.low + ((scale.high - scale.low) * k) / 63);
    svg.append(node("rect", bar));
  }
  scale.labels.forEach((label, k) => {
    text(svg, label, { x: left + width + 26, y: top + height * (1 - k / 2) + (8 - 4 * k) });
  });
  return new XMLSerializer().serializeToString(svg);
}

function node(tag, attributes, content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key !== "xmlns") element.setAttribute(key, value);
  }
  if (content !== undefined) element.textContent = content;
  return element;
}

function text(svg, content, attributes) {
  svg.append(node("text", attributes, content));
}
