"use strict";

// The run: what the page's data says, with the questions that the rest asks of it. Events are named by their index
// here; their number, which counts from the start of the run, is for people.
class Run {
  // A CQE comes at most so many events behind the stream event that it reports.
  static streamEventNear = 16;

  constructor(data) {
    this.head = data.head;
    this.failure = data.failure;
    this.lanes = data.lanes;
    this.sites = data.sites;
    this.shards = data.shards;
    this.requests = data.requests;
    this.decisions = data.decisions;
    this.texts = data.texts;
    const events = data.events;
    this.count = events.number.length;
    this.numbers = Float64Array.from(events.number);
    this.times = Float64Array.from(events.time);  // Nanoseconds: exact up to 104 days.
    this.laneOf = Int32Array.from(events.lane);
    this.kinds = Int32Array.from(events.kind);
    this.details = Int32Array.from(events.detail);
    this.requestOf = Int32Array.from(events.request);
    this.notes = Uint8Array.from(events.note);
    this.bytes = events.bytes;
    this.choices = events.choice;
    this.faults = Object.keys(this.choices).map(Number);
    for (const request of this.requests) {
      request.end = request.ended ? request.completed.at(-1) : Math.max(0, this.count - 1);
    }
  }

  kind(index) { return this.texts[this.kinds[index]]; }
  detail(index) { return this.texts[this.details[index]]; }
  lane(index) { return this.lanes[this.laneOf[index]]; }
  request(index) { return this.requestOf[index] < 0 ? null : this.requests[this.requestOf[index]]; }

  // What an event is about, for its colour.
  category(index) {
    if (this.notes[index]) return "note";
    const kind = this.kind(index);
    if (kind.startsWith("peer-")) return "peer";
    switch (kind) {
      case "enter": case "return": return "call";
      case "submit": case "complete": case "timer": return "request";
      case "fault": return "fault";
      default: return "stream";
    }
  }

  // The lane of the connection that an event is about, also for SQEs and CQEs; null when there is none.
  connectionLane(index) {
    const request = this.request(index);
    if (request && request.connection !== null) return request.connection;
    return this.lane(index).kind === "conn" ? this.laneOf[index] : null;
  }

  requestText(request) { return `${this.texts[request.name]} ${this.texts[request.opcode]}`; }
  requestClass(request) {
    const name = this.texts[request.name];
    if (name.includes("cancel")) return "cancel";
    if (name.startsWith("receive")) return "receive";
    if (name.startsWith("send")) return "send";
    return "other";
  }

  // From a CQE or a timer to its SQE, from an SQE to its first CQE; null when there is none.
  partner(index) {
    const request = this.request(index);
    if (!request) return null;
    if (request.submitted !== index) return request.submitted;
    return request.completed.length > 0 ? request.completed[0] : null;
  }

  // What an event moved, as [how much, the first bytes]: of a receive's or send's CQE what its stream event, shortly before
  // it, moved; null when there is none.
  bytesOf(index) {
    if (this.bytes[index] !== undefined) return this.bytes[index];
    const request = this.request(index);
    if (!request || this.kind(index) !== "complete") return null;
    const wanted = { receive: "received", send: "sent" }[this.requestClass(request)];
    const result = Number(/= (\d+)/.exec(this.detail(index))?.[1] ?? NaN);
    for (let before = index - 1; before >= Math.max(0, index - Run.streamEventNear); --before) {
      if (this.laneOf[before] !== request.connection || this.kind(before) !== wanted) continue;
      const bytes = this.bytes[before];
      return bytes !== undefined && bytes[0] === result ? bytes : null;
    }
    return null;
  }

  line(index) {
    return `#${this.numbers[index]}  ${formatTime(this.times[index])}  ${this.lane(index).name}  ` +
        `${this.kind(index)}  ${this.detail(index)}`;
  }

  // The index of an event's number, or of the last one before it.
  indexOfNumber(number) {
    return Math.max(0, lowerBound(this.numbers, number + 1, 0, this.count) - 1);
  }

  // Which events have every word of `query` in their kind, detail, bytes or lane; "conn 5" is one word.
  search(query) {
    const words = query.toLowerCase().match(/(?:conn|ring|shard) \d+(?!\S)|\S+/g) ?? [];
    if (words.length === 0) return [];
    const perWord = words.map((word) => ({
      word,
      lanes: this.lanes.map((lane) => lane.name === word || lane.kind === word),
      texts: this.texts.map((text) => text.toLowerCase().includes(word)),
    }));
    const hits = [];
    for (let index = 0; index < this.count; ++index) {
      if (perWord.every((search) => this.matches(index, search))) hits.push(index);
    }
    return hits;
  }

  matches(index, search) {
    if (search.texts[this.kinds[index]] || search.texts[this.details[index]]) return true;
    if (search.lanes[this.laneOf[index]]) return true;
    const request = this.request(index);
    if (request && request.connection !== null && search.lanes[request.connection]) return true;
    const bytes = this.bytes[index];
    return bytes !== undefined && bytes[1].toLowerCase().includes(search.word);
  }
}

// The first index in [low, high) whose value is not below `value`; `high` when there is none.
function lowerBound(values, value, low, high) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function formatTime(nanoseconds) { return `${(nanoseconds / 1e6).toFixed(6)} ms`; }

// "40 ms": for people, as short as it can be.
function formatDuration(nanoseconds) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (nanoseconds >= size) return `${Number((nanoseconds / size).toPrecision(4))} ${unit}`;
  }
  return `${nanoseconds} ns`;
}

// Bytes, one character each, as text on one line.
function printable(bytes) {
  return bytes.replace(/[^\x20-\x7e]/g, (character) => {
    if (character === "\r") return "\\r";
    if (character === "\n") return "\\n";
    return "\\x" + character.charCodeAt(0).toString(16).padStart(2, "0");
  });
}

function hexDump(bytes) {
  const lines = [];
  for (let start = 0; start < bytes.length; start += 8) {
    const part = bytes.slice(start, start + 8);
    const hex = Array.from(part, (character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    lines.push(`${start.toString(16).padStart(4, "0")}  ${hex.padEnd(23)}  ${part.replace(/[^\x20-\x7e]/g, "·")}`);
  }
  return lines.join("\n");
}
