// Search, and the page of one item: what is like it, what is had with it, and what a shopper may do with it.

import { get, item, post } from "./api.js";
import { byId, element, replace, say } from "./dom.js";
import { line } from "./items.js";

const SHOWN = 8;
const DEEDS = { view: "View", cart: "Put in the cart", purchase: "Buy", dislike: "Turn down" };

export class Catalogue {
  constructor(shopper) {
    this.shopper = shopper;
    this.open = this.open.bind(this);
  }

  async search(text) {
    const found = await post("/v1/search", JSON.stringify({ text, n: SHOWN }));
    replace(byId("results"), ...found.items.map((one) => line(one, this.open)));
    say("found", found.items.length ? `${found.items.length} items` : "Nothing is near to that.");
  }

  async popular() {
    const found = await get("/v1/trending", { n: SHOWN });
    replace(byId("results"), ...found.items.map((one) => line(one, this.open)));
    say("found", found.items.length ? "Popular now" : "");
  }

  async open(id, title) {
    try {
      const [similar, bought] = await Promise.all([
        get(`${item(id)}/similar`, { n: SHOWN }),
        get(`${item(id)}/also-bought`, { n: SHOWN }),
      ]);
      this.show(id, title, similar.items, bought.items);
    } catch (problem) {
      say("found", problem.message, true);
    }
  }

  show(id, title, similar, bought) {
    byId("item").hidden = false;
    byId("item-title").textContent = title;
    byId("item-id").textContent = id;
    const followed = this.shopper.id;
    say("done", followed ? "" : "Follow a shopper to let them do something with it.");
    const deeds = Object.entries(DEEDS).map(([type, words]) =>
      element("button", { type: "button", text: words, onclick: () => this.happen(type, id) }),
    );
    replace(byId("deeds"), ...(followed ? deeds : []));
    const none = () => element("li", { class: "quiet", text: "Nothing yet" });
    replace(byId("similar"), ...(similar.length ? similar.map((one) => line(one, this.open)) : [none()]));
    replace(byId("bought"), ...(bought.length ? bought.map((one) => line(one, this.open)) : [none()]));
    byId("item").focus();
  }

  async happen(type, id) {
    const event = { id: crypto.randomUUID(), type, time: Date.now(), user: this.shopper.id, item: id };
    try {
      const { accepted } = await post("/v1/events", JSON.stringify(event), "application/x-ndjson");
      say("done", accepted ? `${this.shopper.id}: ${DEEDS[type]}. Watch the list change.` : "It was refused.", !accepted);
    } catch (problem) {
      say("done", problem.message, true);
    }
  }
}
