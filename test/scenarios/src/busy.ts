/** Keeps a core busy, for BUSY_MS at most. */
const BUSY_MS = 60_000;

for (const end = performance.now() + BUSY_MS; performance.now() < end;);
