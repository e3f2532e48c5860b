// The whole run in a strip: a point for each event at the height of its lane, the faults, what was found, the failure, and
// what the timeline shows of it. The points are drawn once for each size, axis and scheme, and kept.
class Overview {
  constructor(canvas, timeline) {
    this.canvas = canvas;
    this.timeline = timeline;
    this.context = canvas.getContext("2d");
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = Math.max(200, Math.floor(this.canvas.getBoundingClientRect().width));
    this.height = Math.max(20, Math.floor(this.canvas.getBoundingClientRect().height));
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  get room() { return this.width - 16; }
  x(place) { return 8 + place / this.timeline.axis.width * this.room; }
  placeAt(x) { return (x - 8) / this.room * this.timeline.axis.width; }

  // The points, as a picture.
  points() {
    const { run, axis, colours } = this.timeline;
    const key = `${this.width} ${axis.mode} ${colours.paper}`;
    if (this.kept && this.kept.key === key) return this.kept.canvas;
    const canvas = document.createElement("canvas");
    canvas.width = this.canvas.width;
    canvas.height = this.canvas.height;
    const context = canvas.getContext("2d");
    const ratio = canvas.width / this.width;
    context.scale(ratio, ratio);
    context.globalAlpha = 0.8;
    const row = (this.height - 12) / run.lanes.length;
    const colourOf = { call: colours.call, request: colours.other, peer: colours.peer, stream: colours.stream,
                       note: colours.note, fault: colours.fault };
    for (let index = 0; index < run.count; ++index) {
      context.fillStyle = colourOf[run.category(index)];
      const lane = run.connectionLane(index) ?? run.laneOf[index];
      context.fillRect(this.x(axis.place(index)), 6 + lane * row, 1, Math.max(1, row - 0.5));
    }
    this.kept = { key, canvas };
    return canvas;
  }

  draw() {
    const { context, timeline } = this;
    const { run, axis, colours } = timeline;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, this.width, this.height);
    context.drawImage(this.points(), 0, 0, this.width, this.height);
    context.fillStyle = colours.fault;
    for (const index of run.faults) context.fillRect(this.x(axis.place(index)) - 0.5, 0, 1.5, 5);
    context.fillStyle = colours.hit;
    for (const index of timeline.state.hits) context.fillRect(this.x(axis.place(index)) - 1, this.height - 5, 2, 5);
    if (run.failure) {
      context.fillStyle = colours.failure;
      context.fillRect(this.x(axis.place(run.failure.event)), 0, 2.5, this.height);
    }
    const from = Math.max(2, this.x(timeline.left));
    const to = Math.min(this.width - 2, this.x(timeline.right));
    context.fillStyle = colours["select-soft"];
    context.fillRect(from, 0, to - from, this.height);
    context.strokeStyle = colours.select;
    context.strokeRect(from + 0.5, 1, Math.max(3, to - from - 1), this.height - 2);
  }
}
