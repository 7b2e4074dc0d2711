// Lists of items, each with its reasons.

import { element, replace } from "./dom.js";

const CHANNELS = {
  content: "like what the shopper had",
  popular: "popular now",
  buy_again: "bought again",
  neighbours: "had together",
  segment: "popular among shoppers like this one",
  sessions: "had by others with the same",
  discovered: "discovered now",
  arrivals: "new here and already wanted",
  fresh: "new here",
};

const percent = (share) => `${Math.round(100 * share)}%`;

function why(reasons) {
  const lines = reasons.map((reason) => {
    const channel = CHANNELS[reason.channel] ?? reason.channel;
    const line = element("li", { class: "share", text: `${percent(reason.share)} ${channel}: ${reason.text}` });
    line.style.setProperty("--share", percent(reason.share));
    return line;
  });
  return element("details", {}, element("summary", { text: "Why" }), element("ul", {}, ...lines));
}

function moved(change) {
  if (change === undefined || change === 0) return null;
  if (change === "new") return element("span", { class: "move-new", text: "new" });
  const [kind, word] = change > 0 ? ["up", "▲ up"] : ["down", "▼ down"];
  return element("span", { class: `move-${kind}`, text: `${word} ${Math.abs(change)}` });
}

// `found` is { item, title, rank?, score?, reasons?, change? }; `open` is called with the item's id and title.
export function line(found, open) {
  const facts = [found.brand, found.category, found.price].filter((fact) => fact !== undefined && fact !== null);
  return element(
    "li",
    { class: found.change ? "fresh" : undefined, "data-item": found.item },
    element(
      "div",
      { class: "head" },
      found.rank ? element("span", { class: "rank", text: found.rank }) : null,
      element("button", { class: "link", type: "button", text: found.title, onclick: () => open(found.item, found.title) }),
      moved(found.change),
      facts.length ? element("span", { class: "quiet", text: facts.join(" · ") }) : null,
    ),
    found.reasons?.length ? why(found.reasons) : null,
  );
}

// New lines in place of those of a list. Reasons that are being read stay open, and whoever is at an item with the
// keyboard stays there, wherever it has moved.
export function renew(list, lines) {
  const open = new Set([...list.querySelectorAll("details[open]")].map((details) => details.closest("li").dataset.item));
  const at = list.contains(document.activeElement) ? document.activeElement : null;
  const [item, tag] = [at?.closest("li")?.dataset.item, at?.tagName];
  replace(list, ...lines);
  for (const line of lines) {
    const details = line.querySelector("details");
    if (details) details.open = open.has(line.dataset.item);
    if (at && line.dataset.item === item) line.querySelector(tag)?.focus({ preventScroll: true });
  }
}
