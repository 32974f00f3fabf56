// Reads answers from a gateway of unbroken, in a browser: text as it comes, stop, reconnect, and
// going on after a reload. One ES module, without dependencies.
//
//     import { ask, resume } from "/unbroken.js";
//     const answer = ask({ model, max_tokens, messages });
//     answer.onText = (text) => element.append(text);
//     await answer.done;

const RETRIES = { first: 250, most: 5000 };
const SILENCE = 45_000; // the gateway sends a ping every 15 s

/** Ask for an answer; `request` is the body of a request to `/v1/messages`. */
export function ask(request, options = {}) {
  const key = options.key ?? crypto.randomUUID();
  return new Answer({ key, request: { ...request, stream: true } }, options);
}

/** Go on with an answer whose `state` was kept, from its first event on. */
export function resume(state, options = {}) {
  return new Answer(state, options);
}

/** One answer. Set `onText`, `onEvent`, `onState` before the next turn of the event loop. */
export class Answer {
  onText = () => {};
  onEvent = () => {};
  onState = () => {};
  text = "";
  status = "waiting"; // then "streaming", "reconnecting", and "complete", "stopped" or "failed"
  error = null;

  #after = 0;
  #base;
  #headers;
  #id;
  #key;
  #request;
  #reading = null;
  #pending = "";
  #frame = 0;

  constructor({ key, request, id = null }, { base = "", headers = {} } = {}) {
    this.#base = base;
    this.#headers = headers;
    this.#key = key;
    this.#request = request;
    this.#id = id;
    this.done = new Promise((resolve) => setTimeout(() => resolve(this.#run())));
  }

  /** What `resume()` needs. It holds the request, and no key of the API. */
  get state() {
    return { key: this.#key, request: this.#request, id: this.#id };
  }

  get isOver() {
    return ["complete", "stopped", "failed"].includes(this.status);
  }

  /** Stop the answer, and its generation. */
  async stop() {
    if (this.isOver) return;
    this.#end("stopped");
    this.#reading?.abort();
    if (this.#id !== null) {
      await fetch(this.#url(), { method: "DELETE", headers: this.#headers }).catch(() => {});
    }
  }

  /** Cut the connection, as a network does; it is made again. */
  cut() {
    this.#reading?.abort();
  }

  async #run() {
    let wait = RETRIES.first;
    while (!this.isOver) {
      const before = this.#after;
      try {
        await this.#read();
      } catch (error) {
        if (error instanceof Refused) this.#end("failed", error);
      }
      if (this.isOver) break;
      this.#become("reconnecting");
      wait = this.#after > before ? RETRIES.first : Math.min(2 * wait, RETRIES.most);
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    }
    this.#paint();
    return this;
  }

  async #read() {
    this.#reading = new AbortController();
    const silence = new Silence(this.#reading);
    try {
      const response = await this.#send(this.#reading.signal);
      if (response.status === 204) return this.#end("stopped");
      if (!response.ok) throw await refusal(response);
      this.#id = response.headers.get("x-unbroken-stream-id") ?? this.#id;
      this.onState(this);
      await this.#readEvents(response.body.getReader(), silence);
    } finally {
      silence.end();
    }
  }

  #send(signal) {
    if (this.#id === null) {
      const headers = {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        ...this.#headers,
        "idempotency-key": this.#key,
      };
      const body = JSON.stringify(this.#request);
      this.#after = 0;
      return fetch(`${this.#base}/v1/messages`, { method: "POST", headers, body, signal });
    }
    const headers = { ...this.#headers, "last-event-id": String(this.#after) };
    return fetch(this.#url(), { headers, signal });
  }

  #url() {
    return `${this.#base}/v1/streams/${this.#id}`;
  }

  async #readEvents(reader, silence) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      silence.broken();
      const frames = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) this.#take(frame);
    }
  }

  #take(frame) {
    const { id, data } = fieldsOf(frame);
    if (!data || this.isOver) return;
    if (id !== null) {
      if (id <= this.#after) return; // it came before
      this.#after = id;
    }
    const event = JSON.parse(data);
    if (event.type === "error") throw new Refused(event.error?.message ?? "the answer failed");
    if (event.type === "ping") return;
    this.onEvent(event);
    if (event.delta?.type === "text_delta") this.#add(event.delta.text);
    if (event.type === "message_stop") this.#end("complete");
  }

  /** Text is painted once a frame, however fast it comes. */
  #add(text) {
    this.#become("streaming");
    this.text += text;
    this.#pending += text;
    if (this.#frame) return;
    // A page in the background gets no frames.
    this.#frame = document.hidden
      ? setTimeout(() => this.#paint(), 100)
      : requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#frame = 0;
    const text = this.#pending;
    this.#pending = "";
    if (text) this.onText(text, this);
  }

  #end(status, error = null) {
    this.error = error;
    this.#become(status);
  }

  #become(status) {
    if (this.status === status || this.isOver) return;
    this.status = status;
    this.onState(this);
  }
}

class Refused extends Error {}

/** Errors of requests that would fail again; others are tried again. */
async function refusal(response) {
  const told = await response.json().catch(() => null);
  const message = told?.error?.message ?? `HTTP status ${response.status}`;
  const again = response.status === 429 || response.status === 503;
  return again ? new Error(message) : new Refused(message);
}

function fieldsOf(frame) {
  let id = null;
  const data = [];
  for (const line of frame.split("\n")) {
    if (line.startsWith("id: ")) id = Number(line.slice(4));
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return { id, data: data.join("\n") };
}

/** Cuts a connection on which nothing comes, not even a ping. */
class Silence {
  #timer;
  #controller;

  constructor(controller) {
    this.#controller = controller;
    this.broken();
  }

  broken() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), SILENCE);
  }

  end() {
    clearTimeout(this.#timer);
  }
}
