// What pages do by themselves: stay up to date, show logs while they grow, and follow events.

/** Exchanges the main part for what the server says now, and leaves alone what the reader opened. */
async function refresh() {
  const main = document.querySelector("main");
  const busy = main.contains(document.activeElement) && document.activeElement.matches("input, textarea");
  if (document.hidden || busy) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.querySelector("main");
  for (const opened of main.querySelectorAll("details[open][id]")) {
    next.querySelector(`details[id="${CSS.escape(opened.id)}"]`)?.setAttribute("open", "");
  }
  if (next.innerHTML === main.innerHTML) return;
  main.replaceChildren(...next.childNodes);
  document.title = page.title;
}

/** Runs `act` soon after a call, and never twice at once, however many calls there are. */
function gathered(act, pause) {
  let timer = null;
  let running = false;
  let again = false;
  const run = async () => {
    timer = null;
    running = true;
    try {
      await act();
    } catch {
      // The server is away; the next call tries again.
    }
    running = false;
    if (again) {
      again = false;
      ask();
    }
  };
  function ask() {
    if (running) again = true;
    else timer ??= setTimeout(run, pause);
  }
  return ask;
}

const live = (bindings) => new EventSource(`/live?bindings=${encodeURIComponent(bindings)}`);

function stayUpToDate({ staleAfter, staleUpon }) {
  const ask = gathered(refresh, 150);
  document.addEventListener("visibilitychange", ask);
  if (staleAfter) setInterval(ask, staleAfter * 1000);
  if (staleUpon) {
    const events = live(staleUpon);
    events.addEventListener("message", ask);
    // Something may have happened between the page and the stream.
    events.addEventListener("ready", ask);
    events.addEventListener("error", () => {
      // Whoever may not follow events looks now and then.
      if (events.readyState === EventSource.CLOSED) setInterval(ask, 5000);
    });
  }
}

/** Characters of a log that are shown; what is older is in the file. */
const MOST_TEXT = 4_000_000;
/** How a terminal is told to change colours and the like. */
const CONTROL = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;
/** The beginning of such a sequence, whose end is yet to come. */
const BEGUN = /\u001b[^\u001b]{0,64}$/;

async function showLog(place) {
  const told = document.querySelector("[data-log-state]");
  told.textContent = "loading";
  try {
    const answer = await fetch(place.dataset.log);
    if (!answer.ok) throw new Error(`the server says ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    told.textContent = "following";
    let held = "";
    let length = 0;
    for (;;) {
      const { value, done } = await reader.read();
      const clean = (held + (value ?? "")).replace(CONTROL, "");
      held = done ? "" : (clean.match(BEGUN)?.[0] ?? "");
      const text = clean.slice(0, clean.length - held.length);
      const follows = place.scrollTop + place.clientHeight >= place.scrollHeight - 4;
      place.append(text);
      length += text.length;
      if (length > MOST_TEXT) {
        const kept = place.textContent.slice(-MOST_TEXT / 2);
        place.textContent = `… what came before is in the file\n${kept}`;
        length = kept.length;
      }
      if (follows) place.scrollTop = place.scrollHeight;
      if (done) break;
    }
    told.textContent = "complete";
  } catch (error) {
    told.textContent = `cannot be read: ${error.message}`;
  }
}

/** Events that are shown at once. */
const MOST_EVENTS = 500;

function follow(place) {
  const told = document.querySelector("[data-feed-state]");
  const events = live(place.dataset.feed);
  events.addEventListener("ready", () => { told.textContent = "Following."; });
  events.addEventListener("error", () => {
    const over = events.readyState === EventSource.CLOSED;
    told.textContent = over
      ? "Events cannot be followed: this needs the scope web:read-pulse, and exchanges that exist."
      : "The connection was lost; trying again.";
  });
  events.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    const row = document.createElement("tr");
    const cell = (...content) => {
      const made = document.createElement("td");
      made.append(...content);
      row.append(made);
    };
    cell(new Date().toLocaleTimeString());
    cell(message.exchange.replace(/^exchange\/[^/]*\/v1\//, ""));
    cell(key(message));
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "payload";
    const body = document.createElement("pre");
    body.textContent = JSON.stringify(message.payload, null, 2);
    details.append(summary, body);
    cell(details);
    place.prepend(row);
    while (place.children.length > MOST_EVENTS) place.lastChild.remove();
  });
}

/** The routing key, as a link where it is of a task. */
function key(message) {
  const taskId = message.payload?.status?.taskId;
  if (!taskId) return message.routingKey;
  const link = document.createElement("a");
  link.href = `/tasks/${encodeURIComponent(taskId)}`;
  link.textContent = message.routingKey;
  return link;
}

stayUpToDate(document.body.dataset);
document.querySelectorAll("[data-log]").forEach(showLog);
document.querySelectorAll("[data-feed]").forEach(follow);
