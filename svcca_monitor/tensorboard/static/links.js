// A view as a link: #svcca&p.svcca.epoch=3, the form that TensorBoard keeps for plugins.

const PREFIX = "p.svcca.";
/** What a value must be; of texts that are not here, any will do. */
const KINDS = {
  runs: (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  pins: (value) => Array.isArray(value) && value.every((pin) => isText(pin?.row) && isText(pin?.column)),
  epoch: Number.isFinite,
  mode: (value) => value === "end" || value === "now",
  adjusted: (value) => typeof value === "boolean",
  reference: (value) => Number.isFinite(value) || ["final", "previous", "initial"].includes(value),
};
const TEXTS = new Set(["filter", "mode", "layer", "first", "second"]);

/** The state in a fragment; of a link that was cut off or made up, what makes sense. */
export function readLink(hash) {
  const state = {};
  for (const part of hash.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at < 0 || !part.startsWith(PREFIX)) continue;
    const key = part.slice(PREFIX.length, at);
    try {
      const text = decodeURIComponent(part.slice(at + 1));
      const value = TEXTS.has(key) ? text : JSON.parse(text);
      if (Object.hasOwn(KINDS, key) ? KINDS[key](value) : TEXTS.has(key)) state[key] = value;
    } catch {
      continue;
    }
  }
  return state;
}

/** A fragment with what differs from the start; what is not ours in it stays. */
export function writeLink(hash, state, start) {
  const kept = hash.slice(1).split("&").filter((part) => part && !part.startsWith(PREFIX));
  const ours = Object.entries(state)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(start[key]))
    .map(([key, value]) => {
      const text = TEXTS.has(key) ? value : JSON.stringify(value);
      return `${PREFIX}${key}=${encodeURIComponent(text)}`;
    });
  return `#${[...kept, ...ours].join("&")}`;
}

function isText(value) {
  return typeof value === "string";
}
