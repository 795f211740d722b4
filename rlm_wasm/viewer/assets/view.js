/* view.js — shows runs from the records of their logs, of a file or as they come.
 *
 * Whatever a record holds is data: it gets into the page by textContent, or by pixels of a canvas, and by
 * nothing else. There is no innerHTML here, and the page's Content-Security-Policy allows no script but this.
 *
 * General layout: Run puts records together; each view draws a Run into its panel; the app at the end takes
 * records from the page or the server and has the view that is open drawn again, once a frame at the most.
 */
"use strict";
(() => {
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#8a8f98"];
  const $ = (id) => document.getElementById(id);

  /* An element with attributes and children; texts among these become text nodes. */
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") made.addEventListener(name, value);
      else made.setAttribute(name, value === true ? "" : String(value));
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }
  const clear = (node) => { node.replaceChildren(); return node; };
  /* A text that screen readers announce when it changes: only then is it written. */
  const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  /* The options of a select, as pairs of value and text: one that is open stays as it is where they are the same. */
  function offer(select, options) {
    const key = JSON.stringify(options);
    if (select.offered === key) return;
    const chosen = select.value;
    select.offered = key;
    clear(select).append(...options.map(([value, text]) => el("option", { value }, text)));
    select.value = options.some(([value]) => String(value) === chosen) ? chosen : options.length ? options[0][0] : "";
  }
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* ---- figures for people ---- */
  const whole = new Intl.NumberFormat("en");
  function count(n) { return whole.format(n || 0); }
  function seconds(s) {
    if (s === null || s === undefined || Number.isNaN(s)) return "…";
    if (s < 0.001) return `${(s * 1e6).toFixed(0)} µs`;
    if (s < 1) return `${(s * 1000).toFixed(s < 0.1 ? 1 : 0)} ms`;
    if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
    return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  }
  function money(usd) {
    if (usd === null || usd === undefined) return "price unknown";
    if (usd === 0) return "$0";
    return usd >= 1 ? `$${usd.toFixed(2)}` : `$${usd.toPrecision(3)}`;
  }
  /* A text of a record: whole, or the beginning of one with its length. */
  const textOf = (v) => (v === undefined || v === null ? "" : typeof v === "string" ? v : String(v.text));
  const lengthOf = (v) => (v && typeof v === "object" && v.length ? v.length : textOf(v).length);
  const cutMark = (v) => (v && typeof v === "object" && v.length
    ? `\n… [${count(v.length)} characters in all; sha256 ${String(v.sha256).slice(0, 16)}…]` : "");
  const oneLine = (text, most = 120) => {
    const shown = text.slice(0, 4 * most).replace(/\s+/g, " ").trim();
    return shown.length > most ? `${shown.slice(0, most - 1)}…` : shown;
  };

  /* ---- a run, put together from its records ---- */
  class Run {
    constructor(id) {
      this.id = id;
      this.records = [];
      this.calls = new Map();
      this.list = [];
      this.requests = new Map();
      this.fibers = new Map();
      this.waits = new Map();
      this.children = new Map();
      this.contexts = [];
      this.output = [];
      this.programs = [];
      this.started = this.ended = null;
      this.items = null;
      this.first = this.last = 0;
      this.version = 0;
      this.chapter = "";
    }
    get limits() { return Object.fromEntries(Object.entries((this.started && this.started.limits) || {}).filter(([, value]) => Number.isFinite(value))); }
    get status() { return this.ended ? this.ended.status || "ok" : "running"; }
    get now() { return this.ended ? this.last : this.live ? Math.max(this.last, Date.now() / 1000) : this.last; }
    add(record) {
      this.version++;
      this.records.push(record);
      if (!this.first || record.at < this.first) this.first = record.at;
      if (record.at > this.last) this.last = record.at;
      const execution = record.execution || 0;
      const known = (number) => {
        let call = this.calls.get(number);
        if (!call) {
          call = { number, execution, queued: record.at, tries: [], asked: {}, index: this.list.length };
          this.calls.set(number, call);
          this.list.push(call);
        }
        return call;
      };
      switch (record.type) {
        case "run_started": this.started = record; break;
        case "run_ended": this.ended = record; break;
        case "context_held": this.contexts.push(record); break;
        case "fiber_started": this.fibers.set(`${execution} ${record.fiber || 0}`, record); break;
        case "fiber_waits": this.waits.set(`${execution} ${record.fiber || 0}`, record); break;
        case "fiber_goes_on": this.waits.delete(`${execution} ${record.fiber || 0}`); break;
        case "child_started": this.children.set(execution, { started: record, ended: null }); break;
        case "child_ended": if (this.children.has(execution)) this.children.get(execution).ended = record; break;
        case "call_queued": {
          const call = known(record.call);
          Object.assign(call, { asked: record, execution, queued: record.at, fiber: record.fiber || 0 });
          break;
        }
        case "call_sent": known(record.call).sent = record.at; break;
        case "call_tried": known(record.call).tries.push(record); break;
        case "call_ended": { const call = known(record.call); call.end = record.at; call.ended = record; break; }
        case "program_written": {
          this.programs.push(record);
          const call = known(record.call), cost = record.cost_usd === undefined ? 0 : record.cost_usd;
          call.written = call.written === null || cost === null ? null : (call.written || 0) + cost;
          break;
        }
        case "request_started": this.requests.set(`${execution} ${record.request}`, { started: record, ended: null }); break;
        case "request_ended": {
          const request = this.requests.get(`${execution} ${record.request}`);
          if (request) request.ended = record;
          break;
        }
        case "output_written": this.output.push(record); break;
        case "items_counted": this.items = record; break;
        case "chapter_started": this.chapter = record.title || ""; break;
        default:
      }
    }
  }
  const statusOf = (call) => (call.ended ? call.ended.status || "done" : call.sent ? "running" : "queued");
  const modelOf = (call) => (call.ended && call.ended.model) || call.asked.model || "default";
  const opOf = (call) => call.asked.op || "llm-query";
  const tookOf = (call) => (call.end && call.sent ? call.end - call.sent : null);
  const tokensOf = (call) => (call.ended && !call.ended.cached
    ? (call.ended.prompt_tokens || 0) + (call.ended.completion_tokens || 0) : 0);
  const costOf = (call) => (call.written !== undefined ? call.written : !call.ended || call.ended.cost_usd === undefined ? 0 : call.ended.cost_usd);
  /* Of a recursive call the figures are those of the calls that it is made of. */
  const counts = (call) => !call.asked.recursive;
  function totals(run) {
    let done = 0, failed = 0, tokens = 0, cost = 0;
    for (const call of run.list) {
      if (call.ended) done++;
      if (statusOf(call) === "failed") failed++;
      if (counts(call)) { tokens += tokensOf(call); cost = cost === null || costOf(call) === null ? null : cost + costOf(call); }
    }
    for (const program of run.programs) {
      tokens += (program.prompt_tokens || 0) + (program.completion_tokens || 0);
      const each = program.cost_usd === undefined ? 0 : program.cost_usd;
      cost = cost === null || each === null ? null : cost + each;
    }
    if (run.ended) {
      tokens = (run.ended.prompt_tokens || 0) + (run.ended.completion_tokens || 0);
      cost = run.ended.cost_usd === undefined ? 0 : run.ended.cost_usd;
    }
    const seconds = run.ended && run.ended.elapsed ? run.ended.elapsed : run.now - run.first;
    return { calls: run.list.length, done, failed, tokens, cost, seconds };
  }
  function colours(run) {
    const found = new Map();
    for (const call of run.list) {
      const model = modelOf(call);
      if (!found.has(model)) found.set(model, COLOURS[Math.min(found.size, COLOURS.length - 1)]);
    }
    return found;
  }

  /* ---- a list of any length of which only what is seen is in the page ---- */
  class Grid {
    constructor(label, columns, { pick, sortable = true } = {}) {
      this.columns = columns;
      this.rows = [];
      this.selected = -1;
      this.order = null;
      this.pick = pick;
      this.body = el("div", { class: "body", role: "rowgroup" });
      this.head = el("div", { class: "row head", role: "row", "aria-rowindex": 1 },
        ...columns.map((column, at) => el("div", { role: "columnheader", class: `cell ${column.class}` }, sortable
          ? el("button", { type: "button", class: "cell " + (column.class.includes("num") ? "num" : ""), click: () => this.sort(at) }, column.title)
          : column.title)));
      this.node = el("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": label,
        scroll: () => this.draw(), keydown: (event) => this.key(event) },
        el("div", { role: "rowgroup", class: "head" }, this.head), this.body);
      new ResizeObserver(() => this.draw()).observe(this.node);
    }
    sort(at) {
      this.order = this.order && this.order.at === at ? { at, down: !this.order.down } : { at, down: false };
      [...this.head.children].forEach((cell, i) => cell.setAttribute("aria-sort", i !== at ? "none" : this.order.down ? "descending" : "ascending"));
      this.show(this.all);
    }
    show(rows) {
      this.all = rows;
      this.rows = rows;
      if (this.order) {
        const value = this.columns[this.order.at].sort || this.columns[this.order.at].text, sign = this.order.down ? -1 : 1;
        this.rows = rows.map((row) => [value(row), row]).sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : 0)).map((pair) => pair[1]);
      }
      this.node.setAttribute("aria-rowcount", this.rows.length + 1);
      this.body.style.height = `${this.rows.length * 24}px`;
      this.draw();
    }
    draw() {
      const height = this.node.clientHeight || 300;
      const from = Math.max(0, Math.floor(this.node.scrollTop / 24) - 5);
      const to = Math.min(this.rows.length, from + Math.ceil(height / 24) + 12);
      const rows = [];
      for (let i = from; i < to; i++) {
        const row = el("div", { class: "row", role: "row", "aria-rowindex": i + 2, "aria-selected": i === this.selected,
          click: () => { this.select(i); if (this.pick) this.pick(this.rows[i], i); } },
          ...this.columns.map((column) => el("div", { role: "gridcell", class: `cell ${column.class} ${column.tone ? column.tone(this.rows[i]) : ""}` },
            column.text(this.rows[i]))));
        row.style.top = `${i * 24}px`;
        rows.push(row);
      }
      this.body.replaceChildren(...rows);
    }
    select(i) {
      this.selected = Math.max(0, Math.min(this.rows.length - 1, i));
      const top = this.selected * 24;
      if (top < this.node.scrollTop) this.node.scrollTop = top;
      if (top + 72 > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + 72 - this.node.clientHeight;
      this.draw();
    }
    key(event) {
      if (event.target !== this.node) return;
      const page = Math.floor(this.node.clientHeight / 24) - 2;
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 }[event.key];
      if (step) { event.preventDefault(); this.select(this.selected + step); }
      if (event.key === "Enter" && this.selected >= 0 && this.pick) this.pick(this.rows[this.selected], this.selected);
    }
  }

  /* ---- timeline: lanes × time on a canvas ---- */
  const TOP = 84, LANE = 20, LABEL = 168;
  class Timeline {
    constructor(app) {
      this.app = app;
      this.filter = { text: "", model: "", status: "", line: null };
      this.canvas = el("canvas", { role: "img" });
      this.sizer = el("div", { class: "sizer" });
      this.box = el("div", { class: "lanes", tabindex: 0, "aria-describedby": "timeline-help", scroll: () => this.paint(), keydown: (e) => this.key(e) }, this.canvas, this.sizer);
      this.legend = el("div", { class: "legend" });
      this.search = el("input", { type: "search", placeholder: "Search in the calls", "aria-label": "Search in the calls", input: () => this.refilter() });
      this.models = el("select", { "aria-label": "Model", change: () => this.refilter() });
      this.statuses = el("select", { "aria-label": "Status", change: () => this.refilter() },
        ...["", "done", "failed", "cancelled", "running", "queued"].map((s) => el("option", { value: s }, s || "any status")));
      this.lineButton = el("button", { type: "button", hidden: true, click: () => { this.filter.line = null; this.refilter(); } });
      this.grid = new Grid("Calls", [
        { title: "#", class: "w70 num", text: (c) => String(c.number), sort: (c) => c.number },
        { title: "call", class: "w140", text: opOf },
        { title: "model", class: "w180", text: modelOf },
        { title: "line", class: "w50 num", text: (c) => String(c.asked.line || ""), sort: (c) => c.asked.line || 0 },
        { title: "status", class: "w90", text: (c) => statusOf(c) + (c.ended && c.ended.cached ? ", cached" : ""), tone: statusOf },
        { title: "waited", class: "w90 num", text: (c) => (c.sent ? seconds(c.sent - c.queued) : "…"), sort: (c) => (c.sent || 1e12) - c.queued },
        { title: "took", class: "w90 num", text: (c) => seconds(tookOf(c)), sort: (c) => tookOf(c) || 0 },
        { title: "tries", class: "w50 num", text: (c) => String(c.tries.length || ""), sort: (c) => c.tries.length },
        { title: "tokens", class: "w90 num", text: (c) => count(tokensOf(c)), sort: tokensOf },
        { title: "cost", class: "w110 num", text: (c) => (c.ended ? money(costOf(c)) : ""), sort: (c) => costOf(c) || 0 },
        { title: "asked", class: "wide", text: (c) => oneLine(`${textOf(c.asked.instruction)} ${textOf(c.asked.data)}`, 160) },
      ], { pick: (call) => app.open(call, this.grid.rows) });
      this.node = el("div", { class: "column" },
        el("div", { class: "bar" },
          el("button", { type: "button", click: () => this.zoom(1.6) }, "Zoom in"),
          el("button", { type: "button", click: () => this.zoom(1 / 1.6) }, "Zoom out"),
          el("button", { type: "button", click: () => this.fit() }, "All"),
          this.legend, el("span", { class: "spacer" })),
        this.box,
        el("p", { id: "timeline-help", class: "vh" }, "Left and right move, plus and minus zoom, 0 shows all, up and down choose a call, Enter opens it. The table below has every call."),
        el("div", { class: "bar" }, this.search, this.models, this.statuses, this.lineButton, (this.found = el("span", { class: "faint", role: "status" }))),
        this.grid.node);
      this.span = null;
      this.canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
      this.canvas.addEventListener("pointerdown", (e) => this.down(e));
      this.canvas.addEventListener("pointermove", (e) => this.hover(e));
      this.canvas.addEventListener("pointerup", (e) => this.up(e));
      this.canvas.addEventListener("pointerleave", () => { $("tip").hidden = true; });
      this.canvas.addEventListener("dblclick", () => this.fit());
      new ResizeObserver(() => this.paint()).observe(this.box);
    }
    show(run) {
      if (this.run !== run) { this.span = null; this.run = run; }
      this.palette = colours(run);
      this.layOut(run);
      offer(this.models, ["", ...this.palette.keys()].map((m) => [m, m || "any model"]));
      clear(this.legend);
      for (const [model, colour] of this.palette) {
        const swatch = el("canvas", { width: 12, height: 12, "aria-hidden": "true" }), g = swatch.getContext("2d");
        g.fillStyle = colour;
        g.fillRect(0, 0, 12, 12);
        this.legend.append(el("span", {}, swatch, model));
      }
      for (const [word, draw] of [["waiting", "wait"], ["failed", "failed"], ["cancelled", "cancelled"], ["a try that failed", "try"]]) {
        const swatch = el("canvas", { width: 16, height: 12, "aria-hidden": "true" }), g = swatch.getContext("2d");
        this.bar(g, draw, 1, 1, 14, 10, "#8a8f98");
        this.legend.append(el("span", { class: "faint" }, swatch, word));
      }
      const t = totals(run);
      this.canvas.setAttribute("aria-label", `Timeline: ${count(t.calls)} calls in ${count(this.lanes.length)} lanes over ${seconds(t.seconds)}; ${count(t.failed)} failed.`);
      this.refilter();
    }
    refilter() {
      const f = this.filter, words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      f.model = this.models.value;
      f.status = this.statuses.value;
      this.lineButton.hidden = f.line === null;
      this.lineButton.textContent = f.line === null ? "" : `line ${f.line} ×`;
      const rows = this.run.list.filter((call) => {
        if (f.model && modelOf(call) !== f.model) return false;
        if (f.status && statusOf(call) !== f.status) return false;
        if (f.line !== null && call.asked.line !== f.line) return false;
        if (!words.length) return true;
        const text = `${textOf(call.asked.instruction)}\n${textOf(call.asked.data)}\n${call.ended ? `${textOf(call.ended.answer)}\n${call.ended.error || ""}` : ""}`.toLowerCase();
        return words.every((word) => text.includes(word));
      });
      this.chosen = rows.length === this.run.list.length ? null : new Set(rows);
      say(this.found, `${count(rows.length)} of ${count(this.run.list.length)} calls`);
      this.grid.show(rows);
      this.paint();
    }
    /* A lane for each fiber, and as many as it needs where calls of one fiber overlap. */
    layOut(run) {
      const groups = new Map();
      for (const call of run.list) {
        const key = `${call.execution} ${call.fiber || 0}`;
        if (!groups.has(key)) groups.set(key, []);
        groups.get(key).push(call);
      }
      this.lanes = [];
      const now = run.now;
      const order = (key) => { const [execution, fiber] = key.split(" ").map(Number); return execution * 1e9 + fiber; };
      for (const [key, calls] of [...groups].sort((a, b) => order(a[0]) - order(b[0]))) {
        const [execution, fiber] = key.split(" ").map(Number), birth = run.fibers.get(key);
        const name = (execution ? `child ${execution} · ` : "") + (fiber ? `${birth ? `${birth.what || "fiber"} ` : "fiber "}${fiber}` : "program");
        const ends = [], lanes = [];
        for (const call of calls) {
          let at = ends.findIndex((end) => end <= call.queued);
          if (at < 0 && ends.length < 400) { at = ends.length; ends.push(0); lanes.push([]); }
          if (at < 0) at = ends.indexOf(Math.min(...ends));
          ends[at] = call.end || now;
          lanes[at].push(call);
          call.lane = this.lanes.length + at;
        }
        lanes.forEach((lane, i) => this.lanes.push({ label: i ? "" : name, calls: lane }));
      }
      for (const request of run.requests.values()) {
        const key = `${request.started.execution || 0} ${request.started.fiber || 0}`;
        if (!groups.has(key)) { groups.set(key, []); this.lanes.push({ label: request.started.fiber ? `fiber ${request.started.fiber}` : "program", calls: [] }); }
      }
      const steps = [];
      for (const call of run.list) if (call.sent && counts(call)) { steps.push([call.sent, 1], [call.end || now, -1]); }
      steps.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      let flying = 0;
      this.steps = steps.map(([at, change]) => [at, (flying += change)]);
      this.peak = this.steps.reduce((most, step) => Math.max(most, step[1]), 0);
      this.sizer.style.height = `${TOP + this.lanes.length * LANE + 8}px`;
    }
    get view() {
      const run = this.run, length = Math.max(run.now - run.first, 1e-6);
      return this.span || { from: run.first - length * 0.01, to: run.first + length * 1.02 };
    }
    fit() { this.span = null; this.paint(); }
    zoom(factor, around) {
      const { from, to } = this.view, middle = around === undefined ? (from + to) / 2 : around;
      const length = Math.max((to - from) / factor, 1e-5);
      const share = (middle - from) / (to - from);
      this.span = { from: middle - share * length, to: middle + (1 - share) * length };
      this.paint();
    }
    move(share) {
      const { from, to } = this.view, by = (to - from) * share;
      this.span = { from: from + by, to: to + by };
      this.paint();
    }
    time(x) { const { from, to } = this.view; return from + ((x - LABEL) / Math.max(this.width - LABEL, 1)) * (to - from); }
    wheel(event) {
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        this.move((event.deltaX || event.deltaY) / 1200);
      } else if (event.ctrlKey || event.metaKey || event.altKey || this.lanes.length * LANE + TOP <= this.box.clientHeight) {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), this.time(event.offsetX));
      }
    }
    down(event) { this.drag = { x: event.offsetX, view: this.view, moved: false }; this.canvas.setPointerCapture(event.pointerId); }
    hover(event) {
      if (this.drag) {
        const { x, view } = this.drag, by = ((event.offsetX - x) / Math.max(this.width - LABEL, 1)) * (view.to - view.from);
        if (Math.abs(event.offsetX - x) > 3) this.drag.moved = true;
        if (this.drag.moved) { this.span = { from: view.from - by, to: view.to - by }; this.paint(); }
        return;
      }
      const call = this.at(event.offsetX, event.offsetY), tip = $("tip");
      tip.hidden = !call;
      this.canvas.style.cursor = call ? "pointer" : "grab";
      if (!call) return;
      clear(tip).append(
        el("strong", {}, `call ${call.number} · ${modelOf(call)} · `), el("span", { class: statusOf(call) }, statusOf(call)),
        el("div", { class: "faint" }, `waited ${call.sent ? seconds(call.sent - call.queued) : "…"}, took ${seconds(tookOf(call))}, ${count(tokensOf(call))} tokens, ${money(costOf(call))}`
          + (call.asked.line ? `, line ${call.asked.line}` : "") + (call.tries.length > 1 ? `, ${call.tries.length} tries` : "")),
        el("div", {}, oneLine(`${textOf(call.asked.instruction)} ${textOf(call.asked.data)}`, 200)),
        call.ended && call.ended.error ? el("div", { class: "error" }, oneLine(call.ended.error, 200)) : null);
      tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - 460)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - 120)}px`;
    }
    up(event) {
      const moved = this.drag && this.drag.moved;
      this.drag = null;
      const call = moved ? null : this.at(event.offsetX, event.offsetY);
      if (call) this.app.open(call, this.grid.rows);
    }
    at(x, y) {
      if (x < LABEL || y < TOP || !this.run) return null;
      const lane = this.lanes[Math.floor((y - TOP + this.box.scrollTop) / LANE)];
      if (!lane) return null;
      const slack = (this.view.to - this.view.from) / Math.max(this.width - LABEL, 1) * 2, at = this.time(x);
      let best = null;
      for (let i = this.firstSeen(lane.calls, at - slack); i < lane.calls.length && lane.calls[i].queued <= at + slack; i++)
        if ((lane.calls[i].end || this.run.now) >= at - slack) best = lane.calls[i];
      return best;
    }
    /* The first call of a lane that ends after a moment: in a lane they follow one another. */
    firstSeen(calls, at) {
      let low = 0, high = calls.length;
      while (low < high) { const mid = (low + high) >> 1; if ((calls[mid].end || Infinity) < at) low = mid + 1; else high = mid; }
      return low;
    }
    key(event) {
      const act = { ArrowLeft: () => this.move(-0.15), ArrowRight: () => this.move(0.15), "+": () => this.zoom(1.5), "=": () => this.zoom(1.5),
        "-": () => this.zoom(1 / 1.5), 0: () => this.fit(), ArrowDown: () => this.choose(1), ArrowUp: () => this.choose(-1),
        Enter: () => { if (this.grid.selected >= 0) this.app.open(this.grid.rows[this.grid.selected], this.grid.rows); } }[event.key];
      if (act) { event.preventDefault(); act(); }
    }
    choose(step) {
      if (!this.grid.rows.length) return;
      this.grid.select(this.grid.selected + step);
      const call = this.grid.rows[this.grid.selected], top = call.lane * LANE;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      if (top + TOP + 2 * LANE > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + TOP + 2 * LANE - this.box.clientHeight;
      const { from, to } = this.view;
      if (call.queued < from || call.queued > to) this.span = { from: call.queued - (to - from) / 4, to: call.queued + (to - from) * 0.75 };
      this.paint();
    }
    paint() { if (!this.painting) { this.painting = true; requestAnimationFrame(() => { this.painting = false; this.draw(); }); } }
    draw() {
      const width = this.box.clientWidth, height = this.box.clientHeight, run = this.run;
      if (!run || !width || !height) return;
      const scale = window.devicePixelRatio || 1, canvas = this.canvas;
      this.width = width;
      if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
      }
      const g = canvas.getContext("2d"), { from, to } = this.view, x = (at) => LABEL + ((at - from) / (to - from)) * (width - LABEL);
      const colour = { text: css("--text"), faint: css("--faint"), line: css("--line"), panel: css("--panel"), back: css("--back"), bad: css("--bad"), accent: css("--accent"), select: css("--select") };
      g.setTransform(scale, 0, 0, scale, 0, 0);
      g.fillStyle = colour.back;
      g.fillRect(0, 0, width, height);
      g.font = "12px system-ui, 'DejaVu Sans', sans-serif";
      const scroll = this.box.scrollTop, begin = Math.max(0, Math.floor(scroll / LANE)), end = Math.min(this.lanes.length, begin + Math.ceil((height - TOP) / LANE) + 1);
      const selected = this.grid.rows[this.grid.selected];
      g.save();
      g.beginPath(); g.rect(0, TOP, width, height - TOP); g.clip();
      for (let i = begin; i < end; i++) {
        const lane = this.lanes[i], y = TOP + i * LANE - scroll;
        if (lane.label) {
          g.strokeStyle = colour.line;
          g.globalAlpha = 0.6;
          g.beginPath(); g.moveTo(0, Math.round(y) + 0.5); g.lineTo(width, Math.round(y) + 0.5); g.stroke();
          g.globalAlpha = 1;
          g.fillStyle = colour.text;
          g.textAlign = "left"; g.textBaseline = "middle";
          g.fillText(oneLine(lane.label, 26), 8, y + LANE / 2, LABEL - 14);
        }
        g.save();
        g.beginPath(); g.rect(LABEL, TOP, width - LABEL, height - TOP); g.clip();
        let painted = -1e9;
        for (let k = this.firstSeen(lane.calls, from); k < lane.calls.length; k++) {
          const call = lane.calls[k];
          if (call.queued > to) break;
          const x0 = x(call.queued), x1 = x(call.sent || call.end || run.now), x2 = x(call.end || run.now);
          if (x2 - painted < 0.7 && x2 - x0 < 0.7) continue;
          painted = x2;
          g.globalAlpha = this.chosen && !this.chosen.has(call) ? 0.15 : 1;
          const fill = this.palette.get(modelOf(call)), kind = statusOf(call);
          if (x1 - x0 > 0.6) this.bar(g, "wait", x0, y + 7, x1 - x0, LANE - 14, fill);
          if (call.sent) this.bar(g, kind, x1, y + 3, Math.max(x2 - x1, 1.2), LANE - 6, fill);
          else if (call.end) this.bar(g, kind, x0, y + 3, Math.max(x2 - x0, 1.2), LANE - 6, fill);
          for (const attempt of call.tries)
            if (!attempt.status || attempt.status >= 400) this.fault(g, x(attempt.at), y, attempt.status, x2 - x1 > 60, colour);
          if (call === selected) { g.strokeStyle = colour.text; g.lineWidth = 2; g.strokeRect(x0 - 2, y + 1, Math.max(x2 - x0, 2) + 4, LANE - 2); g.lineWidth = 1; }
        }
        g.restore();
        g.globalAlpha = 1;
      }
      g.restore();
      this.axis(g, width, x, from, to, colour);
    }
    bar(g, kind, x, y, w, h, fill) {
      g.save();
      if (kind === "wait") { g.globalAlpha *= 0.45; g.fillStyle = fill; g.fillRect(x, y, w, Math.max(h, 2)); }
      else if (kind === "cancelled") {
        g.beginPath(); g.rect(x, y, w, h); g.clip();
        g.globalAlpha *= 0.25; g.fillStyle = fill; g.fillRect(x, y, w, h); g.globalAlpha /= 0.25;
        g.strokeStyle = fill; g.lineWidth = 1.6;
        g.beginPath();
        const left = Math.max(x, LABEL > x && w > 40 ? LABEL : x), right = Math.min(x + w, 8000);
        for (let i = left - h - ((left - h) % 6); i < right; i += 6) { g.moveTo(i, y + h); g.lineTo(i + h, y); }
        g.stroke();
      } else if (kind === "try") { g.fillStyle = css("--bad"); g.fillRect(x + w / 2 - 1, y, 3, h); }
      else {
        g.fillStyle = fill; g.fillRect(x, y, w, h);
        if (kind === "failed") {
          g.strokeStyle = css("--bad"); g.lineWidth = 2; g.strokeRect(x + 1, y + 1, Math.max(w - 2, 0.5), h - 2);
          if (w > 10) { g.beginPath(); g.moveTo(x + 3, y + 3); g.lineTo(x + Math.min(w, h) - 3, y + h - 3); g.moveTo(x + Math.min(w, h) - 3, y + 3); g.lineTo(x + 3, y + h - 3); g.strokeStyle = "#fff"; g.stroke(); }
        }
        if (kind === "running" && w > 6) { g.fillStyle = "#fff8"; g.fillRect(x + w - 3, y, 3, h); }
      }
      g.restore();
    }
    fault(g, x, y, status, room, colour) {
      g.fillStyle = colour.bad;
      g.fillRect(x - 1, y + 1, 3, LANE - 2);
      if (room) { g.font = "10px system-ui, 'DejaVu Sans', sans-serif"; g.textAlign = "right"; g.lineWidth = 3; g.strokeStyle = "#000c"; g.fillStyle = "#fff"; const said = status ? String(status) : "no answer"; g.strokeText(said, x - 3, y + LANE / 2); g.fillText(said, x - 3, y + LANE / 2); g.lineWidth = 1; g.font = "12px system-ui, 'DejaVu Sans', sans-serif"; }
    }
    axis(g, width, x, from, to, colour) {
      g.fillStyle = colour.panel;
      g.fillRect(0, 0, width, TOP - 1);
      g.strokeStyle = colour.line;
      g.beginPath(); g.moveTo(0, TOP - 0.5); g.lineTo(width, TOP - 0.5); g.stroke();
      const limit = this.run.limits.concurrency || 0, top = Math.max(this.peak, Math.min(limit, this.peak * 2 || limit), 1) * 1.08, base = TOP - 22, room = base - 8;
      const level = (n) => base - (n / top) * room;
      g.fillStyle = colour.faint; g.textBaseline = "middle"; g.textAlign = "left";
      g.fillText("calls in flight", 8, 16, LABEL - 14);
      g.fillText(`most: ${this.peak}`, 8, 34, LABEL - 14);
      g.save();
      g.beginPath(); g.rect(LABEL, 0, width - LABEL, TOP); g.clip();
      g.beginPath(); g.moveTo(LABEL, base);
      let last = 0;
      const steps = this.steps;
      let low = 0, high = steps.length;
      while (low < high) { const mid = (low + high) >> 1; if (steps[mid][0] < from) low = mid + 1; else high = mid; }
      last = low ? steps[low - 1][1] : 0;
      g.lineTo(LABEL, level(last));
      for (let i = low, column = -1, most = 0; i < steps.length && steps[i][0] <= to; i++) {
        const px = x(steps[i][0]);
        if (Math.floor(px) !== column) { g.lineTo(px, level(last)); column = Math.floor(px); most = 0; }
        most = Math.max(most, steps[i][1]);
        last = steps[i][1];
        g.lineTo(px, level(last));
      }
      g.lineTo(Math.min(x(this.run.now), width), level(last)); g.lineTo(Math.min(x(this.run.now), width), base); g.closePath();
      g.fillStyle = colour.accent; g.globalAlpha = 0.35; g.fill(); g.globalAlpha = 1;
      if (limit && level(limit) > 4) {
        g.setLineDash([6, 4]); g.strokeStyle = colour.bad; g.beginPath(); g.moveTo(LABEL, level(limit)); g.lineTo(width, level(limit)); g.stroke(); g.setLineDash([]);
        g.fillStyle = colour.bad; g.textAlign = "right"; g.fillText(`limit of concurrency: ${limit}`, width - 6, Math.max(level(limit) + 8, 10));
      } else if (limit) { g.fillStyle = colour.faint; g.textAlign = "right"; g.fillText(`limit of concurrency: ${limit} (above)`, width - 6, 10); }
      const step = niceStep((to - from) / Math.max((width - LABEL) / 110, 1));
      g.fillStyle = colour.faint; g.textAlign = "center";
      for (let at = Math.ceil((from - this.run.first) / step) * step; at <= to - this.run.first; at += step) {
        const px = x(this.run.first + at);
        g.strokeStyle = colour.line; g.beginPath(); g.moveTo(px, base); g.lineTo(px, base + 4); g.stroke();
        if (at >= -step / 2) g.fillText(seconds(Math.abs(at) < step / 100 ? 0 : at).replace("0 µs", "0 s"), px, base + 13);
      }
      g.restore();
    }
  }
  function niceStep(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);
  }

  /* ---- program: its lines, with what each asked for ---- */
  class Program {
    constructor(app) {
      this.app = app;
      this.choice = el("select", { "aria-label": "Program", change: () => this.show(this.run) });
      this.choiceBar = el("div", { class: "bar", hidden: true }, this.choice);
      this.place = el("div", { class: "source", tabindex: 0, role: "region", "aria-label": "The program" });
      this.node = el("div", {}, this.choiceBar, this.place);
    }
    show(run) {
      this.run = run;
      offer(this.choice, [[0, "the program"], ...[...run.children].map(([number, child]) => [number, `child ${number}, of call ${child.started.call || 0}`])]);
      this.choiceBar.hidden = !run.children.size;
      const number = Number(this.choice.value);
      const program = number ? run.children.get(number).started.program : run.started && run.started.program;
      const lines = new Map(), source = number ? "sub-program" : run.started && run.started.name;
      const at = (line) => { if (!lines.has(line)) lines.set(line, { calls: [], running: 0, failed: 0, requests: 0, asking: [], waits: [] }); return lines.get(line); };
      /* What a library asked for has a line of the library. */
      const here = (record) => (record.execution || 0) === number && record.line && (!record.source || !source || record.source === source);
      for (const call of run.list) {
        if (!here(call.asked)) continue;
        const line = at(call.asked.line), status = statusOf(call);
        line.calls.push(call);
        if (status === "running" || status === "queued") line.running++;
        if (status === "failed") line.failed++;
      }
      for (const request of run.requests.values()) {
        if (!here(request.started)) continue;
        const line = at(request.started.line);
        line.requests++;
        if (!request.ended && !run.ended) line.asking.push(request.started);
      }
      if (!run.ended) for (const wait of run.waits.values()) if (here(wait)) at(wait.line).waits.push(wait);
      const failing = run.ended && run.ended.error && !number ? run.ended.error.line : 0;
      const rows = coloured(textOf(program), this.app.tokens(run.id, number));
      clear(this.place).append(...rows.map((parts, i) => {
        const line = lines.get(i + 1), waiting = line && (line.running || line.asking.length || line.waits.length) && !run.ended;
        const chips = [];
        if (line && line.calls.length) {
          const words = [`${count(line.calls.length)} call${line.calls.length === 1 ? "" : "s"}`];
          if (line.running) words.push(run.ended ? `${count(line.running)} without an end` : `${count(line.running)} waiting`);
          if (line.failed) words.push(`${count(line.failed)} failed`);
          const took = line.calls.reduce((sum, call) => sum + (tookOf(call) || 0), 0);
          if (took) words.push(seconds(took));
          chips.push(el("button", { type: "button", click: () => this.app.filterLine(i + 1) }, words.join(", ")));
        }
        if (line && line.requests) chips.push(el("span", { class: "faint" }, ` ${count(line.requests)} host request${line.requests === 1 ? "" : "s"}${line.asking.length ? `, ${waiters(line.asking)} for ${oneLine(line.asking[0].operation || "", 20)}` : ""}`));
        if (line && line.waits.length) chips.push(el("span", { class: "running" }, ` ${waiters(line.waits)} for ${oneLine(line.waits[0].what || "something", 40)}${line.waits.length > 1 ? " …" : ""}`));
        return el("div", { class: `codeline code${waiting ? " waiting" : ""}${i + 1 === failing ? " failing" : ""}` },
          el("span", { class: "no" }, String(i + 1)),
          el("span", { class: "text" }, ...parts, waiting ? el("span", { class: "vh" }, " (waiting here)") : null),
          el("span", { class: "chips" }, ...chips));
      }));
      if (!textOf(program)) this.place.append(el("p", { class: "faint" }, "The log does not hold this program: it went on from a snapshot."));
    }
  }
  /* Who waits: records of one line. */
  function waiters(records) {
    if (records.length > 1) return `${count(records.length)} fibers wait`;
    return records[0].fiber ? `fiber ${records[0].fiber} waits` : "the program waits";
  }
  /* The lines of a program as lists of nodes. `tokens` are pairs of a class and a text, or nothing. */
  function coloured(text, tokens) {
    const pieces = tokens && tokens.map((pair) => pair[1]).join("") === text ? tokens : [["", text]];
    const lines = [[]];
    for (const [kind, piece] of pieces) {
      piece.split("\n").forEach((part, i) => {
        if (i) lines.push([]);
        if (part) lines[lines.length - 1].push(/^[a-z]$/.test(kind) ? el("span", { class: `hl-${kind}` }, part) : part);
      });
    }
    return lines;
  }

  /* ---- money ---- */
  class Money {
    constructor(app) {
      this.app = app;
      this.charts = el("div", { class: "charts" });
      this.table = el("div", {});
      this.node = el("div", {}, this.charts, this.table);
      this.plots = [];
    }
    show(run) {
      this.run = run;
      for (const plot of this.plots) plot.destroy();
      this.plots = [];
      clear(this.charts);
      const steps = [];
      for (const call of run.list) {
        if (!counts(call)) continue;
        if (call.sent) steps.push({ at: call.sent, held: [call.asked.reserved_tokens || 0, call.asked.reserved_usd || 0] });
        if (call.end) steps.push({ at: call.end, held: call.sent ? [-(call.asked.reserved_tokens || 0), -(call.asked.reserved_usd || 0)] : [0, 0],
          used: [tokensOf(call), costOf(call) || 0], model: modelOf(call) });
      }
      for (const program of run.programs) steps.push({ at: program.at, held: [0, 0], used: [(program.prompt_tokens || 0) + (program.completion_tokens || 0), program.cost_usd || 0], model: program.model || "default" });
      steps.sort((a, b) => a.at - b.at);
      const palette = colours(run);
      for (const step of steps) if (step.model && !palette.has(step.model)) palette.set(step.model, COLOURS[Math.min(palette.size, COLOURS.length - 1)]);
      if (steps.length && window.uPlot) {
        this.chart("Tokens", steps, 0, palette, run.limits.tokens, count);
        if (steps.some((step) => step.used && step.used[1])) this.chart("US dollars", steps, 1, palette, run.limits.cost_usd, (v) => money(v));
      }
      this.tables(run, palette);
    }
    chart(title, steps, which, palette, ceiling, shown) {
      const run = this.run, models = [...palette.keys()].slice(0, 8);
      const x = [0], total = [0], held = [0], each = models.map(() => [0]);
      let used = 0, reserved = 0;
      const by = new Map(models.map((model) => [model, 0]));
      for (const step of steps) {
        reserved += step.held[which];
        if (step.used) { used += step.used[which]; if (by.has(step.model)) by.set(step.model, by.get(step.model) + step.used[which]); }
        const at = step.at - run.first;
        if (x.length > 1 && x[x.length - 1] === at) { x.pop(); total.pop(); held.pop(); each.forEach((column) => column.pop()); }
        x.push(at); total.push(used); held.push(used + Math.max(reserved, 0)); each.forEach((column, i) => column.push(by.get(models[i])));
      }
      const stepped = uPlot.paths.stepped({ align: 1 }), faint = css("--faint"), line = css("--line");
      const series = [{ label: "seconds", value: (u, v) => (v === null ? "" : seconds(v)) },
        { label: "used", stroke: css("--text"), width: 2, paths: stepped, points: { show: false }, value: (u, v) => (v === null ? "" : shown(v)) },
        { label: "used and reserved", stroke: faint, dash: [4, 3], paths: stepped, points: { show: false }, value: (u, v) => (v === null ? "" : shown(v)) },
        ...models.map((model) => ({ label: model, stroke: palette.get(model), paths: stepped, points: { show: false }, value: (u, v) => (v === null ? "" : shown(v)) }))];
      const data = [x, total, held, ...each];
      if (ceiling) { series.push({ label: "ceiling", stroke: css("--bad"), dash: [8, 4], points: { show: false }, value: () => shown(ceiling) }); data.push(x.map(() => ceiling)); }
      const axis = { stroke: css("--text"), grid: { stroke: line, width: 1 }, ticks: { stroke: line }, font: "12px system-ui, 'DejaVu Sans', sans-serif" };
      const node = el("figure", { role: "img", "aria-label": `${title} over time: ${shown(used)} in the end${ceiling ? `, of at most ${shown(ceiling)}` : ""}. The table has the figures.` }, el("h2", {}, title));
      this.charts.append(node);
      this.plots.push(new uPlot({ width: Math.min(720, Math.max(320, (this.node.clientWidth || 760) - 40)), height: 280, scales: { x: { time: false } }, series, cursor: { drag: { x: true, y: false } },
        axes: [{ ...axis, values: (u, values) => values.map((v) => seconds(v).replace("0 µs", "0")) }, { ...axis, size: 78, values: (u, values) => values.map(shown) }] }, data, node));
    }
    tables(run, palette) {
      const rows = new Map([...palette.keys()].map((model) => [model, { calls: 0, cached: 0, prompt: 0, completion: 0, cost: 0 }]));
      const add = (model, record) => {
        const row = rows.get(model);
        if (!row || !record) return;
        row.calls++;
        if (record.cached) { row.cached++; return; }
        row.prompt += record.prompt_tokens || 0;
        row.completion += record.completion_tokens || 0;
        row.cost = row.cost === null || record.cost_usd === null ? null : row.cost + (record.cost_usd || 0);
      };
      for (const call of run.list) if (counts(call) && call.ended) add(modelOf(call), call.ended);
      for (const program of run.programs) add(program.model || "default", program);
      const head = ["model", "calls", "cached", "prompt tokens", "completion tokens", "cost"];
      const limits = Object.entries(run.limits).filter(([, value]) => value !== null && value !== undefined);
      clear(this.table).append(
        el("h2", {}, "By model"),
        el("table", {}, el("thead", {}, el("tr", {}, ...head.map((h, i) => el("th", { scope: "col", class: i ? "num" : "" }, h)))),
          el("tbody", {}, ...[...rows].map(([model, row]) => el("tr", {}, el("th", { scope: "row" }, model),
            ...[count(row.calls), count(row.cached), count(row.prompt), count(row.completion), money(row.cost)].map((v) => el("td", { class: "num" }, v)))))),
        el("h2", {}, "Limits"),
        el("table", {}, el("tbody", {}, ...limits.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "num" }, typeof value === "number" ? count(value) : String(value)))))));
    }
  }

  /* ---- lineage: a part of the answer → the calls → the chunks of contexts ---- */
  class Lineage {
    constructor(app) {
      this.app = app;
      this.answer = el("pre", { tabindex: 0, "aria-label": "The value" });
      this.trail = el("div", { "aria-live": "polite" });
      this.intro = el("p", { class: "faint" });
      this.node = el("div", {}, this.intro, el("div", { class: "two" }, el("section", {}, el("h2", {}, "Value"), this.answer), el("section", {}, el("h2", {}, "Where it comes from"), this.trail)));
    }
    show(run) {
      this.run = run;
      clear(this.trail);
      clear(this.answer);
      if (!run.ended) { this.intro.textContent = "There is no value yet."; return; }
      const value = textOf(run.ended.value), from = numbers(run.ended.derived_from), told = partsTold(value, run.ended.parts);
      this.intro.textContent = from.length
        ? `The value derives from ${count(from.length)} call${from.length === 1 ? "" : "s"}. ${told ? "What comes from a call is underlined: choose a part." : "The log does not say which part is whose: those that stand in a call's answer word for word are underlined, choose one."}`
        : "No text of a model is in the value.";
      const parts = told || partsOf(value, from.map((number) => run.calls.get(number)).filter((call) => call && call.ended));
      for (const part of parts) {
        const text = value.slice(part.start, part.end);
        this.answer.append(part.calls ? el("button", { type: "button", class: "part", "aria-pressed": false, title: `call${part.calls.length === 1 ? "" : "s"} ${part.calls.slice(0, 20).join(", ")}`,
          click: (event) => {
            for (const other of this.answer.querySelectorAll("[aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
            event.currentTarget.setAttribute("aria-pressed", "true");
            this.follow(writers(run, part.calls));
          } }, text) : text);
      }
      this.answer.append(cutMark(run.ended.value));
      this.follow(from.slice(0, 50).map((number) => run.calls.get(number)).filter(Boolean));
    }
    follow(calls) {
      clear(this.trail);
      for (const call of calls.slice(0, 50)) {
        const made = call.asked.made_from || [];
        this.trail.append(el("section", {},
          el("h3", {}, `call ${call.number} · ${modelOf(call)}${call.asked.line ? ` · line ${call.asked.line}` : ""}`),
          el("button", { type: "button", click: () => this.app.open(call, this.run.list) }, "Its texts"),
          " ", el("span", {}, oneLine(textOf(call.asked.instruction), 160)),
          ...chunksOf(this.run, call).map((chunk) => el("div", {}, el("div", { class: "faint" }, `${chunk.name}, characters ${count(chunk.start)} to ${count(chunk.end)}${chunk.whole ? "" : " (a part of the data)"}`),
            el("pre", {}, chunk.before, el("mark", {}, chunk.text), chunk.after))),
          made.length ? el("p", {}, "Its prompt has texts of ", ...made.slice(0, 40).flatMap((number) => [
            el("button", { type: "button", disabled: !this.run.calls.has(number), click: () => this.follow([this.run.calls.get(number)]) }, `call ${number}`), " "])) : null));
      }
      if (calls.length > 50) this.trail.append(el("p", { class: "faint" }, `and ${count(calls.length - 50)} more`));
    }
  }
  const numbers = (value) => (Array.isArray(value) ? value.filter((item) => Number.isInteger(item)) : []);
  /* Of the calls that a part derives from, those that wrote it: not those whose texts only went into a prompt of the others. */
  function writers(run, among) {
    const behind = new Set(among.flatMap((number) => { const call = run.calls.get(number); return call ? numbers(call.asked.made_from) : []; }));
    const known = among.map((number) => run.calls.get(number)).filter(Boolean), direct = known.filter((call) => !behind.has(call.number));
    return direct.length ? direct : known;
  }
  /* The value in parts as the log tells them, and what is between; null where it does not. Places are told in characters,
     of which some are two units of a string here. */
  function partsTold(value, told) {
    if (!Array.isArray(told) || !told.length) return null;
    const parts = [];
    let characters = 0, units = 0;
    const at = (character) => { while (characters < character && units < value.length) { units += value.codePointAt(units) > 0xffff ? 2 : 1; characters++; } return units; };
    let end = 0;
    for (const part of told) {
      if (!part || !Number.isInteger(part.start ?? 0) || !Number.isInteger(part.end) || (part.start ?? 0) < characters || part.end <= (part.start ?? 0)) return null;
      const start = at(part.start ?? 0), stop = at(part.end), calls = numbers(part.calls);
      if (start > end) parts.push({ start: end, end: start });
      if (stop > start) parts.push({ start, end: stop, calls: calls.length ? calls : null });
      end = stop;
    }
    if (end < value.length) parts.push({ start: end, end: value.length });
    return parts;
  }
  /* Of an older log: the value in parts, those that stand word for word in a call's answer, the longest first, and what is between. */
  function partsOf(value, calls) {
    const found = [], taken = new Uint8Array(Math.min(value.length, 4e6));
    const pieces = [];
    for (const call of calls.slice(0, 2000)) {
      const answer = textOf(call.ended.answer).trim();
      if (answer.length >= 2) pieces.push([answer, call]);
      if (answer.includes("\n")) for (const line of answer.split("\n")) if (line.trim().length >= 12) pieces.push([line.trim(), call]);
    }
    pieces.sort((a, b) => b[0].length - a[0].length);
    let budget = 2e8;
    for (const [piece, call] of pieces) {
      if ((budget -= value.length) < 0) break;
      for (let at = value.indexOf(piece); at >= 0; at = value.indexOf(piece, at + piece.length)) {
        let free = true;
        for (let i = at; i < at + piece.length && free; i++) free = !taken[i];
        if (free) { taken.fill(1, at, at + piece.length); found.push({ start: at, end: at + piece.length, calls: [call.number] }); break; }
      }
    }
    found.sort((a, b) => a.start - b.start);
    const parts = [];
    let end = 0;
    for (const part of found) { if (part.start > end) parts.push({ start: end, end: part.start }); parts.push(part); end = part.end; }
    if (end < value.length) parts.push({ start: end, end: value.length });
    return parts;
  }
  /* Where the data of a call stands in the contexts: all of it, or its longest lines. */
  function chunksOf(run, call) {
    const data = textOf(call.asked.data), chunks = [];
    if (data.trim().length < 3) return chunks;
    const look = (context, piece, isWhole) => {
      const text = textOf(context.text), at = text.indexOf(piece);
      if (at < 0) return false;
      chunks.push({ name: context.name ? `context ${context.name}` : "the context", start: at, end: at + piece.length, whole: isWhole,
        before: (at > 80 ? "…" : "") + text.slice(Math.max(0, at - 80), at), text: piece.slice(0, 4000) + (piece.length > 4000 ? "…" : ""), after: piece.length > 4000 ? "" : text.slice(at + piece.length, at + piece.length + 80) });
      return true;
    };
    for (const context of run.contexts) {
      if (look(context, data, true)) continue;
      const lines = data.split("\n").map((line) => line.trim()).filter((line) => line.length >= 24).sort((a, b) => b.length - a.length);
      for (const line of lines.slice(0, 5)) if (look(context, line, false)) break;
    }
    return chunks.slice(0, 10);
  }

  /* ---- log, output, errors ---- */
  function summary(record) {
    switch (record.type) {
      case "run_started": return `${record.name || "program"}, provider ${record.provider || "?"}`;
      case "context_held": return `${record.name || "default"}: ${count(lengthOf(record.text))} characters`;
      case "fiber_started": return `fiber ${record.fiber || 0}, ${record.what || ""}, by fiber ${record.parent || 0}`;
      case "fiber_waits": return `fiber ${record.fiber || 0} in line ${record.line || "?"} for ${record.what || ""}`;
      case "fiber_goes_on": return `fiber ${record.fiber || 0}`;
      case "call_queued": return `call ${record.call} ${record.op || "llm-query"} ${record.model || ""} ${oneLine(`${textOf(record.instruction)} ${textOf(record.data)}`)}`;
      case "call_sent": return `call ${record.call}`;
      case "call_tried": return `call ${record.call}, try ${record.attempt || 1}: ${record.status || "no answer"}`;
      case "call_ended": return `call ${record.call} ${record.status || "done"} ${record.error ? oneLine(record.error) : oneLine(textOf(record.answer))}`;
      case "program_written": return `call ${record.call}: ${oneLine(textOf(record.answer))}`;
      case "child_started": return `of call ${record.call}: ${oneLine(textOf(record.program))}`;
      case "child_ended": return `${record.status || "ok"} ${oneLine(record.error || textOf(record.value))}`;
      case "request_started": return `${record.operation || ""} ${oneLine(textOf(record.arguments))}`;
      case "request_ended": return `request ${record.request} ${record.status || "done"} ${record.error ? oneLine(record.error) : ""}`;
      case "output_written": return `${record.stream || "out"}: ${oneLine(textOf(record.text))}`;
      case "noted": return `${record.op || ""} ${oneLine(record.preview || "")}`;
      case "items_counted": return `${count(record.done)} of ${count(record.announced)} items done, ${count(record.begun)} begun`;
      case "chapter_started": return record.title || "";
      case "run_ended": return `${record.status || "ok"} ${oneLine(record.error ? record.error.message || "" : textOf(record.value))}`;
      default: return "";
    }
  }
  class Log {
    constructor(app) {
      this.app = app;
      this.search = el("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log", input: () => this.refilter() });
      this.found = el("span", { class: "faint", role: "status" });
      this.grid = new Grid("Log", [
        { title: "time", class: "w90 num", text: (r) => seconds(r.at - this.run.first).replace("0 µs", "0 s"), sort: (r) => r.at },
        { title: "execution", class: "w110 num", text: (r) => (r.execution ? `child ${r.execution}` : "program"), sort: (r) => r.execution || 0 },
        { title: "record", class: "w140", text: (r) => r.type.replaceAll("_", " "), tone: (r) => (r.status === "failed" || r.type === "run_ended" ? r.status || "" : "") },
        { title: "what", class: "wide", text: summary },
      ], { pick: (record) => app.record(record, this.run) });
      this.node = el("div", { class: "column" }, el("div", { class: "bar" }, this.search, this.found), this.grid.node);
    }
    show(run) { this.run = run; this.refilter(); }
    refilter() {
      const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = words.length ? this.run.records.filter((r) => { const text = JSON.stringify(r).toLowerCase(); return words.every((word) => text.includes(word)); }) : this.run.records;
      say(this.found, `${count(rows.length)} of ${count(this.run.records.length)} records`);
      this.grid.show(rows);
    }
  }
  class Output {
    constructor() {
      this.text = el("pre", { tabindex: 0, "aria-label": "What the program printed" });
      this.value = el("div", {});
      this.node = el("div", {}, el("h2", {}, "Printed"), this.text, this.value);
    }
    show(run) {
      clear(this.text).append(...run.output.slice(0, 20000).map((record) => (record.stream === "err"
        ? el("span", { class: "error", title: "standard error" }, textOf(record.text) + cutMark(record.text)) : textOf(record.text) + cutMark(record.text))));
      if (!run.output.length) this.text.append("Nothing was printed.");
      if (run.output.length > 20000) this.text.append(`\n… [${count(run.output.length - 20000)} more pieces: see the log]`);
      clear(this.value);
      if (run.ended && textOf(run.ended.value)) this.value.append(el("h2", {}, "Value"), el("pre", { tabindex: 0 }, textOf(run.ended.value) + cutMark(run.ended.value)));
    }
  }
  class Errors {
    constructor(app) { this.app = app; this.node = el("div", {}); }
    show(run) {
      clear(this.node);
      const error = run.ended && run.ended.error;
      if (error) {
        this.node.append(el("h2", {}, `The run ended with ${error.kind ? `the limit ${error.kind}` : error.type || "an error"}`), el("pre", { class: "error" }, error.message || ""));
        if (error.line) this.node.append(el("p", {}, `${error.source || (run.started && run.started.name) || "program"}, line ${error.line}, column ${error.column || 1} `,
          el("button", { type: "button", click: () => this.app.choose("program") }, "Show the line")));
        if (error.hint) this.node.append(el("p", {}, error.hint));
        if (error.backtrace && error.backtrace.length) this.node.append(el("h3", {}, "Backtrace"), el("pre", {}, error.backtrace.map((frame) => `in ${frame}`).join("\n")));
      }
      const failed = run.list.filter((call) => statusOf(call) === "failed");
      if (failed.length) {
        this.node.append(el("h2", {}, `${count(failed.length)} failed call${failed.length === 1 ? "" : "s"}`), el("table", {}, el("tbody", {}, ...failed.slice(0, 500).map((call) => el("tr", {},
          el("td", {}, el("button", { type: "button", click: () => this.app.open(call, failed) }, `call ${call.number}`)), el("td", {}, modelOf(call)), el("td", {}, call.asked.line ? `line ${call.asked.line}` : ""),
          el("td", {}, `${call.tries.length || 1} tr${call.tries.length > 1 ? "ies" : "y"}`), el("td", {}, oneLine(call.ended.error || "", 400)))))));
      }
      const retried = run.list.filter((call) => statusOf(call) !== "failed" && call.tries.some((attempt) => !attempt.status || attempt.status >= 400));
      if (retried.length) this.node.append(el("h2", {}, `${count(retried.length)} call${retried.length === 1 ? "" : "s"} succeeded after a failed try`), el("p", {}, ...retried.slice(0, 500).flatMap((call) => [
        el("button", { type: "button", click: () => this.app.open(call, retried) }, `call ${call.number}: ${call.tries.map((attempt) => attempt.status || "no answer").join(", ")}`), " "])));
      for (const warning of (run.ended && run.ended.warnings) || []) this.node.append(el("p", { class: "queued" }, `warning: ${warning}`));
      if (!this.node.childNodes.length) this.node.append(el("p", { class: "faint" }, run.ended ? "Nothing went wrong." : "Nothing has gone wrong so far."));
    }
  }

  /* ---- compare two runs ---- */
  class Compare {
    constructor(app) {
      this.app = app;
      this.choice = el("select", { "aria-label": "The other run", change: () => this.pick() });
      this.file = el("input", { type: "file", accept: ".jsonl,.json,.ndjson", "aria-label": "A log of another run", change: () => this.load() });
      this.said = el("span", { role: "status", class: "faint" });
      this.place = el("div", {});
      this.grid = new Grid("Calls of both", [
        { title: "call", class: "w110", text: (p) => `${p.a ? p.a.number : "–"} / ${p.b ? p.b.number : "–"}` },
        { title: "status", class: "w180", text: (p) => `${p.a ? statusOf(p.a) : "–"} / ${p.b ? statusOf(p.b) : "–"}` },
        { title: "took", class: "w180", text: (p) => `${p.a ? seconds(tookOf(p.a)) : "–"} / ${p.b ? seconds(tookOf(p.b)) : "–"}` },
        { title: "tokens", class: "w140", text: (p) => `${p.a ? count(tokensOf(p.a)) : "–"} / ${p.b ? count(tokensOf(p.b)) : "–"}` },
        { title: "answers", class: "w110", text: (p) => p.same, tone: (p) => (p.same === "other" ? "error" : "") },
        { title: "asked", class: "wide", text: (p) => oneLine(`${textOf((p.a || p.b).asked.instruction)} ${textOf((p.a || p.b).asked.data)}`, 140) },
      ], { pick: (pair) => app.pair(pair) });
      this.node = el("div", { class: "column" }, el("div", { class: "bar" }, el("label", {}, "Other run ", this.choice), el("label", {}, "or a log ", this.file), this.said), this.place, this.grid.node);
    }
    show(run) {
      this.run = run;
      offer(this.choice, [["", "choose"], ...this.app.names().filter(([id]) => id !== run.id)]);
      if (this.other) this.draw();
      else this.grid.node.hidden = true;
    }
    async pick() { if (this.choice.value) { this.other = await this.app.fetched(this.choice.value); this.draw(); } }
    async load() {
      const [file] = this.file.files;
      if (!file) return;
      if (file.size > 256 * 2 ** 20) { this.said.textContent = "that log has more than 256 MiB"; return; }
      const runs = new Map();
      let bad = 0;
      for (const line of (await file.text()).split("\n")) {
        if (!line.trim()) continue;
        try {
          const record = JSON.parse(line);
          if (!acceptable(record)) { bad++; continue; }
          if (!runs.has(record.run)) runs.set(record.run, new Run(record.run));
          runs.get(record.run).add(record);
        } catch { bad++; }
      }
      this.said.textContent = runs.size ? `${runs.size} run${runs.size === 1 ? "" : "s"} in it; the last is shown${bad ? `; ${count(bad)} lines could not be read` : ""}` : "this is no run log";
      this.other = [...runs.values()].pop() || this.other;
      if (this.other) this.draw();
    }
    draw() {
      const a = this.run, b = this.other, ta = totals(a), tb = totals(b);
      const rows = [["status", a.status, b.status], ["time", seconds(ta.seconds), seconds(tb.seconds)], ["calls", count(ta.calls), count(tb.calls)], ["failed calls", count(ta.failed), count(tb.failed)],
        ["tokens", count(ta.tokens), count(tb.tokens)], ["cost", money(ta.cost), money(tb.cost)], ["models", [...colours(a).keys()].join(", "), [...colours(b).keys()].join(", ")],
        ["program", "", a.started && b.started && textOf(a.started.program) === textOf(b.started.program) ? "the same" : "another"],
        ["value", oneLine(a.ended ? textOf(a.ended.value) : "", 200), oneLine(b.ended ? textOf(b.ended.value) : "", 200)]];
      clear(this.place).append(el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), el("th", { scope: "col" }, `this run (${a.id})`), el("th", { scope: "col" }, `the other (${b.id})`))),
        el("tbody", {}, ...rows.map(([name, left, right]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, left), el("td", { class: left && left !== right ? "queued" : "" }, right))))));
      const waiting = new Map();
      const key = (call) => `${opOf(call)}\n${textOf(call.asked.instruction)}\n${textOf(call.asked.data)}`;
      for (const call of b.list) { const k = key(call); if (!waiting.has(k)) waiting.set(k, []); waiting.get(k).push(call); }
      const pairs = a.list.map((call) => ({ a: call, b: (waiting.get(key(call)) || []).shift() || null }));
      for (const rest of waiting.values()) for (const call of rest) pairs.push({ a: null, b: call });
      for (const pair of pairs) pair.same = !pair.a || !pair.b ? "only one" : !pair.a.ended || !pair.b.ended ? "" : textOf(pair.a.ended.answer) === textOf(pair.b.ended.answer) ? "same" : "other";
      this.grid.node.hidden = false;
      this.grid.show(pairs);
    }
  }

  /* What is read from a log may be anything: a field of another shape than its own is left out. */
  const SHAPES = {
    number: Number.isFinite,
    string: (v) => typeof v === "string",
    boolean: (v) => typeof v === "boolean",
    text: (v) => typeof v === "string" || (SHAPES.table(v) && typeof v.text === "string" && Number.isInteger(v.length ?? 0)),
    numbers: (v) => Array.isArray(v) && v.every(Number.isFinite),
    strings: (v) => Array.isArray(v) && v.every(SHAPES.string),
    list: Array.isArray,
    table: (v) => v !== null && typeof v === "object" && !Array.isArray(v),
    failure: (v) => SHAPES.table(v) && Boolean(shaped(v, settings.schema.failure)),
  };
  function shaped(value, fields) {
    for (const [name, shape] of Object.entries(fields))
      if (Object.hasOwn(value, name) && value[name] !== null && !SHAPES[shape](value[name])) delete value[name];
    return value;
  }
  function acceptable(record) {
    if (!SHAPES.table(record) || typeof record.type !== "string" || typeof record.run !== "string" || !Number.isFinite(record.at)) return false;
    if (Object.hasOwn(settings.schema, record.type)) shaped(record, settings.schema[record.type]);
    return true;
  }

  /* ---- the app ---- */
  const app = {
    runs: new Map(), listed: new Map(), current: null, views: {}, open_: "timeline", highlighted: new Map(),
    tokens(run, execution) { return this.highlighted.get(`${run} ${execution}`); },
    take(records) {
      for (const record of records) {
        if (!acceptable(record)) continue;
        let run = this.runs.get(record.run);
        if (!run) { run = new Run(record.run); run.live = settings.live; this.runs.set(record.run, run); }
        run.add(record);
      }
    },
    names() {
      const all = new Map(this.listed);
      for (const run of this.runs.values()) all.set(run.id, `${run.started ? run.started.name || "program" : "run"} · ${run.status} · ${new Date(run.first * 1000).toLocaleTimeString()} · ${run.id.slice(0, 8)}`);
      return [...all];
    },
    async fetched(id) {
      if (this.runs.has(id)) return this.runs.get(id);
      const answer = await fetch(`records?run=${encodeURIComponent(id)}`);
      this.take(await answer.json());
      return this.runs.get(id);
    },
    filterLine(line) { this.views.timeline.filter.line = line; this.choose("timeline"); },
    choose(name) {
      this.open_ = name;
      for (const key of Object.keys(this.views)) {
        const tab = $(`tab-${key}`), here = key === name;
        tab.setAttribute("aria-selected", here);
        tab.tabIndex = here ? 0 : -1;
        $(`panel-${key}`).hidden = !here;
      }
      this.draw(true);
    },
    draw(all) {
      if (this.drawing && !all) return;
      this.drawing = true;
      requestAnimationFrame(() => {
        this.drawing = false;
        const run = this.current;
        if (!run) { head(null); return; }
        head(run);
        const view = this.views[this.open_];
        if (all || view.drawn !== run.version || view.of !== run || (!run.ended && view === this.views.timeline)) {
          const panel = $(`panel-${this.open_}`), reached = () => [...panel.querySelectorAll("button, input, select, [tabindex]")];
          const focused = reached().indexOf(document.activeElement);
          view.drawn = run.version;
          view.of = run;
          view.show(run);
          const again = focused >= 0 && document.activeElement === document.body ? reached()[focused] : null;
          if (again) again.focus({ preventScroll: true }); // what had the keyboard was made anew
        }
      });
    },
    open(call, among) {
      const at = among.indexOf(call), run = this.current, asked = call.asked, ended = call.ended || {};
      const facts = [["model", modelOf(call)], ["status", statusOf(call)], ["op", opOf(call)], ["fiber", `${call.execution ? `child ${call.execution}, ` : ""}${call.fiber || 0}`],
        ["line", asked.line ? `${asked.line}, column ${asked.column || 1}` : ""], ["asked for", asked.model || ""], ["waited", call.sent ? seconds(call.sent - call.queued) : ""], ["took", seconds(tookOf(call))],
        ["first byte after", call.tries.length && call.sent ? seconds(call.tries[call.tries.length - 1].at - call.sent) : ""], ["tries", call.tries.map((attempt) => attempt.status || "no answer").join(", ")],
        ["tokens", `${count(ended.prompt_tokens)} + ${count(ended.completion_tokens)}`], ["cost", money(costOf(call))], ["reserved", asked.reserved_tokens ? `${count(asked.reserved_tokens)} tokens${asked.reserved_usd ? `, ${money(asked.reserved_usd)}` : ""}` : ""],
        ["cached", ended.cached ? "yes" : ""], ["finish reason", ended.finish_reason || ""], ["temperature", asked.temperature === undefined ? "" : String(asked.temperature)], ["max tokens", asked.max_tokens ? count(asked.max_tokens) : ""],
        ["images", asked.images ? count(asked.images) : ""], ["depth", asked.depth ? String(asked.depth) : ""], ["of recursive call", asked.parent ? String(asked.parent) : ""], ["prompt made of", (asked.made_from || []).map((n) => `call ${n}`).join(", ")]];
      const texts = [["Instruction", asked.instruction], ["Data", asked.data], ["Answer", ended.answer]].filter(([, text]) => textOf(text));
      if (ended.error) texts.push(["Error", ended.error]);
      for (const program of run.programs) if (program.call === call.number) texts.push(["Program asked for", program.instruction], ["Program written", program.answer]);
      for (const [number, child] of run.children) if (child.started.call === call.number) texts.push([`Program of child ${number} (${child.ended ? child.ended.status || "ok" : "running"})`, child.started.program]);
      this.dialog(`Call ${call.number}`, [
        el("dl", { class: "facts" }, ...facts.filter(([, v]) => v).map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, v)))),
        ...texts.flatMap(([name, text]) => [el("h3", {}, `${name} (${count(lengthOf(text))} characters)`), el("pre", { tabindex: 0 }, textOf(text) + cutMark(text))]),
        ...chunksOf(run, call).flatMap((chunk) => [el("h3", {}, `${chunk.name}, characters ${count(chunk.start)} to ${count(chunk.end)}`), el("pre", {}, chunk.before, el("mark", {}, chunk.text), chunk.after)]),
      ], [
        el("button", { type: "button", disabled: at <= 0, click: () => this.open(among[at - 1], among) }, "Previous"),
        el("button", { type: "button", disabled: at < 0 || at >= among.length - 1, click: () => this.open(among[at + 1], among) }, "Next"),
        asked.line ? el("button", { type: "button", click: () => { $("dialog").close(); this.views.program.choice.value = call.execution; this.choose("program"); } }, "Its line") : null,
      ]);
    },
    record(record, run) {
      const call = record.call && run.calls.get(record.call);
      if (call && record.type.startsWith("call_")) { this.open(call, run.list); return; }
      this.dialog(record.type.replaceAll("_", " "), [el("pre", { tabindex: 0 }, JSON.stringify(record, null, 2))], []);
    },
    pair(pair) {
      const side = (call) => (call ? el("section", {}, el("h3", {}, `call ${call.number} · ${modelOf(call)} · ${statusOf(call)}`), el("pre", {}, textOf(call.ended && call.ended.answer) || (call.ended && call.ended.error) || "")) : el("section", {}, "there is no such call"));
      this.dialog("The same call in both runs", [el("pre", {}, `${textOf((pair.a || pair.b).asked.instruction)}\n\n${textOf((pair.a || pair.b).asked.data)}`), el("div", { class: "two" }, side(pair.a), side(pair.b))], []);
    },
    dialog(title, content, buttons) {
      const dialog = $("dialog");
      clear(dialog).append(el("div", { class: "inside" }, el("div", { class: "bar" }, el("h2", { id: "dialog-title" }, title), el("span", { class: "spacer" }), ...buttons.filter(Boolean),
        el("button", { type: "button", click: () => dialog.close() }, "Close")), ...content));
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
    },
  };

  function head(run) {
    const stats = $("stats"), status = $("status");
    if (!run) {
      $("name").textContent = "rlm-wasm";
      say(status, settings.live ? "no run yet" : "empty");
      status.className = "pill queued";
      clear(stats).append(el("p", { class: "faint" }, settings.live ? "A run appears here as soon as it begins." : "This log holds no run."));
      return;
    }
    const t = totals(run), limits = run.limits;
    $("name").textContent = (run.chapter ? `${run.chapter} · ` : "") + ((run.started && run.started.name) || "program");
    document.title = `${(run.started && run.started.name) || "program"} · ${run.status} · rlm-wasm`;
    const unfinished = !run.ended && !run.live;
    say(status, unfinished ? "not ended" : run.status);
    status.className = `pill ${run.status}`;
    $("ident").textContent = `${run.id} · ${run.started ? `${run.started.provider || ""}${run.started.model ? `, ${run.started.model}` : ""} · ` : ""}${new Date(run.first * 1000).toLocaleString()}`;
    const stat = (name, value, used, limit) => el("div", { class: "stat" }, el("dt", {}, name), el("dd", {}, value,
      limit ? el("meter", { min: 0, max: limit, value: Math.min(used || 0, limit), high: limit * 0.9, "aria-label": `${name}: ${used} of ${limit}` }) : null));
    const expected = run.items && !run.ended ? Math.max(0, (run.items.announced || 0) - (run.items.begun || 0)) : 0;
    const all = t.calls + expected;
    clear(stats).append(
      stat("time", `${seconds(t.seconds)}${limits.timeout_s ? ` of ${seconds(limits.timeout_s)}` : ""}`, t.seconds, limits.timeout_s),
      stat("calls", `${count(t.done)} of ${count(all)}${t.failed ? `, ${count(t.failed)} failed` : ""}`, run.ended ? t.calls : t.done, run.ended ? limits.calls : all),
      stat("tokens", `${count(t.tokens)}${limits.tokens ? ` of ${count(limits.tokens)}` : ""}`, t.tokens, limits.tokens),
      stat("cost", `${money(t.cost)}${limits.cost_usd ? ` of ${money(limits.cost_usd)}` : ""}`, t.cost || 0, limits.cost_usd));
    if (run.ended && run.ended.fuel) stats.append(stat("fuel", count(run.ended.fuel), run.ended.fuel, limits.fuel));
    if (!run.ended && run.live && t.done && all > t.done) stats.append(stat("about left", seconds((t.seconds / t.done) * (all - t.done))));
    const value = run.ended && (run.ended.error ? run.ended.error.message : textOf(run.ended.value));
    if (value) stats.append(el("div", { class: "stat" }, el("dt", {}, run.ended.error ? "error" : "value"), el("dd", { class: run.ended.error ? "error" : "" }, oneLine(value, 90))));
  }
  let troublesTold = "[]";
  function troubles(told) {
    const key = JSON.stringify(told.slice(0, 20));
    if (key === troublesTold) return; // an alert is read out whenever it is written
    troublesTold = key;
    clear($("troubles")).append(...told.slice(0, 20).map((text) => el("div", { class: "trouble" }, String(text))));
  }
  function listRuns() {
    const names = app.names();
    $("which").hidden = names.length < 2;
    offer($("runs"), names);
    if (app.current) $("runs").value = app.current.id;
  }

  const settings = JSON.parse($("settings").textContent);
  app.views = { timeline: new Timeline(app), program: new Program(app), money: new Money(app), lineage: new Lineage(app), log: new Log(app), output: new Output(), errors: new Errors(app), compare: new Compare(app) };
  for (const [name, view] of Object.entries(app.views)) {
    $("tabs").append(el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, "aria-selected": false, tabindex: -1, click: () => app.choose(name) }, name[0].toUpperCase() + name.slice(1)));
    $("main").append(el("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, hidden: true }, view.node));
  }
  $("tabs").addEventListener("keydown", (event) => {
    const names = Object.keys(app.views), at = names.indexOf(app.open_);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    app.choose(names[(to + names.length) % names.length]);
    $(`tab-${app.open_}`).focus();
  });
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    app.draw(true);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.draw(true));
  $("runs").addEventListener("change", async () => {
    app.current = await app.fetched($("runs").value);
    if (settings.live) follow(app.current.id);
    app.draw(true);
  });
  for (const [key, tokens] of Object.entries(settings.tokens || {})) app.highlighted.set(key, tokens);
  troubles(settings.troubles || []);

  /* Of the page itself, or from the server: all records so far, then those that come. */
  let source = null;
  function follow(id) {
    if (source) source.close();
    const run = app.runs.get(id);
    if (run && run.ended) return;
    source = new EventSource(`events?run=${encodeURIComponent(id)}&after=${run ? run.records.length : 0}`);
    source.onmessage = (event) => {
      app.take(JSON.parse(event.data));
      if (!app.current || app.current.id === id) app.current = app.runs.get(id) || app.current;
      listRuns();
      app.draw(false);
    };
    source.addEventListener("tokens", (event) => { for (const [key, tokens] of Object.entries(JSON.parse(event.data))) app.highlighted.set(key, tokens); });
    source.addEventListener("end", () => { source.close(); app.draw(true); });
  }
  async function watch() {
    const told = await (await fetch("runs")).json();
    troubles(told.troubles || []);
    for (const item of told.runs) if (!app.runs.has(item.run)) app.listed.set(item.run, item.label);
    listRuns();
    const wanted = settings.run || (told.runs.length ? told.runs[0].run : null);
    if (!app.current && wanted) { app.current = app.runs.get(wanted) || null; follow(wanted); }
    else if (app.current && app.current.ended && told.runs.length && told.runs[0].run !== app.seen && !settings.run && app.seen === app.current.id) { app.current = null; follow(told.runs[0].run); }
    if (told.runs.length && !settings.run) app.seen = told.runs[0].run;
    app.draw(false);
  }
  if (settings.live) {
    watch();
    setInterval(() => { watch().catch(() => troubles(["the server has gone: what is shown is as it was"])); }, 2000);
    setInterval(() => { if (app.current && !app.current.ended) app.draw(false); }, 500);
  } else {
    const records = $("records");
    app.take(records ? JSON.parse(records.textContent) : []);
    app.current = [...app.runs.values()].pop() || null;
    listRuns();
  }
  window.rlmView = app;
  app.choose(location.hash.slice(1) in app.views ? location.hash.slice(1) : "timeline");
})();
