// Requests to this server alone. A problem (RFC 9457) becomes an Error with its words.

const KEY = "upwell-key";

export const setKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

const headers = (more = {}) => {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
};

export class Problem extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function answered(response) {
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem.detail ?? `The server answered ${response.status}`);
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const response = await answered(await fetch(query ? `${path}?${query}` : path, { headers: headers() }));
  return response.json();
}

export async function post(path, body, type = "application/json") {
  const sent = { method: "POST", body, headers: headers({ "Content-Type": type }) };
  return (await answered(await fetch(path, sent))).json();
}

export const user = (id) => `/v1/users/${encodeURIComponent(id)}`;
export const item = (id) => `/v1/items/${encodeURIComponent(id)}`;

// Server-sent events by fetch: EventSource cannot send a key. Returns when the stream ends.
export async function stream(path, parameters, signal, tell) {
  const query = new URLSearchParams(parameters).toString();
  const response = await answered(await fetch(query ? `${path}?${query}` : path, { headers: headers(), signal }));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  tell(null);
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith("data: ")) tell(JSON.parse(block.slice("data: ".length)));
    }
  }
}
