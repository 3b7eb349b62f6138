// What Colab's page does on "Connect", step by step. The steps are named as colab_handshake names them; `picture` and
// `ws_picture` are this page's own. Each becomes a row that says what the browser let the page see.

import { ANSWER, Address, Direct, Kernel, Over, ask, exchange, openSocket, printed, sessionBody, within } from "./runtime.js";

const KERNEL = "python3";

// The article's program with known numbers; `device` is the CPU on a host without a GPU.
const TENSORS = `import torch

device = torch.device("cpu")
t1 = torch.tensor([1.0, 2.0, 3.0, 4.0]).to(device)
t2 = torch.tensor([10.0, 20.0, 30.0, 40.0]).to(device)
t3 = t1 + t2
print(t3, t3.device)`;
const SUM = "tensor([11., 22., 33., 44.]) cpu";
const PICTURE = `import matplotlib.pyplot as plt

plt.figure(figsize=(3, 1.2))
plt.plot(t1, t3, marker="o")
plt.title("sum")
plt.show()`;

const PLAN = {
  direct: {
    preflight: "OPTIONS, by the browser itself",
    build_info: "GET /api/colab/build-info",
    api: "GET /api",
    kernelspecs: "GET /api/kernelspecs",
    session: "POST /api/sessions",
    kernel_socket: "websocket to the kernel",
    cell: "add two tensors",
    picture: "draw with matplotlib",
    session_delete: "DELETE /api/sessions/...",
  },
  over: {
    ws_diagnose: "before the token is shown",
    ws_open: "with the token",
    ws_kernelspecs: "",
    ws_session: "",
    ws_kernel_socket: "by proxy",
    ws_cell: "",
    ws_picture: "",
    ws_session_delete: "",
  },
};

// --- rows and cells -------------------------------------------------------------------------------------------------

const MARKS = { "not-reached": "–", running: "…", ok: "✓", failed: "✗" };

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class Row {
  constructor(list, id, what) {
    this.mark = element("span", { className: "mark" });
    this.saw = element("span", { className: "saw" });
    const name = element("span", { className: "id", textContent: id });
    name.append(element("span", { className: "what", textContent: what }));
    this.item = element("li", {}, this.mark, name, this.saw);
    this.item.dataset.step = id;
    list.append(this.item);
    this.set("not-reached", "not reached");
  }

  set(state, saw) {
    this.item.dataset.state = state;
    this.mark.textContent = MARKS[state];
    this.saw.textContent = saw;
  }
}

/** Show a cell and run it; its outputs appear as they come. A program that is on the page already is not shown again. */
async function showCell(where, kernel, code) {
  const cells = document.getElementById("cells");
  const again = [...cells.querySelectorAll(".code")].some((shown) => shown.textContent === code);
  const box = element("div", { className: "cell" });
  box.append(element("div", { className: "where", textContent: again ? `${where}, the same cell` : where }));
  if (!again) box.append(element("pre", { className: "code", textContent: code }));
  cells.append(box);
  const pictures = [];
  const outputs = await kernel.run(code, (kind, content) => {
    const picture = content.data?.["image/png"];
    if (picture) {
      const shown = element("img", { src: `data:image/png;base64,${picture}`, alt: content.data["text/plain"] ?? "" });
      box.append(shown);
      pictures.push(shown.decode().then(() => shown));
    } else if (kind === "error") {
      box.append(element("pre", { className: "error", textContent: `${content.ename}: ${content.evalue}` }));
    } else {
      const text = content.text ?? content.data?.["text/plain"] ?? "";
      box.append(element("pre", { className: "output", textContent: text }));
    }
  });
  return { outputs, pictures: await Promise.all(pictures) };
}

// --- the visit ------------------------------------------------------------------------------------------------------

class Unexpected extends Error {}

function expect(holds, saw) {
  if (!holds) throw new Unexpected(saw);
  return saw;
}

/** One door's steps: each is a row. A failed step ends the door; what it leaves is not reached. */
class Door {
  constructor(name, prefix) {
    this.prefix = prefix;
    this.rows = {};
    const list = document.getElementById(`steps-${name}`);
    list.replaceChildren();
    for (const [id, what] of Object.entries(PLAN[name])) this.rows[id] = new Row(list, id, what);
  }

  /** Do a step; `work` returns [value, what was seen]. False-y when it failed. */
  async step(id, work) {
    const row = this.rows[this.prefix + id];
    row.set("running", "");
    try {
      const [value, saw] = await work();
      row.set("ok", saw);
      return value ?? true;
    } catch (error) {
      const saw = error instanceof Unexpected ? error.message : `${error.name}: ${error.message}`;
      row.set("failed", saw);
      return undefined;
    }
  }

  /** From the list of kernels to the session's end: what both doors do alike. */
  async notebook(door, where) {
    const listed = await this.step("kernelspecs", async () => {
      const answer = await door.request("GET", "/api/kernelspecs");
      expect(answer.status === 200, `${answer.status}`);
      const names = Object.keys(answer.json().kernelspecs);
      return [true, expect(names.includes(KERNEL), `200, kernels: ${names.sort().join(", ")}`)];
    });
    if (!listed) return;
    const session = await this.step("session", async () => {
      const answer = await door.request("POST", "/api/sessions", sessionBody(KERNEL));
      expect(answer.status === 201, `${answer.status}`);
      return [answer.json(), "201, a kernel starts"];
    });
    if (!session) return;
    try {
      const kernel = await this.step("kernel_socket", async () => {
        return [new Kernel(await door.kernelSocket(session.kernel.id)), "open"];
      });
      if (!kernel) return;
      const added = await this.step("cell", async () => {
        const text = printed((await showCell(where, kernel, TENSORS)).outputs);
        return [true, expect(text === SUM, text || "the cell printed nothing")];
      });
      if (added) {
        await this.step("picture", async () => {
          const { outputs, pictures } = await showCell(where, kernel, PICTURE);
          printed(outputs);
          expect(pictures.length === 1, `${pictures.length} pictures`);
          const [{ naturalWidth, naturalHeight }] = pictures;
          return [true, expect(naturalWidth > 0, `${naturalWidth} x ${naturalHeight} pixels`)];
        });
      }
      kernel.close();
    } finally {
      await this.step("session_delete", async () => {
        const answer = await door.request("DELETE", `/api/sessions/${session.id}`);
        return [true, expect(answer.status === 204, answer.status === 204 ? "204, the kernel has ended" : `${answer.status}`)];
      });
    }
  }
}

async function direct(address) {
  const door = new Door("direct", "");
  // A header that CORS does not take for granted makes the browser ask first.
  const asked = await door.step("preflight", async () => {
    const answer = await ask(address.http("/api/kernelspecs"), { headers: { "Content-Type": "application/json" } });
    return [true, `let through (then ${answer.status})`];
  });
  if (!asked) return;
  // Colab goes on when it cannot read this one; so does this page.
  await door.step("build_info", async () => {
    const answer = await ask(address.http("/api/colab/build-info"));
    return [true, expect([200, 404].includes(answer.status), `${answer.status}, readable`)];
  });
  const answered = await door.step("api", async () => {
    const answer = await ask(address.http("/api"));
    expect(answer.status === 200, `${answer.status}`);
    return [true, `200, jupyter_server ${(await answer.json()).version}`];
  });
  if (answered) await door.notebook(new Direct(address), "directly");
}

async function overWebsocket(address) {
  const door = new Door("over", "ws_");
  // As Colab asks it: without the token.
  const diagnosed = await door.step("diagnose", async () => {
    const socket = await openSocket(new Address(address.base).over("/diagnose"));
    const id = crypto.randomUUID();
    const said = JSON.parse(await exchange(socket, id));
    socket.close();
    expect(said.message_id === id && !said.is_outdated_extension, JSON.stringify(said));
    return [true, `protocol ${said.extension_version}`];
  });
  if (!diagnosed) return;
  const over = await door.step("open", async () => [await Over.open(address), "open"]);
  if (!over) return;
  await door.notebook(over, "through /http_over_websocket");
  over.close();
}

function results() {
  const rows = [...document.querySelectorAll("li[data-step]")];
  return rows.map((row) => ({
    id: row.dataset.step,
    state: row.dataset.state,
    saw: row.querySelector(".saw").textContent,
  }));
}

async function permission() {
  try {
    return (await navigator.permissions.query({ name: "loopback-network" })).state;
  } catch {
    return "unknown to this browser";
  }
}

async function showFacts() {
  document.getElementById("origin").textContent = location.origin;
  document.getElementById("permission").textContent = await permission();
}

/** Show, and do, everything; what the driver waits for is data-state on the body. */
async function connect(text) {
  const address = new Address(text);
  document.body.dataset.state = "running";
  document.getElementById("address").value = address.shown;
  document.getElementById("cells").replaceChildren();
  new Door("over", "ws_");
  await direct(address);
  await overWebsocket(address);
  await showFacts();
  const failed = results().filter(({ state }) => state === "failed").length;
  const verdict = document.getElementById("verdict");
  verdict.textContent = failed ? `not connected: ${failed} ${failed > 1 ? "steps" : "step"} failed` : "connected";
  verdict.dataset.state = failed ? "failed" : "ok";
  document.body.dataset.state = "done";
}

document.getElementById("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  connect(document.getElementById("address").value);
});

// --- for the tests that need more than one click --------------------------------------------------------------------

/** An open notebook: a session, its kernel, and cells that are run one at a time. */
class Notebook {
  static async open(text, title) {
    const direct = new Direct(new Address(text));
    const answer = await direct.request("POST", "/api/sessions", sessionBody(KERNEL));
    if (answer.status !== 201) throw new Error(`POST /api/sessions was answered ${answer.status}`);
    return new Notebook(direct, answer.json(), new Kernel(await direct.kernelSocket(answer.json().kernel.id)), title);
  }

  constructor(direct, session, kernel, title) {
    Object.assign(this, { direct, session, kernel, title });
  }

  get kernelId() {
    return this.session.kernel.id;
  }

  /** What the cell printed, or the error it ended with. */
  async run(code) {
    try {
      return printed((await showCell(this.title, this.kernel, code)).outputs);
    } catch (error) {
      return `${error.message}`;
    }
  }

  /** {code, reason}, as soon as the kernel's websocket is closed. */
  closed() {
    return within(ANSWER, "close", this.kernel.closed);
  }

  async end() {
    this.kernel.close();
    return (await this.direct.request("DELETE", `/api/sessions/${this.session.id}`)).status;
  }
}

async function attempt(work) {
  try {
    return String(await work());
  } catch (error) {
    return error instanceof TypeError ? "unreadable" : "shut";
  }
}

/** Try every way in by itself, whatever became of the others; {way: what this page got}. "unreadable": the browser gave
 * the page nothing; "shut": the websocket did not open, or was closed before it said a word. */
async function knock(text, kernel) {
  const address = new Address(text);
  const simple = { method: "POST", body: JSON.stringify(sessionBody(KERNEL)), headers: { "Content-Type": "text/plain" } };
  const opens = (url) => async () => ((await openSocket(url)).close(), "open");
  const answers = (url, message) => async () => {
    const said = JSON.parse(await exchange(await openSocket(url), message));
    return said.status ?? "answers";
  };
  const status = (url, options) => async () => (await ask(url, options)).status;
  const inside = JSON.stringify({ method: "GET", path: "/api/kernelspecs", message_id: "1" });
  const ways = {
    "GET": status(address.http("/api/kernelspecs")),
    "GET without credentials": status(address.http("/api/kernelspecs"), { credentials: "omit" }),
    "GET without CORS": async () => {
      const answer = await ask(address.http("/api/kernelspecs"), { mode: "no-cors" });
      return (await answer.text()) || `${answer.type}, nothing in it`;
    },
    "POST": async () => (await new Direct(address).request("POST", "/api/sessions", sessionBody(KERNEL))).status,
    "POST as text": status(address.http("/api/sessions"), simple),
    "kernel socket": opens(address.socket(`/api/kernels/${kernel}/channels`, { session_id: crypto.randomUUID() })),
    "diagnose": answers(new Address(address.base).over("/diagnose"), "1"),
    "http_over_websocket": answers(address.over(), inside),
    "proxied kernel socket": opens(address.over(`/proxied_ws/api/kernels/${kernel}/channels`)),
  };
  const seen = {};
  for (const [way, work] of Object.entries(ways)) seen[way] = await attempt(work);
  return seen;
}

window.colab = { results, permission, knock, open: Notebook.open };
for (const [name, plan] of Object.entries(PLAN)) {
  const list = document.getElementById(`steps-${name}`);
  for (const [id, what] of Object.entries(plan)) new Row(list, id, what);
}
showFacts().then(() => {
  document.body.dataset.state = "ready";
});
