/** What an engine is, in the form in which workers tell each other (libs/comm) and the ledger keeps it. */
import type { EngineDescription } from '@lockstep/comm';
import type { EngineIdentity } from '@lockstep/engine';

/** Every field as text; the instruction sets joined by spaces. */
export function describeEngine(identity: EngineIdentity): EngineDescription {
  return Object.fromEntries(
    Object.entries(identity).map(([name, value]) => [name, Array.isArray(value) ? value.join(' ') : String(value)]),
  );
}
