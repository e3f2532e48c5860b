// Which lane is where, and in which rows: one row for the points of a lane, and below it as many as its requests need that
// overlap in time. The lanes above the connections are pinned: they stay where they are when the connections are scrolled.
class Layout {
  static pointRow = 22;
  static requestRow = 13;
  static padding = 5;

  constructor(run) {
    this.run = run;
    this.only = null;  // A connection's lane, or null for all.
    this.rowOf = new Int32Array(run.requests.length);
    this.requestsIn = run.lanes.map(() => []);
    this.eventsIn = run.lanes.map(() => []);
    for (let index = 0; index < run.count; ++index) this.eventsIn[run.laneOf[index]].push(index);
    run.requests.forEach((request, index) => {
      this.requestsIn[request.connection ?? request.ring].push(index);
    });
    this.rowsIn = this.requestsIn.map((requests) => this.assignRows(requests));
    this.place();
  }

  // The lowest row that is free; returns how many there are.
  assignRows(requests) {
    const ends = [];
    for (const index of requests) {
      const request = this.run.requests[index];
      let row = ends.findIndex((end) => end < request.submitted);
      if (row < 0) row = ends.length;
      ends[row] = request.end;
      this.rowOf[index] = row;
    }
    return ends.length;
  }

  showOnly(lane) {
    this.only = lane;
    this.place();
  }

  place() {
    this.bands = [];
    this.pinned = 0;  // Height of the pinned lanes.
    let y = 0;
    this.run.lanes.forEach((lane, index) => {
      const shown = lane.kind !== "conn" || this.only === null || this.only === index;
      if (!shown) return;
      const rows = this.rowsIn[index];
      const points = lane.kind === "shard" ? 20 : Layout.pointRow;
      const height = points + rows * Layout.requestRow + 2 * Layout.padding;
      const pinned = lane.kind !== "conn";
      this.bands.push({ lane: index, y, height, points, pinned, odd: this.bands.length % 2 === 1 });
      y += height;
      if (pinned) this.pinned = y;
    });
    this.height = y;
    this.bandOf = new Map(this.bands.map((band) => [band.lane, band]));
  }

  bandAt(y) { return this.bands.find((band) => y >= band.y && y < band.y + band.height) ?? null; }
  pointY(band) { return band.y + Layout.padding + band.points / 2; }
  requestY(band, index) {
    return band.y + Layout.padding + band.points + (this.rowOf[index] + 0.5) * Layout.requestRow;
  }
}
