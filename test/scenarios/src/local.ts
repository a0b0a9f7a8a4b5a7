/**
 * Addresses of this process alone. All of 127.0.0.0/8 is this machine, and a port that was free a moment ago at an address that
 * nobody else uses is free still: not so at 127.0.0.1, where other processes look for free ports too.
 */
const own = (first: number): string =>
  `127.${first + ((process.pid >> 16) & 63)}.${(process.pid >> 8) & 255}.${process.pid & 255}`;

/** Where the processes of a run listen. */
export const LOCAL = own(64);
/** Where a proxy stands in front of one of them. */
export const ADVERTISED = own(128);
