// What passes by, newest first, and how things are.

import { byId, element, replace } from "./dom.js";

const KEPT = 60;
const number = new Intl.NumberFormat("en");

export class Flow {
  constructor(follow) {
    this.follow = follow;
    this.paused = false;
  }

  pause(paused) {
    this.paused = paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    byId("pause").textContent = paused ? "Go on" : "Pause";
  }

  tell(message) {
    if (this.paused) return;
    const what =
      message.kind === "event"
        ? `→ ${message.type} ${message.title ?? message.query ?? ""}`
        : `← ${message.items.length} items, first ${message.titles[message.items[0]?.item] ?? "none"}`;
    const who = element("button", { class: "link", type: "button", text: message.user, onclick: () => this.follow(message.user) });
    const list = byId("passing");
    list.prepend(element("li", { class: "fresh" }, element("div", { class: "head" }, who, element("span", { text: what }))));
    while (list.children.length > KEPT) list.lastChild.remove();
  }
}

export function pulse(message) {
  const figures = {
    "Events a second": message.events,
    "Recommendations a second": message.recommendations,
    "Not shown": message.left_out,
    Items: message.items,
    "Items in the index": message.searchable,
    "Profiles to catch up": message.profile_lag,
  };
  const shown = (value) => (value === null ? "unknown" : number.format(value));
  replace(
    byId("figures"),
    ...Object.entries(figures).flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: shown(value) })]),
  );
  replace(
    byId("roles"),
    ...message.roles.map((role) =>
      element(
        "tr",
        {},
        element("th", { scope: "row", text: role.role }),
        element("td", { text: role.state }),
        element("td", { text: role.workers }),
        element("td", { text: shown(role.behind) }),
      ),
    ),
  );
}
