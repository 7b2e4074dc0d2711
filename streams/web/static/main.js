// Puts the parts together, and keeps the stream open.

import { setKey, stream } from "./api.js";
import { Catalogue } from "./catalogue.js";
import { byId, say } from "./dom.js";
import { Flow, pulse } from "./flow.js";
import { Shopper } from "./shopper.js";

const AGAIN_MS = 2000;

const catalogue = new Catalogue(null);
const shopper = new Shopper(catalogue.open);
catalogue.shopper = shopper;
const flow = new Flow(follow);

let open = new AbortController();

function tell(message) {
  if (message === null) say("status", "Live");
  else if (message.kind === "pulse") pulse(message);
  else {
    flow.tell(message);
    shopper.tell(message);
  }
}

// A stream ends when the server stops, time is up, or another shopper is followed.
async function watch() {
  for (;;) {
    const { signal } = open;
    try {
      await stream("/v1/stream", shopper.id ? { user: shopper.id } : {}, signal, tell);
    } catch (problem) {
      if (signal.aborted) continue;
      const locked = problem.status === 401 || problem.status === 403;
      say("status", locked ? "An API key is needed: see “API key”." : "Not connected, trying again…", true);
      if (locked) byId("access").open = true;
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function reopen() {
  open.abort();
  open = new AbortController();
}

async function follow(id) {
  try {
    await shopper.follow(id);
    history.replaceState(null, "", `#user=${encodeURIComponent(shopper.id)}`);
    reopen();
    byId("shopper").focus();
  } catch (problem) {
    say("change", problem.message, true);
  }
}

function submitted(form, act) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

submitted("follow", () => follow(byId("user").value));
submitted("search", () => catalogue.search(byId("text").value).catch((problem) => say("found", problem.message, true)));
submitted("key-form", () => {
  setKey(byId("key").value.trim());
  byId("key").value = "";
  byId("access").open = false;
  reopen();
  catalogue.popular().catch(() => {});
});
byId("pause").addEventListener("click", () => flow.pause(!flow.paused));

// The shopper whom a link names; a link that somebody wrote by hand may not be percent-encoded.
function linked() {
  const [, id] = location.hash.match(/^#user=(.+)$/) ?? [];
  try {
    return id && decodeURIComponent(id);
  } catch {
    return id;
  }
}

const followed = linked();
if (followed) follow(followed);
catalogue.popular().catch(() => {});
watch();
