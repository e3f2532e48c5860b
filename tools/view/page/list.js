// The events as text, one line each, in their order. Only the lines in view exist.
class EventList {
  static lineHeight = 20;

  constructor(box, rows, run, state, onSelect) {
    Object.assign(this, { box, rows, run, state });
    this.only = null;
    this.shown = null;
    this.filter(null);
    box.addEventListener("scroll", () => this.draw());
    rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) onSelect(Number(row.dataset.index));
    });
  }

  // Only the events of a connection's lane, its SQEs and CQEs among them; null: all.
  filter(lane) {
    this.only = lane;
    this.shown = null;
    if (lane !== null) {
      this.shown = [];
      for (let index = 0; index < this.run.count; ++index) {
        if (this.run.connectionLane(index) === lane) this.shown.push(index);
      }
    }
    this.rows.style.height = `${this.length * EventList.lineHeight}px`;
    this.draw();
  }

  get length() { return this.shown ? this.shown.length : this.run.count; }
  at(line) { return this.shown ? this.shown[line] : line; }
  lineOf(index) { return this.shown ? lowerBound(this.shown, index, 0, this.shown.length) : index; }

  reveal(index) {
    const top = this.lineOf(index) * EventList.lineHeight;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop || top + EventList.lineHeight > scrollTop + clientHeight) {
      this.box.scrollTop = Math.max(0, top - clientHeight / 2);
    }
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / EventList.lineHeight) - 4);
    const last = Math.min(this.length, first + Math.ceil(this.box.clientHeight / EventList.lineHeight) + 8);
    const lines = [];
    for (let line = first; line < last; ++line) lines.push(this.row(line));
    this.rows.replaceChildren(...lines);
    const { selected } = this.state;
    if (selected === null) this.box.removeAttribute("aria-activedescendant");
    else this.box.setAttribute("aria-activedescendant", `event-${selected}`);
  }

  row(line) {
    const { run, state } = this;
    const index = this.at(line);
    const row = document.createElement("div");
    const names = ["row", run.category(index)];
    const request = state.selected === null ? null : run.request(state.selected);
    if (index === state.selected) names.push("selected");
    else if (request !== null && run.request(index) === request) names.push("near");
    if (state.hits.has(index)) names.push("hit");
    if (run.failure && run.failure.event === index) names.push("failure");
    if (index > 0 && run.times[index] !== run.times[index - 1]) names.push("instant");
    row.className = names.join(" ");
    row.id = `event-${index}`;
    row.dataset.index = index;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === state.selected));
    row.setAttribute("aria-posinset", String(line + 1));
    row.setAttribute("aria-setsize", String(this.length));
    row.style.top = `${line * EventList.lineHeight}px`;
    const connection = run.connectionLane(index);
    const lane = run.lane(index).name;
    const where = connection === null || run.lane(index).kind === "conn" ? lane : run.lanes[connection].name;
    for (const [name, text] of [["number", `#${run.numbers[index]}`], ["time", formatTime(run.times[index])],
                                ["lane", where], ["kind", run.kind(index)], ["detail", run.detail(index)]]) {
      const cell = document.createElement("span");
      cell.className = name;
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  }
}
