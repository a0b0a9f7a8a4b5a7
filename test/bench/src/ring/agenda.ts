/** Something that is to happen, and when. */
interface Entry<Event> {
  readonly at: number;
  readonly order: number;
  readonly event: Event;
}

function isBefore(a: Entry<unknown>, b: Entry<unknown>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** What is to happen in virtual time: a heap. Earliest first; equal times in the order they were put in. */
export class Agenda<Event> {
  private readonly heap: Entry<Event>[] = [];
  private order = 0;

  put(at: number, event: Event): void {
    const { heap } = this;
    const entry = { at, order: this.order++, event };
    let i = heap.length;
    for (; i > 0; i = (i - 1) >> 1) {
      const parent = heap[(i - 1) >> 1];
      if (!isBefore(entry, parent)) break;
      heap[i] = parent;
    }
    heap[i] = entry;
  }

  /** The earliest, which is taken out; undefined if there is none. */
  take(): { readonly at: number; readonly event: Event } | undefined {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return last;
    const first = heap[0];
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
    return first;
  }
}
