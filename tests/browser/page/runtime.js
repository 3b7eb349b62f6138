// How a page talks to a Jupyter runtime: directly, and through /http_over_websocket (protocol 0.0.7 of
// jupyter_http_over_ws). No step, no picture: page.js has those. What a browser hides from a page (why a fetch failed,
// which status refused a websocket) stays hidden here too.

const MIN_VERSION = "0.0.7";
const SECONDS = 1000;
export const ANSWER = 20 * SECONDS;
const CELL = 120 * SECONDS;

/** A promise's value, or an error when it takes too long: nothing here waits for ever. */
export function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / SECONDS} s: ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What a student pastes: http://localhost:8888/?token=... */
export class Address {
  constructor(text) {
    const url = new URL(text.trim());
    this.token = url.searchParams.get("token") ?? "";
    this.base = `${url.origin}${url.pathname}`.replace(/\/+$/, "");
  }

  /** The address as it may be shown. */
  get shown() {
    return `${this.base}/${this.token ? "?token=(hidden)" : ""}`;
  }

  http(path, query = {}) {
    const asked = new URLSearchParams(query);
    if (this.token) asked.set("token", this.token);
    return `${this.base}${path}${asked.size ? `?${asked}` : ""}`;
  }

  socket(path, query = {}) {
    return this.http(path, query).replace(/^http/, "ws");
  }

  /** Colab's way (googlecolab/jupyter_http_over_ws#26): the token travels in an address that the server itself asks. */
  over(path = "", query = {}) {
    const asked = new URLSearchParams({ ...query, min_version: MIN_VERSION });
    if (this.token) {
      asked.set("jupyter_http_over_ws_auth_url", `${this.base}/?token=${encodeURIComponent(this.token)}`);
    }
    return `${this.base.replace(/^http/, "ws")}/http_over_websocket${path}?${asked}`;
  }
}

/** Ask as Colab's page does: from the page, with credentials. */
export function ask(url, options = {}) {
  return within(ANSWER, "fetch", fetch(url, { credentials: "include", ...options }));
}

/** An open websocket, or an error. A browser does not tell a page why one was refused. */
export function openSocket(url) {
  const socket = new WebSocket(url);
  const opening = new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onclose = (event) => reject(new Error(`the websocket did not open (close code ${event.code})`));
  });
  return within(ANSWER, "websocket", opening).catch((error) => {
    socket.close();
    throw error;
  });
}

/** The first message a websocket brings in answer to one. */
export function exchange(socket, text) {
  const answer = new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = (event) => reject(new Error(`the websocket was closed (${event.code} ${event.reason})`.trim()));
    socket.send(text);
  });
  return within(ANSWER, "message", answer);
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** HTTP with CORS, and the kernel's own websocket. */
export class Direct {
  constructor(address) {
    this.address = address;
  }

  async request(method, path, body) {
    const options = { method };
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers = { "Content-Type": "application/json" };
    }
    const response = await ask(this.address.http(path), options);
    const text = await response.text();
    return { status: response.status, json: () => JSON.parse(text) };
  }

  kernelSocket(kernel) {
    return openSocket(this.address.socket(`/api/kernels/${kernel}/channels`, { session_id: crypto.randomUUID() }));
  }
}

/** HTTP in the messages of one websocket, and the kernel's websocket by proxy. */
export class Over {
  constructor(address, socket) {
    this.address = address;
    this.socket = socket;
    this.waiting = new Map();
    socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    socket.onclose = (event) => {
      for (const { reject } of this.waiting.values()) {
        reject(new Error(`the websocket was closed (${event.code} ${event.reason})`.trim()));
      }
    };
  }

  static async open(address) {
    return new Over(address, await openSocket(address.over()));
  }

  receive(message) {
    const open = this.waiting.get(message.message_id);
    if (!open) return;
    open.status ??= message.status;
    open.parts.push(bytesOf(message.data ?? ""));
    if (!message.done) return;
    this.waiting.delete(message.message_id);
    const status = open.status;
    new Blob(open.parts).text().then((text) => open.resolve({ status, json: () => JSON.parse(text) }));
  }

  request(method, path, body) {
    const id = crypto.randomUUID();
    const message = { method, path, message_id: id };
    if (body !== undefined) message.body = JSON.stringify(body);
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, parts: [], status: undefined });
      this.socket.send(JSON.stringify(message));
    });
    return within(ANSWER, `${method} in a message`, answer);
  }

  kernelSocket(kernel) {
    const path = `/proxied_ws/api/kernels/${kernel}/channels`;
    return openSocket(this.address.over(path, { session_id: crypto.randomUUID() }));
  }

  close() {
    this.socket.close();
  }
}

/** A kernel at the other end of a websocket, in jupyter_server's default (JSON text) protocol. */
export class Kernel {
  constructor(socket) {
    this.socket = socket;
    this.session = crypto.randomUUID();
    this.running = new Map();
    /** {code, reason} once the other side, or this page, has closed it. */
    this.closed = new Promise((resolve) => {
      socket.onclose = (event) => {
        for (const { reject } of this.running.values()) reject(new Error(`the kernel's websocket was closed (${event.code})`));
        resolve({ code: event.code, reason: event.reason });
      };
    });
    socket.onmessage = (event) => this.receive(JSON.parse(event.data));
  }

  receive(message) {
    const cell = this.running.get(message.parent_header?.msg_id);
    if (!cell) return;
    const { msg_type: kind, content } = message;
    if (["stream", "execute_result", "display_data", "error"].includes(kind)) {
      cell.outputs.push({ kind, ...content });
      cell.onOutput(kind, content);
    } else if (kind === "execute_reply") {
      cell.replied = true;
    } else if (kind === "status") {
      cell.idle = content.execution_state === "idle";
    }
    if (cell.replied && cell.idle) {
      this.running.delete(message.parent_header.msg_id);
      cell.resolve(cell.outputs);
    }
  }

  /** Run a cell; its outputs, an error among them if there was one. */
  run(code, onOutput = () => {}) {
    const id = crypto.randomUUID();
    const date = new Date().toISOString();
    const header = { msg_id: id, msg_type: "execute_request", session: this.session, username: "", version: "5.3", date };
    const content = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false };
    const done = new Promise((resolve, reject) => {
      this.running.set(id, { resolve, reject, onOutput, outputs: [], replied: false, idle: false });
      this.socket.send(
        JSON.stringify({ channel: "shell", header, parent_header: {}, metadata: {}, content, buffers: [] }),
      );
    });
    return within(CELL, "cell", done);
  }

  close() {
    this.socket.close();
  }
}

/** What a cell printed; an error it ended with is thrown. */
export function printed(outputs) {
  const error = outputs.find((output) => output.kind === "error");
  if (error) throw new Error(`the cell ended with ${error.ename}: ${error.evalue}`);
  return outputs.map((output) => output.text ?? output.data?.["text/plain"] ?? "").join("").trim();
}

export function sessionBody(kernelName = "python3") {
  const path = `browser-test-${crypto.randomUUID()}.ipynb`;
  return { path, name: path, type: "notebook", kernel: { name: kernelName } };
}
