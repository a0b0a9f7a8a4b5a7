import { optionalTextKey } from '../key.js';

/** Of `up`, a coordinator and a worker alike: each writes what it knows. */
export const traceKey = optionalTextKey({
  doc: 'file for a timeline of what each thread does, for ui.perfetto.dev; null: none',
});
