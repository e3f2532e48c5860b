// Where events stand. Virtual time is very uneven: thousands of events at one instant, then nothing for seconds. So there
// are two axes. "order" gives every event a place of its own and every step of the clock a gap that grows with its
// logarithm; "time" is the virtual time itself, on which the events of one instant coincide. Both are as wide as the first
// in units, so that zooming keeps its meaning.
class Axis {
  constructor(run) {
    const count = run.count;
    this.order = new Float64Array(count);
    let place = 0;
    for (let index = 0; index < count; ++index) {
      if (index > 0) place += 1 + Axis.gap(run.times[index] - run.times[index - 1]);
      this.order[index] = place;
    }
    this.width = Math.max(1, place);
    this.time = new Float64Array(count);
    const start = count > 0 ? run.times[0] : 0;
    const span = Math.max(1, count > 0 ? run.times[count - 1] - start : 1);
    for (let index = 0; index < count; ++index) {
      this.time[index] = (run.times[index] - start) / span * this.width;
    }
    this.start = start;
    this.span = span;
    this.mode = "order";
  }

  static gap(nanoseconds) {
    return nanoseconds <= 0 ? 0 : 0.75 + 0.45 * Math.log10(1 + nanoseconds);
  }

  get places() { return this.mode === "order" ? this.order : this.time; }
  place(index) { return this.places[index]; }

  // Indices of the events in [from, to], as a half-open range.
  range(from, to) {
    const places = this.places;
    const first = lowerBound(places, from, 0, places.length);
    let last = lowerBound(places, to, first, places.length);
    while (last < places.length && places[last] <= to) ++last;
    return [first, last];
  }

  timeAt(place) { return this.start + place / this.width * this.span; }
}
