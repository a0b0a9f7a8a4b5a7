/** What an engine is, in the form in which workers tell each other (libs/comm) and the ledger keeps it. */
import type { EngineDescription } from '@lockstep/comm';
import type { EngineIdentity } from '@lockstep/engine';

/** Every field as text; the instruction sets joined by spaces. */
export function describeEngine(identity: EngineIdentity): EngineDescription {
  return Object.fromEntries(
    Object.entries(identity).map(([name, value]) => [name, Array.isArray(value) ? value.join(' ') : String(value)]),
  );
}

/** The fields in which two engines differ: `threads 1 here, 2 there`; empty if there is none. */
export function engineDifferences(here: EngineDescription, there: EngineDescription): string[] {
  return [...new Set([...Object.keys(here), ...Object.keys(there)])]
    .filter((name) => here[name] !== there[name])
    .map((name) => `${name} ${here[name] ?? 'unknown'} here, ${there[name] ?? 'unknown'} there`);
}
