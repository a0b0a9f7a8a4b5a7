/**
 * Mutations: small faults put into the decisions, to see that the simulator notices. Each is one replacement in the compiled
 * code of a core, in a copy; the text must be there exactly once, so that a mutation cannot silently stop to mutate.
 */

export interface Mutation {
  /** What the mutant does wrong. */
  readonly what: string;
  readonly app: 'comm' | 'coordinator' | 'worker';
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'takes messages of an older generation',
    app: 'coordinator',
    file: 'decide/core.js',
    from: 'message.generation !== turn.state.generation || !turn.inRing(worker)',
    to: '!turn.inRing(worker)',
  },
  {
    what: 'starts a reduction before the step before it is on disk',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'if (state.durable < state.step)',
    to: 'if (false)',
  },
  {
    what: 'does not record a generation before it is used',
    app: 'coordinator',
    file: 'decide/generation.js',
    from: "turn.effects.push({ type: 'recordGeneration', generation });",
    to: '',
  },
  {
    what: 'goes on with the ring of a lost worker',
    app: 'coordinator',
    file: 'decide/turn.js',
    from: "(kind === 'computing' || kind === 'reducing')",
    to: 'false',
  },
  {
    what: 'agrees on the first exponents instead of the largest',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'Math.max(exponents[tensor] ?? exponent, exponent)',
    to: '(exponents[tensor] ?? exponent)',
  },
  {
    what: 'counts the second result of a microbatch too',
    app: 'coordinator',
    file: 'decide/work.js',
    from: 'if (work.covered[microbatch] === null) {',
    to: 'if (true) {',
  },
  {
    what: 'never evicts a silent worker',
    app: 'coordinator',
    file: 'decide/membership.js',
    from: 'if (silent > heartbeatTimeoutMs)',
    to: 'if (false)',
  },
  {
    what: 'never lets a joiner into the ring of a running job',
    app: 'coordinator',
    file: 'decide/turn.js',
    from: 'return this.readyWorkers().filter((view) => !this.inRing(view.id) && !this.claims(view));',
    to: 'return [];',
  },
  {
    what: 'believes gradients that differ from the audit',
    app: 'coordinator',
    file: 'decide/work.js',
    from: 'wrong: judgement.wrong, agreed: true',
    to: 'agreed: true',
  },
  {
    what: 'lets the first of two contradicting states win',
    app: 'coordinator',
    file: 'decide/votes.js',
    from: 'expected === null && (first === undefined || second?.[1].length === first[1].length)',
    to: 'first === undefined',
  },
  {
    what: 'does a contested step again without asking for the state before it',
    app: 'coordinator',
    file: 'decide/generation.js',
    from: 'lost || turn.state.contested?.step === step',
    to: 'false',
  },
  {
    what: 'applies a step with a gradient that is not finite',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'const skip = bad.length > 0;',
    to: 'const skip = false;',
  },
  {
    what: 'gives every held gradient to the first of the ring',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'shares.get(id)?.push(index)',
    to: 'shares.get(ring[0])?.push(index)',
  },
  {
    what: 'never replaces a ring that was reported broken',
    app: 'coordinator',
    file: 'decide/core.js',
    from: 'return trouble(turn, worker, message);',
    to: 'return;',
  },
  {
    what: 'forgets that the last state was finished, and loads it back',
    app: 'worker',
    file: 'decide/core.js',
    from: 'return !plan.reload && have.step === plan.step + 1 && this.state.applied === plan.step;',
    to: 'return false;',
  },
  {
    what: 'keeps gradients of another state',
    app: 'worker',
    file: 'decide/core.js',
    from: 'record: null, applied: -1, held: new Map()',
    to: 'record: null, applied: -1',
  },
  {
    what: 'keeps the gradients of a step that is done',
    app: 'worker',
    file: 'decide/core.js',
    from: 'applied: done,\n            held: new Map(),',
    to: 'applied: done,',
  },
  {
    what: 'does not stop the compute thread from going on with what is not wanted',
    app: 'worker',
    file: 'decide/core.js',
    from: 'if (asWanted)',
    to: 'if (true)',
  },
  {
    what: 'sums into memory that the ring still reads',
    app: 'worker',
    file: 'decide/core.js',
    from: "return beside && part === 'late';",
    to: 'return true;',
  },
  {
    what: 'gives the rest to the ring while that still sums the early bucket',
    app: 'worker',
    file: 'decide/core.js',
    from: '!earlyDone || this.state.inRing !== null',
    to: 'false',
  },
  {
    what: 'goes on with its early sum when a new generation opens',
    app: 'worker',
    file: 'decide/core.js',
    from: 'early: null,\n            reduction: null,\n            ringReady: -1,',
    to: 'reduction: null,\n            ringReady: -1,',
  },
  {
    what: 'starts an early sum before the step before it is on disk',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'work.audited.size > 0 || durable < step',
    to: 'work.audited.size > 0',
  },
  {
    what: 'starts an early sum before every gradient has its early bucket',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'work.missingEarly > 0 ||',
    to: '',
  },
  {
    what: 'forgets the exponents of whole gradients in the early sum',
    app: 'coordinator',
    file: 'decide/commit.js',
    from: 'whole?.exponents.slice(-tensors) ?? []',
    to: '[]',
  },
  {
    what: 'goes on with its reduction when a new generation opens',
    app: 'worker',
    file: 'decide/core.js',
    from: 'reduction: null,\n            ringReady: -1,',
    to: 'ringReady: -1,',
  },
  {
    what: 'does not report held gradients to a new generation',
    app: 'worker',
    file: 'decide/core.js',
    from: 'for (const [microbatch, gradient] of this.state.held)\n                this.reportGradient(microbatch, gradient);',
    to: '',
  },
  {
    what: 'does not look at its own memory when others come to other bits',
    app: 'worker',
    file: 'decide/core.js',
    from: 'owesCheck: this.state.owesCheck || work.anew.length > 0',
    to: 'owesCheck: false',
  },
  {
    what: 'measures silence by the wall clock',
    app: 'coordinator',
    file: 'decide/decisions.js',
    from: 'now: clocks.monotonicNow() }',
    to: 'now: clocks.wallNow() }',
  },
  {
    what: 'starts to wait at a time of the wall clock',
    app: 'coordinator',
    file: 'decide/decisions.js',
    from: 'durable, clocks.monotonicNow()',
    to: 'durable, clocks.wallNow()',
  },
  {
    what: 'dates its ledger by the clock of its decisions',
    app: 'coordinator',
    file: 'decide/decisions.js',
    from: '{ wallNow }',
    to: '{ monotonicNow: wallNow }',
  },
  {
    what: 'never finds its coordinator silent',
    app: 'comm',
    file: 'silence.js',
    from: 'return now - this.#quietSince > this.#timeoutMs;',
    to: 'return false;',
  },
];
