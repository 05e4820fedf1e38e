// The tab in TensorBoard: data over HTTP, deep links, theme and reloads from the page around it.

import { App } from "./app.js";
import { readLink, writeLink } from "./links.js";

class Routes {
  live = true;

  list() {
    return this.get("./tags").then((answer) => answer.json());
  }

  frames(run, tag, since) {
    const query = new URLSearchParams({ run, tag, since });
    return this.get(`./frames?${query}`).then((answer) => answer.arrayBuffer());
  }

  async get(path) {
    const answer = await fetch(new URL(path, import.meta.url));
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }
}

class Host {
  read() {
    return readLink(window.parent.location.hash);
  }

  write(state, start) {
    window.clearTimeout(this.writing);
    // Browsers allow some hundred changes of an address in half a minute.
    this.writing = window.setTimeout(() => {
      const link = writeLink(window.parent.location.hash, state, start);
      window.parent.history.replaceState(null, "", link);
    }, 300);
  }

  /** TensorBoard hides what is in other tabs, and leaves it as wide and as lively as it was. */
  visible() {
    const frame = window.frameElement;
    return !frame || window.parent.getComputedStyle(frame).visibility !== "hidden";
  }

  theme() {
    return window.parent.document.body.classList.contains("dark-mode") ? "dark" : "light";
  }

  onTheme(changed) {
    const watch = new MutationObserver(changed);
    watch.observe(window.parent.document.body, { attributes: true, attributeFilter: ["class"] });
  }

  /** A link that is pasted while the tab is open; those of other tabs are not ours. */
  onLink(changed) {
    window.parent.addEventListener("hashchange", () => {
      if (/^#svcca&(.*&)?p\.svcca\./.test(window.parent.location.hash)) changed();
    });
  }

  /** TensorBoard tells over a port when it has read the files again. */
  onReload(reload) {
    const channel = new MessageChannel();
    channel.port1.addEventListener("message", (event) => {
      const { type, id, isReply } = JSON.parse(event.data);
      if (isReply) return;
      channel.port1.postMessage(JSON.stringify({ type, id, payload: null, error: null, isReply: true }));
      if (type === "experimental.DataReloaded") reload();
    });
    channel.port1.start();
    window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
  }
}

/** Called by TensorBoard. */
export function render() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("./style.css", import.meta.url);
  const root = document.createElement("div");
  document.title = "SVCCA";
  document.documentElement.lang = "en";
  // Charts ask for the colours of the page: they must be there first.
  style.addEventListener("load", () => new App(root, new Routes(), new Host()));
  document.head.append(style);
  document.body.replaceChildren(root);
}
