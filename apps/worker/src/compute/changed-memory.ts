/** What is said where memory is not any more what it was when its checksum was made. */

/** Says that `what` changed, as the event `corrupt` wants it. `before` and `now`: checksums or digests. */
export function changedInMemory(what: string, before: number | string, now: number | string): string {
  const hex = (mark: number | string): string =>
    typeof mark === 'string' ? mark.slice(0, 12) : mark.toString(16).padStart(8, '0');
  return `${what} changed in memory (${hex(before)} when made, ${hex(now)} now); check this machine's memory`;
}
