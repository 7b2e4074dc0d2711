// One shopper, followed: the list of now, and what the newest event moved in it.

import { get, user } from "./api.js";
import { byId, say } from "./dom.js";
import { line, renew } from "./items.js";

const SHOWN = 10;

export class Shopper {
  constructor(open) {
    this.open = open;
    this.id = null;
    this.ranks = null;
    this.after = "";
  }

  async follow(id) {
    this.known(id);
    this.ranks = null;
    const found = await get(`${user(id)}/recommendations`, { n: SHOWN });
    if (this.id !== id) return;
    this.known(found.user);
    if (this.ranks !== null) return; // what the stream told meanwhile is newer
    this.show(found.items, found.titles);
    say("change", found.stage === "popularity" ? "Nothing is known of this shopper yet: what is popular." : "As it is now.");
  }

  // Behind the edge a shopper may go by a pseudonym: from then on that is the name here, too.
  known(id) {
    this.id = id;
    byId("user").value = id;
    byId("shopper-title").textContent = `${id}, live`;
  }

  // Messages of the stream; those about others are not for here.
  tell(message) {
    if (message.user !== this.id) return;
    if (message.kind === "event") {
      this.after = `${message.type} ${message.title ?? message.query ?? ""}`.trim();
      say("change", `Just now: ${this.after}`);
    } else if (message.kind === "recommendation") {
      const moves = this.show(message.items, message.titles);
      const after = message.trigger_item ? `${message.trigger} ${message.titles[message.trigger_item]}` : message.trigger;
      say("change", `After ${after}: ${moves ? `${moves} of ${message.items.length} places changed` : "nothing moved"}.`);
    }
  }

  show(items, titles) {
    const before = this.ranks;
    this.ranks = new Map(items.map((found) => [found.item, found.rank]));
    const changed = items.map((found) => {
      const was = before?.get(found.item);
      const change = before === null ? undefined : was === undefined ? "new" : was - found.rank;
      return { ...found, title: titles[found.item] ?? found.item, change };
    });
    renew(
      byId("slate"),
      changed.map((found) => line(found, this.open)),
    );
    return changed.filter((found) => found.change).length;
  }
}
