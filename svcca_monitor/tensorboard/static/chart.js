// What every chart has: a picture that is drawn when its data change, a layer over it for the cursor,
// a line that says what is under the cursor, and ways to take it along.

import { download, toCsv, toPng } from "./exports.js";

export const FONT = "11px Roboto, system-ui, sans-serif";

/** Make an element: `make("p", {className: "x"}, "text", child)`. Text is text, never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

export class Chart {
  /**
   * title: shown above; owner: whose it is, for names of files; help: said to screen readers;
   * aspect: height over width of the picture.
   */
  constructor({ title, owner, help, aspect = 1, small = false }) {
    Object.assign(this, { title, owner, help, aspect });
    this.base = make("canvas", { "aria-hidden": "true" });
    // No mere picture: screen readers hand the arrow keys on to it.
    this.over = make("canvas", { tabIndex: 0, role: "application", "aria-label": `${title}. ${help}` });
    this.heading = make("h3", { title }, title);
    // Only the chart that has the keyboard speaks: marks move in all of them.
    this.readout = make("p", { className: "readout", "aria-live": "off", "aria-atomic": "true" },
      make("span", { className: "name" }), make("span", {}));
    this.buttons = make("span", { className: "exports" });
    this.stage = make("div", { className: "stage" }, this.base, this.over);
    this.element = make(
      "figure",
      { className: small ? "chart small" : "chart" },
      make("figcaption", {}, this.heading, this.buttons),
      this.stage,
      this.readout,
    );
    if (!small) this.offer("PNG", () => toPng(this));
    if (!small) this.offer("CSV", () => download(`${this.file}.csv`, "text/csv", toCsv(this.rows())));
    this.over.addEventListener("pointermove", (event) => this.point(event, false));
    this.over.addEventListener("click", (event) => this.point(event, true));
    this.over.addEventListener("pointerleave", () => this.onHover?.(null));
    this.over.addEventListener("focus", () => this.readout.setAttribute("aria-live", "polite"));
    this.over.addEventListener("blur", () => {
      this.readout.setAttribute("aria-live", "off");
      this.onHover?.(null);
    });
    this.over.addEventListener("keydown", (event) => this.key(event));
    // To ask for the width in every frame would lay the page out in every frame.
    new ResizeObserver(([entry]) => {
      this.room = Math.floor(entry.contentRect.width);
      this.onResize?.();
    }).observe(this.stage);
    this.drawn = "";
  }

  offer(name, action) {
    const label = `Save ${this.title} as ${name}`;
    const button = make("button", { type: "button", "aria-label": label, title: label }, name);
    button.addEventListener("click", action);
    this.buttons.append(button);
  }

  /** Name of exports, without an ending: also numbers alone must say of which epoch they are. */
  get file() {
    return `${this.owner} ${this.heading.textContent}`;
  }

  retitle(title) {
    if (this.heading.textContent === title) return;
    this.heading.textContent = title;
    this.heading.title = title;
    this.over.setAttribute("aria-label", `${title}. ${this.help}`);
  }

  /** What is under the mark: its name, which may be cut to a line, and its numbers, which may not. */
  say(name, numbers = "") {
    [name, numbers].forEach((text, k) => {
      const part = this.readout.children[k];
      if (part.textContent !== text) part.textContent = text;
    });
  }

  /** Fit both canvases to the width at hand; true if that changed anything. */
  resize() {
    const width = this.room;
    const ratio = window.devicePixelRatio || 1;
    if (!width || (width === this.width && ratio === this.ratio)) return false;
    Object.assign(this, { width, ratio, height: Math.round(width * this.aspect) });
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(this.height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${this.height}px`;
      const context = canvas.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.font = FONT;
    }
    return true;
  }

  /** Where to draw, in pixels of the page: as resize() has set it up, which is not done in every frame. */
  context(canvas) {
    return canvas.getContext("2d");
  }

  /** Colours of the page's theme, read once for every change of theme. */
  palette(theme) {
    if (this.theme !== theme) {
      const style = getComputedStyle(this.element);
      const read = (name) => style.getPropertyValue(name).trim();
      this.colours = { text: read("--text"), line: read("--line"), back: read("--back") };
      this.colours.accent = read("--accent");
      this.theme = theme;
    }
    return this.colours;
  }

  place(event) {
    const box = this.over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  onPage([x, y]) {
    const box = this.over.getBoundingClientRect();
    return [x + box.left, y + box.top];
  }
}

/** Text no wider than a limit. The middle of a longer one is left out: paths differ at both ends. */
export function fitted(context, text, limit) {
  const { width } = context.measureText(text);
  if (width <= limit) return text;
  const letters = Array.from(text);
  const cut = (kept) =>
    [...letters.slice(0, kept >> 1), "…", ...letters.slice(letters.length - kept + (kept >> 1))].join("");
  let kept = Math.min(letters.length - 1, Math.ceil((letters.length * limit) / width) + 2);
  while (kept > 1 && context.measureText(cut(kept)).width > limit) kept--;
  return cut(kept);
}

/** Every how manieth of n labels fits. */
export function stride(n, room, each) {
  return Math.max(1, Math.ceil((n * each) / Math.max(room, 1)));
}

export function number(value) {
  return Number.isFinite(value) ? value.toFixed(3).replace("-", "−") : "unknown";
}

/** The name of a layer where there is nothing beside it, so that an empty one is seen. */
export function layerText(layer) {
  return layer.trim() ? layer : "(no name)";
}

export function epochText(epoch) {
  return String(Number(epoch.toFixed(2)));
}
