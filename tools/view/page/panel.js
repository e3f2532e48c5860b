// What is known of the selected event: its facts, its bytes, its SQE and CQEs, and what else was in flight then.
class Panel {
  static inFlightMax = 12;
  static completionsMax = 40;

  constructor(box, run, onSelect) {
    Object.assign(this, { box, run });
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-event]");
      if (button) onSelect(Number(button.dataset.event));
    });
  }

  show(index) {
    const parts = [];
    const { run } = this;
    if (run.failure && run.failure.event === index) parts.push(this.failure());
    parts.push(element("h2", {}, `${run.kind(index)} ${run.detail(index)}`));
    const connection = run.connectionLane(index);
    const lane = run.lane(index).name;
    const where = connection === null || run.lanes[connection].name === lane ? lane
                                                                             : `${lane}, ${run.lanes[connection].name}`;
    parts.push(element("p", { class: "sub" }, `#${run.numbers[index]} · ${formatTime(run.times[index])} · ${where}`));
    if (run.choices[index]) parts.push(...this.choice(run.choices[index]));
    const request = run.request(index);
    if (request) parts.push(...this.request(index, request));
    const bytes = run.bytesOf(index);
    if (bytes !== null) parts.push(...this.bytes(bytes));
    parts.push(...this.instant(index));
    parts.push(...this.inFlight(index, connection));
    this.box.replaceChildren(...parts);
    this.box.scrollTop = 0;
  }

  showNothing() {
    this.box.replaceChildren(element("p", { class: "sub" }, "The run has no events."));
  }

  failure() {
    const { failure } = this.run;
    return element("div", { class: "failed" }, element("strong", {}, `violated: ${failure.invariant}`),
                   element("br"), failure.detail);
  }

  choice([site, entity, ordinal, answer, alternatives]) {
    const info = this.run.sites[site];
    const known = alternatives > 0 ? `${answer} of 0 to ${alternatives - 1}` : String(answer);
    return [
      element("h3", {}, "Fault injected here"),
      element("div", { class: "fault" }, table([
        ["site", info.name], ["answer k", known], ["means", info.meaning],
        ["asked for", `${info.entity} ${entity}, ordinal ${ordinal}`],
        [info.witnessed ? "witnessed" : "documented", info.source],
      ])),
    ];
  }

  request(index, request) {
    const { run } = this;
    const parts = [];
    const title = request.submitted === index ? "This SQE" : "Its SQE";
    parts.push(element("h3", {}, title));
    if (request.submitted !== index) {
      parts.push(element("div", { class: "links" }, this.link(request.submitted, "to-sqe", `SQE #${run.numbers[request.submitted]}`)));
    }
    parts.push(table(request.sqe.map(([name, value]) => [run.texts[name], run.texts[value]])));
    if (request.target !== null) {
      const target = run.requests[request.target];
      parts.push(element("div", { class: "links" },
                         this.link(target.submitted, "to-target", `cancels ${run.texts[target.name]}, #${run.numbers[target.submitted]}`)));
    }
    parts.push(element("h3", {}, this.completionTitle(request)));
    const near = request.completed.indexOf(index);
    const from = Math.max(0, Math.min(near - Panel.completionsMax / 2, request.completed.length - Panel.completionsMax));
    const shown = request.completed.slice(from, from + Panel.completionsMax);
    const links = shown.map((event) => {
      const text = run.detail(event).replace(/^[^=]*= /, "");
      const link = this.link(event, "to-cqe", `CQE #${run.numbers[event]}: ${text}`);
      link.disabled = event === index;
      return link;
    });
    if (shown.length < request.completed.length) {
      links.push(element("span", { class: "sub" }, `and ${request.completed.length - shown.length} more`));
    }
    parts.push(element("div", { class: "links" }, ...links));
    return parts;
  }

  completionTitle(request) {
    const { run } = this;
    const count = request.completed.length;
    if (count === 0) return "No CQE by the end of the run";
    const name = count === 1 ? "1 CQE" : `${count} CQEs`;
    if (!request.ended) return `${name}, and still in flight at the end`;
    const after = run.times[request.completed.at(-1)] - run.times[request.submitted];
    const when = after === 0 ? "at the same instant" : `after ${formatDuration(after)}`;
    return count === 1 ? `${name}, ${when}` : `${name}, the last ${when}`;
  }

  bytes([moved, bytes]) {
    const title = bytes.length < moved ? `The first ${bytes.length} of ${moved} bytes` : `${moved} bytes`;
    return [element("h3", {}, title), element("pre", {}, hexDump(bytes))];
  }

  // How many events share its time, and when the others are.
  instant(index) {
    const { run } = this;
    const time = run.times[index];
    const first = lowerBound(run.times, time, 0, run.count);
    const next = lowerBound(run.times, time + 1, first, run.count);
    const rows = [["at this instant", `event ${index - first + 1} of ${next - first}`]];
    if (first > 0) rows.push(["since the last one", formatDuration(time - run.times[first - 1])]);
    if (next < run.count) rows.push(["until the next one", formatDuration(run.times[next] - time)]);
    return [element("h3", {}, "Virtual time"), table(rows)];
  }

  inFlight(index, connection) {
    const { run } = this;
    const lanes = connection === null ? `on ${run.lane(index).name}` : `for ${run.lanes[connection].name}`;
    const open = run.requests.filter((request) => {
      const here = connection === null ? request.ring === run.laneOf[index] : request.connection === connection;
      return here && request.submitted <= index && !(request.ended && request.end <= index);
    });
    if (open.length === 0 && connection === null) return [];
    const parts = [element("h3", {}, `In flight ${lanes} after it`)];
    if (open.length === 0) parts.push(element("p", { class: "sub" }, "nothing"));
    const links = open.slice(0, Panel.inFlightMax).map(
        (request) => this.link(request.submitted, "to-open", `${run.requestText(request)}, #${run.numbers[request.submitted]}`));
    if (open.length > Panel.inFlightMax) links.push(element("span", { class: "sub" }, `and ${open.length - Panel.inFlightMax} more`));
    parts.push(element("div", { class: "links" }, ...links));
    return parts;
  }

  link(index, name, text) { return element("button", { type: "button", class: name, "data-event": index }, text); }
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function table(rows) {
  return element("table", {}, ...rows.map(
      ([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))));
}
