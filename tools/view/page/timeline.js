// The timeline: a canvas that draws what is in view and nothing else, and says what is under the pointer. The view is
// `left` and `scale` along the axis, `top` down the lanes.
class Timeline {
  static labels = 92;   // Pixels for the names of lanes.
  static ruler = 30;    // For the time.
  static before = 12;   // In front of the first event.
  static reach = 9;     // How near the pointer has to be.
  static scaleMax = 60; // Pixels for each unit of the axis.

  constructor(canvas, run, axis, layout, state) {
    Object.assign(this, { canvas, run, axis, layout, state });
    this.context = canvas.getContext("2d");
    this.left = 0;
    this.scale = 1;
    this.top = 0;
    this.readColours();
    this.resize();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = new Proxy({}, {
      get: (known, name) => known[name] ??= style.getPropertyValue("--" + name).trim(),
    });
  }

  resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(200, Math.floor(box.width));
    this.height = Math.max(80, Math.floor(box.height));
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.clamp();
  }

  // --- The view.

  get room() { return this.width - Timeline.labels; }
  // Pixels behind the last event: where the name of the broken rule is.
  get after() { return this.run.failure ? 150 : 24; }
  get right() { return this.left + this.room / this.scale; }
  get scaleMin() { return Math.min(Timeline.scaleMax, (this.room - Timeline.before - this.after) / this.axis.width); }
  // A tall pinned part would leave no room for the rest: then nothing is.
  get pinned() { return this.layout.pinned < (this.height - Timeline.ruler) * 0.6 ? this.layout.pinned : 0; }
  isPinned(band) { return band.pinned && this.pinned > 0; }
  x(place) { return Timeline.labels + (place - this.left) * this.scale; }
  placeAt(x) { return this.left + (x - Timeline.labels) / this.scale; }
  y(band, layoutY = band.y) { return Timeline.ruler + layoutY - (this.isPinned(band) ? 0 : this.top); }
  pointY(band) { return this.y(band, this.layout.pointY(band)); }
  requestY(band, request) { return this.y(band, this.layout.requestY(band, request)); }

  clamp() {
    this.scale = Math.min(Timeline.scaleMax, Math.max(this.scaleMin, this.scale));
    const low = -Timeline.before / this.scale;
    const high = Math.max(low, this.axis.width + (this.after - this.room) / this.scale);
    this.left = Math.min(high, Math.max(low, this.left));
    const tall = this.layout.height - (this.height - Timeline.ruler);
    this.top = Math.min(Math.max(0, tall), Math.max(0, this.top));
  }

  zoom(factor, x = Timeline.labels + this.room / 2) {
    const place = this.placeAt(x);
    this.scale = Math.min(Timeline.scaleMax, Math.max(this.scaleMin, this.scale * factor));
    this.left = place - (x - Timeline.labels) / this.scale;
    this.clamp();
  }

  fit() {
    this.scale = this.scaleMin;
    this.left = -Timeline.before / this.scale;
    this.clamp();
  }

  pan(pixelsX, pixelsY) {
    this.left += pixelsX / this.scale;
    this.top += pixelsY;
    this.clamp();
  }

  // Brings an event into view.
  reveal(index) {
    const place = this.axis.place(index);
    const x = this.x(place);
    if (x < Timeline.labels + 20 || x > this.width - 20) {
      this.left = place - this.room / 2 / this.scale;
    }
    const lane = this.run.connectionLane(index) ?? this.run.laneOf[index];
    const band = this.layout.bandOf.get(lane);
    if (band && !this.isPinned(band)) {
      const above = Timeline.ruler + this.pinned;
      const y = this.y(band);
      if (y < above) this.top -= above - y;
      else if (y + band.height > this.height) this.top += Math.min(y + band.height - this.height, y - above);
    }
    this.clamp();
  }

  // --- What is where.

  // Where a mark of an event is: of an SQE or CQE the one on its connection.
  position(index) {
    const request = this.run.request(index);
    if (request) {
      const band = this.layout.bandOf.get(request.connection ?? request.ring);
      if (band) {
        return [this.x(this.axis.place(index)), this.requestY(band, this.run.requestOf[index])];
      }
    }
    const band = this.layout.bandOf.get(this.run.laneOf[index]);
    return band ? [this.x(this.axis.place(index)), this.pointY(band)] : null;
  }

  // The event under a point of the canvas, or null.
  eventAt(x, y) {
    if (x < Timeline.labels || y < Timeline.ruler) return null;
    const pinned = y - Timeline.ruler < this.pinned;
    const layoutY = y - Timeline.ruler + (pinned ? 0 : this.top);
    const band = this.layout.bandAt(layoutY);
    if (!band) return null;
    const inside = layoutY - band.y - Layout.padding;
    if (inside <= band.points) return this.nearest(this.layout.eventsIn[band.lane], x);
    return this.requestEventAt(band, Math.floor((inside - band.points) / Layout.requestRow), x);
  }

  nearest(events, x) {
    const place = this.placeAt(x);
    let low = 0;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.axis.place(events[middle]) < place) low = middle + 1; else high = middle;
    }
    let best = null;
    let bestDistance = Timeline.reach;
    for (const candidate of [low - 1, low]) {
      if (candidate < 0 || candidate >= events.length) continue;
      const distance = Math.abs(this.x(this.axis.place(events[candidate])) - x);
      if (distance <= bestDistance) [best, bestDistance] = [events[candidate], distance];
    }
    return best;
  }

  requestEventAt(band, row, x) {
    for (const index of this.layout.requestsIn[band.lane]) {
      if (this.layout.rowOf[index] !== row) continue;
      const request = this.run.requests[index];
      const from = this.x(this.axis.place(request.submitted));
      const to = this.x(this.axis.place(request.end));
      if (x < from - Timeline.reach || x > to + Timeline.reach) continue;
      return this.nearest([request.submitted, ...request.completed], x) ?? request.submitted;
    }
    return null;
  }

  // --- Drawing.

  draw() {
    const { context } = this;
    context.clearRect(0, 0, this.width, this.height);
    context.fillStyle = this.colours.paper;
    context.fillRect(0, 0, this.width, this.height);
    [this.first, this.last] = this.axis.range(this.left - 1, this.right + 1);
    const inView = this.layout.bands.filter((band) => this.y(band) + band.height > Timeline.ruler && this.y(band) < this.height);
    this.drawPart(Timeline.ruler + this.pinned, this.height, inView.filter((band) => !this.isPinned(band)));
    this.drawPart(Timeline.ruler, Timeline.ruler + this.pinned, inView.filter((band) => this.isPinned(band)));
    this.drawAcross();
    this.drawRuler();
  }

  // Some lanes, between two heights.
  drawPart(from, to, bands) {
    if (to <= from) return;
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(0, from, this.width, to - from);
    context.clip();
    for (const band of bands) this.drawBand(band);
    context.beginPath();
    context.rect(Timeline.labels, from, this.room, to - from);
    context.save();
    context.clip();
    this.drawInstants(from, to);
    for (const band of bands) {
      this.drawCalls(band);
      this.drawRequests(band);
      this.drawDecisions(band);
      this.drawPoints(band);
    }
    context.restore();
    for (const band of bands) this.drawLabel(band);
    context.restore();
  }

  // What goes across the lanes.
  drawAcross() {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(Timeline.labels, Timeline.ruler, this.room, this.height);
    context.clip();
    this.drawFailure();
    this.drawJoin();
    this.drawSelection();
    context.restore();
    context.fillStyle = this.colours.line;
    context.fillRect(Timeline.labels - 1, Timeline.ruler, 1, this.height);
    if (this.pinned > 0) context.fillRect(0, Timeline.ruler + this.pinned - 1, this.width, 1);
  }

  drawBand(band) {
    const { context, run } = this;
    context.fillStyle = band.odd ? this.colours.band : this.colours.paper;
    context.fillRect(0, this.y(band), this.width, band.height);
    if (this.state.selected !== null && run.connectionLane(this.state.selected) === band.lane) {
      context.fillStyle = this.colours["select-soft"];
      context.fillRect(0, this.y(band), Timeline.labels, band.height);
    }
  }

  drawLabel(band) {
    const { context, run, colours } = this;
    const failed = run.failure && run.failure.lane === band.lane;
    context.font = `${failed ? "600 " : ""}12px system-ui, 'DejaVu Sans', sans-serif`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillStyle = failed ? colours.failure : colours.ink;
    context.fillText(run.lanes[band.lane].name, 12, this.pointY(band));
  }

  // A gap wherever the clock moves.
  drawInstants(from, to) {
    if (this.axis.mode !== "order") return;
    const { context, run, axis } = this;
    context.fillStyle = this.colours.grid;
    let drawnTo = -Infinity;
    for (let index = Math.max(1, this.first); index < this.last; ++index) {
      if (run.times[index] === run.times[index - 1]) continue;
      const start = Math.round(this.x(axis.place(index - 1) + 0.5));
      const end = Math.round(this.x(axis.place(index) - 0.5));
      if (end - drawnTo < 4) continue;
      context.globalAlpha = 0.45;
      context.fillRect(start, from, end - start, to - from);
      context.globalAlpha = 1;
      context.fillRect(end, from, 1, to - from);
      drawnTo = end;
    }
  }

  drawRuler() {
    const { context, colours } = this;
    context.fillStyle = colours.panel;
    context.fillRect(0, 0, this.width, Timeline.ruler);
    context.fillStyle = colours.line;
    context.fillRect(0, Timeline.ruler - 1, this.width, 1);
    context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    context.save();
    context.beginPath();
    context.rect(Timeline.labels, 0, this.room, Timeline.ruler);
    context.clip();
    if (this.axis.mode === "order") this.drawSteps(); else this.drawTicks();
    this.drawFlag();
    context.restore();
    context.fillStyle = colours.faint;
    context.textAlign = "left";
    context.fillText(this.axis.mode === "order" ? "by order" : "by time", 12, Timeline.ruler / 2);
  }

  // By order: the time at each step of the clock that has room for it, and how long the step was.
  drawSteps() {
    const { context, run, axis, colours } = this;
    let free = Timeline.labels;
    const write = (text, x, y, colour) => {
      context.fillStyle = colour;
      context.fillText(text, x, y);
    };
    context.textAlign = "left";
    const from = Math.max(0, this.first);
    for (let index = from; index < this.last; ++index) {
      const step = index > 0 ? run.times[index] - run.times[index - 1] : 0;
      if (index > from && step === 0) continue;
      const x = index > from ? this.x(axis.place(index) - 0.5) : Timeline.labels;
      if (index > from) {
        context.fillStyle = colours.faint;
        context.fillRect(Math.round(x), Timeline.ruler - 6, 1, 5);
      }
      if (x < free) continue;
      const text = formatTime(run.times[index]);
      write(text, x + 3, 9, colours.ink);
      if (step > 0) write("+" + formatDuration(step), x + 3, 21, colours.faint);
      free = x + context.measureText(text).width + 14;
    }
  }

  // By time: round numbers.
  drawTicks() {
    const { context, axis, colours } = this;
    const perPixel = axis.span / axis.width / this.scale;
    let step = Math.pow(10, Math.ceil(Math.log10(perPixel * 40)));
    while (step / perPixel < 110) step *= step / perPixel < 55 ? 2 : 2.5;
    context.textAlign = "left";
    const end = axis.timeAt(this.right);
    for (let time = Math.ceil(axis.timeAt(this.left) / step) * step; time <= end; time += step) {
      const x = this.x((time - axis.start) / axis.span * axis.width);
      context.fillStyle = colours.faint;
      context.fillRect(Math.round(x), Timeline.ruler - 7, 1, 6);
      context.fillStyle = colours.ink;
      context.fillText(formatDuration(Math.round(time)), x + 3, 12);
    }
  }

  // What a ring's thread does: in the kernel on the ring's lane, running on its shard's.
  drawCalls(band) {
    const { kind } = this.run.lanes[band.lane];
    if (kind === "ring") this.drawAlternation(band, band.lane, "enter", "return", this.colours.call);
    if (kind !== "shard") return;
    for (const [shard, ring] of this.run.shards) {
      if (shard === band.lane) this.drawAlternation(band, ring, "return", "enter", this.colours.turn);
    }
  }

  drawAlternation(band, source, from, to, colour) {
    const { context, run, axis } = this;
    const events = this.layout.eventsIn[source];
    const y = this.pointY(band) - 6;
    context.fillStyle = colour;
    let start = null;
    let drawnTo = -Infinity;
    // From the last that began before the view.
    let at = lowerBound(events, this.first, 0, events.length);
    while (at > 0 && run.kind(events[at]) !== from) --at;
    for (; at < events.length; ++at) {
      const index = events[at];
      const kind = run.kind(index);
      if (kind === from) start = index;
      if (kind === to && start !== null) {
        const x = this.x(axis.place(start));
        const end = this.x(axis.place(index));
        if (end > drawnTo + 0.5) {
          context.fillRect(x, y, Math.max(1, end - x), 12);
          drawnTo = end;
        }
        start = null;
        if (index >= this.last) return;
      }
    }
  }

  drawRequests(band) {
    const { context, run, axis, layout } = this;
    for (const index of layout.requestsIn[band.lane]) {
      const request = run.requests[index];
      if (request.submitted >= this.last) break;
      if (request.end < this.first) continue;
      const y = this.requestY(band, index);
      const from = this.x(axis.place(request.submitted));
      const to = this.x(axis.place(request.end));
      const colour = this.colours[run.requestClass(request)];
      context.globalAlpha = 0.42;
      context.fillStyle = colour;
      context.fillRect(from, y - 4, Math.max(1.5, to - from), 8);
      context.globalAlpha = 1;
      context.fillRect(from - 0.5, y - 5, 2, 10);  // The SQE.
      if (this.scale > 2.5) {
        for (const completed of request.completed) this.triangle(this.x(axis.place(completed)), y, 4.5, "left", colour);
        this.requestLabel(request, Math.max(from, Timeline.labels), to, y);
      } else if (request.ended) {
        context.fillRect(to - 1, y - 4, 2, 8);
      }
      if (!request.ended) this.openEnd(to, y, colour);
    }
  }

  // In a bar that has room for it, before the first CQE in view.
  requestLabel(request, from, to, y) {
    const { context } = this;
    const next = request.completed.find((index) => this.x(this.axis.place(index)) > from);
    const end = next === undefined ? to : this.x(this.axis.place(next));
    const text = this.run.texts[request.name];
    context.font = "10px system-ui, 'DejaVu Sans', sans-serif";
    if (end - from < context.measureText(text).width + 14) return;
    context.fillStyle = this.colours.ink;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, from + 5, y + 0.5);
  }

  // Still in flight at the end.
  openEnd(x, y, colour) {
    const { context } = this;
    context.strokeStyle = colour;
    context.setLineDash([2, 2]);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + 10, y);
    context.stroke();
    context.setLineDash([]);
  }

  drawDecisions(band) {
    if (this.run.lanes[band.lane].kind !== "world") return;
    const { context, run, axis } = this;
    const y = this.y(band) + 4;
    context.fillStyle = this.colours.decision;
    let lastX = -Infinity;
    for (const [before] of run.decisions) {
      if (before < this.first || before > this.last) continue;
      const x = before < run.count ? this.x(axis.place(before) - 0.5) : this.x(axis.width + 0.5);
      if (x - lastX < 1) continue;
      context.fillRect(x, y, 1, band.height - 8);
      lastX = x;
    }
  }

  drawPoints(band) {
    const { run, axis } = this;
    const events = this.layout.eventsIn[band.lane];
    const y = this.pointY(band);
    const size = Math.max(1.5, Math.min(5.5, 1.5 + this.scale * 0.6));
    let lastX = -Infinity;
    const dense = this.scale < 1;
    const end = lowerBound(events, this.last, 0, events.length);
    for (let at = lowerBound(events, this.first, 0, events.length); at < end; ++at) {
      const index = events[at];
      const category = run.category(index);
      const x = this.x(axis.place(index));
      if (dense && category !== "fault" && x - lastX < 1) continue;
      lastX = x;
      this.drawPoint(index, category, x, y, size);
      if (this.state.hits.has(index)) this.ring(x, y, size + 3, this.colours.hit, 2);
    }
    if (this.state.hits.size > 0) this.drawRequestHits(band);
  }

  drawRequestHits(band) {
    for (const index of this.layout.requestsIn[band.lane]) {
      const request = this.run.requests[index];
      if (request.end < this.first || request.submitted >= this.last) continue;
      const y = this.requestY(band, index);
      for (const event of [request.submitted, ...request.completed]) {
        if (this.state.hits.has(event)) this.ring(this.x(this.axis.place(event)), y, 6, this.colours.hit, 2);
      }
    }
  }

  drawPoint(index, category, x, y, size) {
    const { context, colours } = this;
    switch (category) {
      case "fault":
        this.diamond(x, y, Math.max(4, size + 1), colours.fault);
        return;
      case "call":
        context.fillStyle = colours.turn;
        context.fillRect(x - 0.5, y - 6, 1, 12);
        return;
      case "request": {
        const request = this.run.request(index);
        const colour = request ? colours[this.run.requestClass(request)] : colours.other;
        this.triangle(x, y, size, this.run.kind(index) === "submit" ? "down" : "up", colour);
        return;
      }
      case "peer": {
        const kind = this.run.kind(index);
        if (kind === "peer-read") this.triangle(x, y, size, "up", colours.peer, true);
        else if (kind === "peer-send") this.triangle(x, y, size, "down", colours.peer);
        else this.square(x, y, size, colours.peer);
        return;
      }
      case "note":
        this.square(x, y, size * 0.65, colours.note, this.run.kind(index) !== "executed");
        return;
      default:
        this.disc(x, y, size * 0.8, colours.stream, this.run.kind(index) === "sent");
    }
  }

  drawFailure() {
    const { failure } = this.run;
    if (!failure || this.run.count === 0) return;
    const { context, colours } = this;
    const x = this.failureX();
    context.fillStyle = colours["failure-soft"];
    context.fillRect(x, Timeline.ruler, this.width, this.height);
    context.fillStyle = colours.failure;
    context.fillRect(x, Timeline.ruler, 2, this.height);
  }

  // The broken rule's name, on the ruler; at its edge when the failure is outside the view.
  drawFlag() {
    const { failure } = this.run;
    if (!failure || this.run.count === 0) return;
    const { context, colours } = this;
    const x = this.failureX();
    context.font = "600 12px system-ui, 'DejaVu Sans', sans-serif";
    const text = x < Timeline.labels ? `← ${failure.invariant}` : x > this.width ? `${failure.invariant} →` : failure.invariant;
    const width = context.measureText(text).width + 14;
    const start = Math.min(Math.max(x, Timeline.labels), this.width - width);
    context.fillStyle = colours.failure;
    context.fillRect(start, 4, width, Timeline.ruler - 4);
    context.fillStyle = colours.paper;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, start + 7, Timeline.ruler / 2 + 2);
  }

  failureX() {
    return this.x(this.axis.place(this.run.failure.event) + (this.axis.mode === "order" ? 0.75 : 0));
  }

  // From the selected SQE or CQE to its partners, through the ring.
  drawJoin() {
    const { selected } = this.state;
    const request = selected === null ? null : this.run.request(selected);
    if (!request) return;
    const { context, colours } = this;
    const ring = this.layout.bandOf.get(request.ring);
    context.strokeStyle = colours.select;
    context.lineWidth = 1.25;
    for (const index of [request.submitted, ...request.completed]) {
      if (index < this.first || index >= this.last) continue;
      const [x, y] = this.position(index) ?? [0, 0];
      if (ring && request.connection !== null) {
        context.beginPath();
        context.moveTo(x, this.pointY(ring));
        context.lineTo(x, y);
        context.globalAlpha = index === selected ? 1 : 0.45;
        context.stroke();
        context.globalAlpha = 1;
      }
    }
    const band = this.layout.bandOf.get(request.connection ?? request.ring);
    if (!band) return;
    const y = this.requestY(band, this.run.requestOf[selected]);
    const from = this.x(this.axis.place(request.submitted));
    const to = this.x(this.axis.place(request.end));
    context.strokeRect(from - 2, y - 6, Math.max(3, to - from + 4), 12);
  }

  drawSelection() {
    const { selected, hovered } = this.state;
    const { context, colours } = this;
    if (hovered !== null && hovered !== selected) {
      const position = this.position(hovered);
      if (position) this.ring(position[0], position[1], 8, colours.faint, 1);
    }
    if (selected === null) return;
    const x = this.x(this.axis.place(selected));
    context.fillStyle = colours.select;
    context.globalAlpha = 0.5;
    context.fillRect(Math.round(x) - 0.5, Timeline.ruler, 1, this.height);
    context.globalAlpha = 1;
    const position = this.position(selected);
    if (position) this.ring(position[0], position[1], 9, colours.select, 2);
  }

  // --- Signs.

  triangle(x, y, size, way, colour, hollow = false) {
    const { context } = this;
    const [dx, dy] = { up: [0, -1], down: [0, 1], left: [-1, 0], right: [1, 0] }[way];
    context.beginPath();
    context.moveTo(x + dx * size, y + dy * size);
    context.lineTo(x - dx * size + dy * size, y - dy * size + dx * size);
    context.lineTo(x - dx * size - dy * size, y - dy * size - dx * size);
    context.closePath();
    this.paint(colour, hollow);
  }

  diamond(x, y, size, colour) {
    const { context } = this;
    context.beginPath();
    context.moveTo(x, y - size - 1);
    context.lineTo(x + size, y);
    context.lineTo(x, y + size + 1);
    context.lineTo(x - size, y);
    context.closePath();
    this.paint(colour, false);
  }

  square(x, y, size, colour, hollow = false) {
    this.context.beginPath();
    this.context.rect(x - size, y - size, 2 * size, 2 * size);
    this.paint(colour, hollow);
  }

  disc(x, y, size, colour, hollow) {
    this.context.beginPath();
    this.context.arc(x, y, size, 0, 2 * Math.PI);
    this.paint(colour, hollow);
  }

  ring(x, y, size, colour, width) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  paint(colour, hollow) {
    const { context } = this;
    if (hollow) {
      context.strokeStyle = colour;
      context.lineWidth = 1.25;
      context.stroke();
    } else {
      context.fillStyle = colour;
      context.fill();
    }
  }
}
