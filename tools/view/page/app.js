// The page: one selected event, one search, and whatever shows them.
class App {
  static keys = [
    ["← →", "the event before, after"],
    ["↑ ↓", "the same within the lane: the connection, or the ring"],
    ["j", "jump from a CQE to its SQE, and from an SQE to its CQE"],
    ["e", "to the failure"],
    ["x  X", "to the next fault, to the one before"],
    ["/", "search; Enter and Shift+Enter walk through what was found"],
    ["n  N", "next match, previous match"],
    ["+  −", "zoom in, out; also w, s, or Ctrl and the wheel"],
    ["a  d", "move left, right; also Shift and the wheel, or drag"],
    ["0", "the whole run"],
    ["t", "axis: by order, by time"],
    ["f", "only the selected connection, or all"],
    ["Home End", "first event, last event"],
    ["Esc", "leave the search, forget it"],
    ["?", "this"],
  ];
  static signs = [
    ["turn", "a shard runs, between two calls of io_uring_enter"],
    ["call", "its ring's thread is in the kernel, or sleeps there"],
    ["receive", "a receive, from its SQE (|) to its CQEs (◀); on its ring SQEs are ▼ and CQEs ▲"],
    ["send", "a send"],
    ["cancel", "a cancel"],
    ["other", "another request: accept, poll, shutdown, close"],
    ["peer", "what the client's end does: sends (▼), reads (△), connects, leaves (■)"],
    ["stream", "what the kernel does with the stream: received (●), sent (○), accepted, closed"],
    ["note", "what the scenario saw: a command executed (■), a reply and others (□)"],
    ["fault", "a fault injected: a choice that was not benign"],
    ["decision", "a choice of the world: who goes first, when an interrupt comes"],
    ["failure", "the broken rule"],
  ];

  constructor(run) {
    this.run = run;
    this.state = { selected: null, hovered: null, hits: new Set() };
    this.hits = [];
    this.axis = new Axis(run);
    this.layout = new Layout(run);
    this.timeline = new Timeline(byId("timeline"), run, this.axis, this.layout, this.state);
    this.overview = new Overview(byId("overview"), this.timeline);
    this.list = new EventList(byId("list"), byId("rows"), run, this.state, (index) => this.select(index));
    this.panel = new Panel(byId("panel"), run, (index) => this.select(index));
    this.writeHead();
    this.writeHelp();
    this.listen();
    this.resize();
    this.start();
  }

  // --- The head.

  writeHead() {
    const { head, failure } = this.run;
    const verdict = byId("verdict");
    const when = (text) => element("span", { class: "when" }, text);
    if (failure) {
      document.querySelector("header").classList.add("failed");
      verdict.append(element("strong", {}, failure.invariant), when(` at ${formatTime(failure.time)} of virtual time`));
      byId("seen").textContent = failure.detail;
      document.title = `${failure.invariant} at ${formatTime(failure.time)}: ${head.scenario}, seed ${head.seed}`;
    } else {
      verdict.append("No rule was broken", when(` in ${formatTime(head.time)} of virtual time`));
      document.title = `${head.scenario}, seed ${head.seed}: no rule was broken`;
    }
    byId("replay").textContent = head.replay;
    const leftOut = head.left_out > 0 ? ` (the first ${head.left_out.toLocaleString("en")} left out)` : "";
    for (const [name, value] of [
      ["scenario", head.scenario], ["seed", head.seed], ["strategy", head.strategy],
      ["events", head.events.toLocaleString("en") + leftOut],
      ["faults", this.run.faults.length.toLocaleString("en")],
      ["choices of the world", this.run.decisions.length.toLocaleString("en")], ["event hash", head.hash],
    ]) {
      byId("head").append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    }
    byId("to-failure").disabled = !failure;
    byId("next-fault").disabled = byId("previous-fault").disabled = this.run.faults.length === 0;
  }

  writeHelp() {
    const keys = App.keys.map(([names, what]) => element(
        "tr", {}, element("td", {}, ...names.split(/ +/).map((name) => element("kbd", {}, name))), element("td", {}, what)));
    const signs = App.signs.map(([name, what]) => {
      const dot = element("span", { class: "dot", style: `background: var(--${name})` });
      return element("tr", {}, element("td", {}, dot), element("td", {}, what));
    });
    byId("help").append(
        element("div", { class: "columns" },
                element("div", {}, element("h2", {}, "Keys"), element("table", {}, ...keys)),
                element("div", {}, element("h2", {}, "Signs"), element("table", {}, ...signs))),
        element("form", { method: "dialog" }, element("button", {}, "close")));
  }

  // --- The start: at the failure, with what led to it in view; or the whole run.

  start() {
    this.setAxis("order");
    const { run, timeline } = this;
    if (run.count === 0) return this.panel.showNothing();
    const asked = /^#event=(\d+)$/.exec(location.hash);
    const index = asked ? run.indexOfNumber(Number(asked[1])) : run.failure ? run.failure.event : 0;
    timeline.fit();
    if (asked || run.failure) {
      timeline.scale = Math.max(timeline.scale, 9);
      timeline.left = this.axis.place(index) - timeline.room * 0.8 / timeline.scale;
      timeline.clamp();
    }
    this.select(index);
  }

  // --- What can be done.

  select(index) {
    const { run } = this;
    if (run.count === 0) return;
    index = Math.min(run.count - 1, Math.max(0, index));
    this.state.selected = index;
    document.body.dataset.event = run.numbers[index];
    this.noteInAddress(run.numbers[index]);
    const lane = run.connectionLane(index);
    if (this.layout.only !== null && lane !== null && lane !== this.layout.only) this.focusLane(lane);
    this.panel.show(index);
    this.timeline.reveal(index);
    this.list.reveal(index);
    byId("announce").textContent = run.line(index);
    byId("focus-lane").disabled = lane === null && this.layout.only === null;
    this.draw();
  }

  // So that a reload, or somebody who is sent the page's address, sees the same event. Browsers refuse many changes in a
  // row: only where the walk has stopped.
  noteInAddress(number) {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => history.replaceState(null, "", `#event=${number}`), 300);
  }

  step(by) { if (this.state.selected !== null) this.select(this.state.selected + by); }

  // To the next event of the same connection, or of the same lane.
  stepInLane(by) {
    const { run } = this;
    const lane = run.connectionLane(this.state.selected);
    const same = (index) => lane === null ? run.laneOf[index] === run.laneOf[this.state.selected]
                                          : run.connectionLane(index) === lane;
    for (let index = this.state.selected + by; index >= 0 && index < run.count; index += by) {
      if (same(index)) return this.select(index);
    }
  }

  jump() {
    const partner = this.run.partner(this.state.selected);
    if (partner !== null) this.select(partner);
  }

  toFailure() { if (this.run.failure) this.select(this.run.failure.event); }

  toFault(by) { this.walk(this.run.faults, by); }

  // To the next of some events, in order, around the end.
  walk(events, by) {
    if (events.length === 0) return;
    const at = lowerBound(events, this.state.selected + (by > 0 ? 1 : 0), 0, events.length);
    this.select(events[(at + (by > 0 ? 0 : -1) + events.length) % events.length]);
  }

  search(query) {
    const number = /^#(\d+)$/.exec(query.trim());
    this.hits = number ? [this.run.indexOfNumber(Number(number[1]))] : this.run.search(query);
    this.state.hits = new Set(this.hits);
    this.writeHits();
    this.draw();
  }

  toHit(by) {
    this.walk(this.hits, by);
    this.writeHits();
  }

  writeHits() {
    const at = this.hits.indexOf(this.state.selected);
    const found = this.hits.length.toLocaleString("en");
    byId("hits").textContent = byId("search").value.trim() === "" ? "" : at >= 0 ? `${at + 1} of ${found}` : `${found} found`;
    byId("next-hit").disabled = byId("previous-hit").disabled = this.hits.length === 0;
  }

  setAxis(mode) {
    const { timeline, axis } = this;
    const { selected } = this.state;
    const x = selected === null ? null : timeline.x(axis.place(selected));
    axis.mode = mode;
    if (x !== null) timeline.left = axis.place(selected) - (x - Timeline.labels) / timeline.scale;
    timeline.clamp();
    byId("axis").textContent = `axis: ${mode}`;
    this.draw();
  }

  focusLane(lane) {
    this.layout.showOnly(lane);
    this.list.filter(lane);
    byId("focus-lane").setAttribute("aria-pressed", String(lane !== null));
    this.timeline.clamp();
    if (this.state.selected !== null) {
      this.timeline.reveal(this.state.selected);
      this.list.reveal(this.state.selected);
    }
    this.draw();
  }

  toggleFocus() {
    this.focusLane(this.layout.only === null ? this.run.connectionLane(this.state.selected) : null);
  }

  zoom(factor) {
    const { timeline } = this;
    const x = this.state.selected === null ? NaN : timeline.x(this.axis.place(this.state.selected));
    timeline.zoom(factor, x > Timeline.labels && x < timeline.width ? x : undefined);
    this.draw();
  }

  fit() {
    this.timeline.fit();
    this.draw();
  }

  showHelp() { byId("help").showModal(); }

  async copyCommand() {
    const { head } = this.run;
    try {
      await navigator.clipboard.writeText(head.replay);
      byId("copy").textContent = "copied";
    } catch {
      getSelection().selectAllChildren(byId("replay"));  // Where a page may not copy, a person does.
    }
  }

  // --- Keys, pointer, size.

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const inSearch = event.target === byId("search");
    if (inSearch) {
      if (event.key === "Enter") this.toHit(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") this.leaveSearch();
      else return;
      event.preventDefault();
      return;
    }
    const actions = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      ArrowUp: () => this.stepInLane(-1), ArrowDown: () => this.stepInLane(1),
      Home: () => this.select(0), End: () => this.select(this.run.count - 1),
      j: () => this.jump(), e: () => this.toFailure(),
      x: () => this.toFault(1), X: () => this.toFault(-1),
      n: () => this.toHit(1), N: () => this.toHit(-1),
      "/": () => byId("search").select(), "?": () => this.showHelp(),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), w: () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5), s: () => this.zoom(1 / 1.5),
      a: () => this.pan(-this.timeline.room / 6), d: () => this.pan(this.timeline.room / 6),
      0: () => this.fit(), t: () => this.setAxis(this.axis.mode === "order" ? "time" : "order"),
      f: () => this.toggleFocus(), Escape: () => this.leaveSearch(),
    };
    const action = actions[event.key];
    if (!action || this.run.count === 0) return;
    event.preventDefault();
    action();
  }

  pan(pixels) {
    this.timeline.pan(pixels, 0);
    this.draw();
  }

  leaveSearch() {
    byId("search").value = "";
    this.search("");
    byId("timeline").focus();
  }

  listen() {
    document.addEventListener("keydown", (event) => this.onKey(event));
    const click = (id, action) => byId(id).addEventListener("click", action);
    click("previous-hit", () => this.toHit(-1));
    click("next-hit", () => this.toHit(1));
    click("to-failure", () => this.toFailure());
    click("previous-fault", () => this.toFault(-1));
    click("next-fault", () => this.toFault(1));
    click("zoom-in", () => this.zoom(1.5));
    click("zoom-out", () => this.zoom(1 / 1.5));
    click("fit", () => this.fit());
    click("axis", () => this.setAxis(this.axis.mode === "order" ? "time" : "order"));
    click("focus-lane", () => this.toggleFocus());
    click("help-button", () => this.showHelp());
    click("copy", () => this.copyCommand());
    byId("search").addEventListener("input", (event) => this.search(event.target.value));
    this.listenToTimeline();
    this.listenToOverview();
    new ResizeObserver(() => this.resize()).observe(byId("stage"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.timeline.readColours();
      this.draw();
    });
  }

  listenToTimeline() {
    const canvas = byId("timeline");
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.offsetX, y: event.offsetY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag === null) return this.hover(event.offsetX, event.offsetY);
      const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      drag = { x: event.offsetX, y: event.offsetY, moved: true };
      this.hover(null);
      this.timeline.pan(-dx, -dy);
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      const clicked = drag !== null && !drag.moved;
      drag = null;
      if (!clicked) return;
      const index = this.timeline.eventAt(event.offsetX, event.offsetY);
      if (index !== null) this.select(index);
    });
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? 18 : 1;
      if (event.ctrlKey) {
        this.timeline.zoom(Math.exp(-event.deltaY * pixels * 0.0025), event.offsetX);
      } else if (event.shiftKey) {
        this.timeline.pan((event.deltaX || event.deltaY) * pixels, 0);
      } else {
        this.timeline.pan(event.deltaX * pixels, event.deltaY * pixels);
      }
      this.draw();
    }, { passive: false });
  }

  listenToOverview() {
    const canvas = byId("overview");
    const move = (event) => {
      const place = this.overview.placeAt(event.offsetX);
      this.timeline.left = place - this.timeline.room / 2 / this.timeline.scale;
      this.timeline.clamp();
      this.draw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons !== 0) move(event); });
  }

  hover(x, y) {
    const index = x === null ? null : this.timeline.eventAt(x, y);
    const tip = byId("tip");
    tip.hidden = index === null;
    if (index !== null) {
      const bytes = this.run.bytesOf(index);
      tip.replaceChildren(this.run.line(index));
      if (bytes) {
        const text = printable(bytes[1].slice(0, 96)) + (bytes[0] > 96 ? " ..." : "");
        tip.append(element("br"), element("span", { class: "bytes" }, text));
      }
      const { width, height } = this.timeline;
      tip.style.left = `${Math.max(4, Math.min(x + 14, width - tip.offsetWidth - 8))}px`;
      tip.style.top = `${y + 22 + tip.offsetHeight > height ? y - tip.offsetHeight - 12 : y + 18}px`;
    }
    if (index === this.state.hovered) return;
    this.state.hovered = index;
    this.draw();
  }

  resize() {
    this.timeline.resize();
    this.overview.resize();
    this.paint();  // At once: a canvas that changes its size is empty.
  }

  // Once a frame, however much changes.
  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.paint();
    });
  }

  paint() {
    this.timeline.draw();
    this.overview.draw();
    this.list.draw();
  }
}

function byId(id) { return document.getElementById(id); }

// For the console, and for tests.
window.orrery = new App(new Run(JSON.parse(byId("data").textContent)));
