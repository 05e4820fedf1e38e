// The same view in a file of its own: the data stand in the page.

import { App } from "./app.js";
import { readLink, writeLink } from "./links.js";

class Page {
  live = false;

  constructor() {
    this.runs = JSON.parse(document.getElementById("svcca-data").textContent);
  }

  async list() {
    return this.runs;
  }

  async frames(run, tag) {
    const text = atob(this.runs[run].frames[tag]);
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
  }

  facts(run) {
    return this.runs[run].facts;
  }
}

class Alone {
  dark = window.matchMedia("(prefers-color-scheme: dark)");

  read() {
    return readLink(window.location.hash);
  }

  write(state, start) {
    window.clearTimeout(this.writing);
    this.writing = window.setTimeout(() => {
      window.history.replaceState(null, "", writeLink(window.location.hash, state, start));
    }, 300);
  }

  visible() {
    return true;
  }

  theme() {
    return this.dark.matches ? "dark" : "light";
  }

  onTheme(changed) {
    this.dark.addEventListener("change", changed);
  }

  onReload() {}

  onLink(changed) {
    window.addEventListener("hashchange", changed);
  }
}

new App(document.getElementById("svcca"), new Page(), new Alone());
