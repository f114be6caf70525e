/* A list that fills itself, keys, copying, and a choice of colours. Without this file the pages do all the rest, and
   look the same. It stands in the head and is not deferred: the colours must be known before the page is painted. */
"use strict";

(() => {
  const GAP = 150; // milliseconds between two fetches of the list
  const CALM = 5000; // between two announcements, and until an offer to undo goes away
  const POLL = 2000; // between two looks at the list where no stream is to be had
  const find = (selector) => document.querySelector(selector);
  const findAll = (selector) => [...document.querySelectorAll(selector)];
  const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

  // A browser that stores nothing refuses the very name.
  const stored = (name) => { try { return window[name]; } catch { return {}; } };
  const memory = stored("localStorage");
  const session = stored("sessionStorage");

  const paint = () => { document.documentElement.dataset.scheme = memory["migma-theme"] || ""; };
  paint();
  document.documentElement.classList.add("scripting"); // shows what is of no use without

  // Run the task now; if it is asked for meanwhile, once more, but not before the gap is over.
  const calmly = (gap, task) => {
    let wanted = false;
    let running = false;
    return async () => {
      wanted = true;
      if (running) return;
      running = true;
      while (wanted) {
        wanted = false;
        await task();
        await pause(gap);
      }
      running = false;
    };
  };

  /* The list */

  let shown = null; // the ETag of the list on the page

  const numbers = () => find("#list [data-newest]").dataset;

  const title = document.title;
  const showNumbers = () => {
    const { total, unread } = numbers();
    document.title = unread === "0" ? title : `(${unread}) ${title}`;
    find("#nav-mail b").textContent = total;
  };

  let announced = 0;
  const announce = calmly(CALM, () => {
    const newest = Number(numbers().newest);
    const count = newest - announced;
    announced = newest;
    find("#status").textContent = count === 1 ? "1 new mail" : `${count} new mails`;
  });

  // A row that has not changed stays the element that it is: the browser keeps its focus and its place on the screen, and
  // lays out only what is new. Rows never change their order.
  const updateRows = (rows, latest) => {
    const known = new Map([...rows.children].map((row) => [row.firstChild.id, row]));
    const wanted = [...latest.children].map((row) => {
      const old = known.get(row.firstChild.id);
      return old?.isEqualNode(row) ? old : row;
    });
    [...rows.children].filter((row) => !wanted.includes(row)).forEach((row) => row.remove());
    wanted.forEach((row, place) => {
      if (rows.children[place] !== row) rows.insertBefore(row, rows.children[place] || null);
    });
  };

  const update = (list, html) => {
    const latest = document.createElement("template");
    latest.innerHTML = html;
    const [filters, rows] = list.children;
    const [latestFilters, latestRows] = latest.content.children;
    filters.replaceWith(latestFilters);
    if (rows.matches(".rows") && latestRows.matches(".rows")) updateRows(rows, latestRows);
    else rows.replaceWith(latestRows);
  };

  const requestsOfOpenMail = () => find("#list .row[aria-current]")?.dataset.requests;

  const showList = (list, html) => {
    const focused = list.contains(document.activeElement) && document.activeElement.id;
    const requestsBefore = requestsOfOpenMail();
    update(list, html);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const requests = requestsOfOpenMail();
    if (requests && requests !== requestsBefore) find("#grown").hidden = false;
    showNumbers();
    if (Number(numbers().newest) > announced) announce();
  };

  const showStopped = (isStopped) => {
    document.body.classList.toggle("stopped", isStopped);
    find("#stopped").hidden = !isStopped;
  };

  // Another sandbox runs on the port: it has none of the mail that this page shows. The same address with its fragment
  // would not be loaded again.
  const startAnew = () => {
    const { pathname, search } = location;
    location.assign(pathname.startsWith("/mail/") ? "/" : pathname + search);
  };

  const load = async (address) => {
    try {
      const reply = await fetch(address);
      return { headers: reply.headers, html: reply.ok && await reply.text() };
    } catch {
      return null;
    }
  };

  const look = calmly(GAP, async () => {
    const list = find("#list");
    const reply = await load(list ? list.dataset.list : "/_sandbox/list?rows=0");
    showStopped(!reply);
    if (!reply) return;
    if (reply.headers.get("X-Sandbox") !== document.body.dataset.sandbox) return startAnew();
    if (!list || !reply.html || reply.headers.get("ETag") === shown) return;
    shown = reply.headers.get("ETag");
    showList(list, reply.html);
  });

  /* One listener per browser: it opens six connections to a host at most, so the streams of six tabs would leave none
     to load a page with. A lock elects the tab that listens. It tells the others; when it is closed, the lock is the
     next one's. What is told is only to look: whether the sandbox still runs, each tab sees for itself. */

  const listen = () => {
    // Locks want a secure context, which localhost is, and the name of a machine is not.
    if (!navigator.locks || !window.EventSource || !window.BroadcastChannel) {
      setInterval(() => document.hidden || look(), POLL);
      return;
    }
    const others = new BroadcastChannel("migma-sandbox");
    others.addEventListener("message", look);
    const tell = () => {
      others.postMessage("");
      look();
    };
    const stream = () => {
      const source = new EventSource("/_sandbox/events");
      source.addEventListener("message", tell);
      source.addEventListener("open", tell); // another sandbox with as many changes has no message for who knows those
      source.addEventListener("error", () => {
        tell();
        // Otherwise the browser connects again by itself.
        if (source.readyState === EventSource.CLOSED) setTimeout(stream, POLL);
      });
    };
    navigator.locks.request("migma-sandbox", () => new Promise(stream)); // kept until the tab is closed
  };

  /* Searching while one types: the address goes along, so that a reload shows the same. */

  const search = ({ target }) => {
    const list = find("#list");
    const ofList = new URL(list.dataset.list, location);
    const ofPage = new URL(location);
    for (const address of [ofList, ofPage]) address.searchParams.set("q", target.value);
    list.dataset.list = ofList.pathname + ofList.search;
    history.replaceState(null, "", ofPage);
    look();
  };

  // The offer to undo goes away by itself, but not from under the hand.
  const expire = async (undo) => {
    find("#status").textContent = undo.textContent;
    do await pause(CALM); while (undo.matches(":hover, :focus-within"));
    undo.remove();
    const address = new URL(location);
    address.searchParams.delete("deleted");
    history.replaceState(null, "", address);
  };

  /* Keys: a link or button with data-key is pressed by its key. */

  const step = (by) => {
    const rows = findAll("#list .row");
    const open = rows.findIndex((row) => row.hasAttribute("aria-current"));
    const focused = rows.indexOf(document.activeElement);
    const next = rows[Math.max(0, (focused < 0 ? open : focused) + by)];
    next?.focus();
    if (next && open >= 0 && next !== rows[open]) next.click();
  };

  const MOVES = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };
  const isForList = (key) => key in MOVES && (key.length === 1 || document.activeElement.matches("#list .row"));

  const press = (event) => {
    const { key, target } = event;
    if (memory["migma-keys"] === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("dialog")) return;
    if (target.matches("input, select, textarea")) {
      if (key === "Escape") target.blur();
      return;
    }
    const element = find(`[data-key="${CSS.escape(key)}"]`);
    if (isForList(key)) step(MOVES[key]);
    else if (element?.matches("input")) element.focus();
    else if (element) element.click();
    else return;
    event.preventDefault();
  };

  // The page that a key has opened goes on where the key was pressed: with its row.
  const rememberRow = (event) => {
    if (event.detail === 0 && event.target.closest("#list .row")) session["migma-row"] = "focus";
  };
  const focusRow = () => {
    if (session["migma-row"]) find("#list .row[aria-current]")?.focus();
    delete session["migma-row"];
  };

  /* Copying. The clipboard wants a secure context, and a browser may refuse it all the same. */

  const copyBySelection = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };

  const copy = async (button) => {
    const text = button.dataset.copy;
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false) || copyBySelection(text);
    if (!done) return prompt("The browser did not copy it. Copy it from here:", text);
    find("#status").textContent = "Copied";
    button.classList.add("copied");
    button.focus();
    return setTimeout(() => button.classList.remove("copied"), 2000);
  };

  const click = (event) => {
    const button = event.target.closest("[data-copy], [data-opens]");
    rememberRow(event);
    if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    else if (button) copy(button);
  };

  const remember = (field) => {
    field.value = memory[field.dataset.remember] || "";
    field.addEventListener("change", () => {
      memory[field.dataset.remember] = field.value;
      paint();
    });
  };

  // A strip of tabs, and the list, may scroll: what is open should be seen in them. The page itself stays.
  const showCurrent = (each) => {
    const box = each.closest("nav, .rows");
    const [inner, outer] = [each.getBoundingClientRect(), box.getBoundingClientRect()];
    if (inner.right > outer.right || inner.bottom > outer.bottom) {
      box.scrollBy(inner.right - outer.right, inner.bottom - outer.bottom + outer.height / 2);
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    findAll("nav [aria-current=page], #list .row[aria-current]").forEach(showCurrent);
    if (find("#list")) {
      announced = Number(numbers().newest);
      find("#search").addEventListener("input", search);
      showNumbers();
      focusRow();
      if (find("#undo")) expire(find("#undo"));
    }
    findAll("[data-remember]").forEach(remember);
    document.addEventListener("keydown", press);
    document.addEventListener("click", click);
    window.addEventListener("storage", paint);
    look();
    listen();
  });
})();
