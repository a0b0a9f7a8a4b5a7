/**
 * Control messages between a worker and the coordinator: one discriminated union for each direction, one line a variant.
 *
 * Every message about a step carries the generation it was written in; the receiver drops (and counts) one from an older
 * generation. Steps and microbatches count from 0. State k is the state after k steps, so a worker that `applied` step k
 * holds state k+1. Digests are sha256 in hex (see libs/checkpoint, `stateDigest`).
 */
import { z } from 'zod';

/** Both ends must speak the same version: the coordinator refuses another with E_PROTOCOL_VERSION. */
export const PROTOCOL_VERSION = 1;

/** A step has at most this many microbatches: bounds every list in a message. */
export const MAX_MICROBATCHES = 65_536;
/** A network has at most this many parameter tensors: bounds the exponent lists. */
export const MAX_TENSORS = 65_536;
/** Most workers in one generation. */
export const MAX_WORKERS = 4_096;

const name = z.string().min(1).max(128);
const text = z.string().max(4_096);
const count = z.number().int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const milliseconds = z.number().nonnegative();
const microbatches = z.array(count).max(MAX_MICROBATCHES);
const exponents = z.array(z.number().int().min(-32_768).max(32_767)).max(MAX_TENSORS);

/** A worker's place in the ring: where its successor dials it. */
export const memberSchema = z.object({ id: name, host: name, port: z.number().int().min(1).max(65_535) });
export type Member = z.infer<typeof memberSchema>;

/** A host as it stands in a URL: an IPv6 address in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Where a worker serves state `step`. */
export function stateUrl({ host, port }: Pick<Member, 'host' | 'port'>, step: number): string {
  return `http://${hostInUrl(host)}:${port}/state/${step}`;
}

/** What the ledger will say of a step; travels with the step so that it outlives the coordinator. */
export const commitRecordSchema = z.object({
  step: count,
  generation: count,
  plan: z.array(name).max(MAX_MICROBATCHES),
  losses: z.array(z.number()).max(MAX_MICROBATCHES),
});
export type CommitRecord = z.infer<typeof commitRecordSchema>;

/** What a worker must know of the run to compute its gradients: all that decides the weights, and how often to keep a state. */
export const runSettingsSchema = z.strictObject({
  preset: name,
  seed: count,
  steps: count,
  globalBatch: count,
  microbatchSize: count,
  /** Null: the preset's. */
  learningRate: z.number().positive().nullable(),
  /** Null: the preset's. */
  timesteps: z.enum(['uniform', 'stratified']).nullable(),
  checkpointEvery: count,
  /** Names the training data; a worker with other data must not take part. */
  dataDigest: digest,
});
export type RunSettings = z.infer<typeof runSettingsSchema>;

const heldState = z.object({ step: count, digest });
export type HeldState = z.infer<typeof heldState>;

const workerMessageSchema = z.discriminatedUnion('type', [
  /** First message on a connection: who I am, where my successor can dial me, which run I am already in. */
  z.object({
    type: z.literal('hello'),
    protocol: count,
    worker: name,
    host: name,
    port: z.number().int().min(1).max(65_535),
    run: name.nullable(),
  }),
  /** I hold this state and can compute; `record` is of the step that made it; `probe` proves my numerics class. */
  z.object({
    type: z.literal('ready'),
    have: heldState,
    record: commitRecordSchema.nullable(),
    generation: count,
    probe: digest,
    engine: text,
  }),
  /** I am alive, and this far. */
  z.object({ type: z.literal('heartbeat'), generation: count, step: count }),
  /** One microbatch's gradient is done and kept here: its mean loss (null: not finite), and each tensor's exponent. */
  z.object({
    type: z.literal('gradient'),
    generation: count,
    step: count,
    microbatch: count,
    loss: z.number().nullable(),
    exponents,
    milliseconds,
  }),
  /** The step is in my weights, and this is the digest of the state that came of it. */
  z.object({
    type: z.literal('applied'),
    generation: count,
    step: count,
    digest,
    record: commitRecordSchema,
    ringMilliseconds: milliseconds,
    ringBytes: count,
  }),
  /** The ring of this generation failed here; `peer` is the neighbour that I lost, if I know. */
  z.object({ type: z.literal('broken'), generation: count, peer: name.nullable(), code: name, message: text }),
  /** I could not load the state that the plan asks for. */
  z.object({ type: z.literal('unable'), generation: count, code: name, message: text }),
  /** I am leaving on purpose. */
  z.object({ type: z.literal('bye'), reason: text }),
]);
export type WorkerMessage = z.infer<typeof workerMessageSchema>;

const coordinatorMessageSchema = z.discriminatedUnion('type', [
  /** You are in: this is the run and the pace of heartbeats. */
  z.object({
    type: z.literal('welcome'),
    run: name,
    settings: runSettingsSchema,
    heartbeatTimeoutMs: z.number().int().positive(),
  }),
  /** You cannot take part; do not come back unchanged. */
  z.object({ type: z.literal('refuse'), code: name, message: text }),
  /** A generation opens: the ring, the step to do, the state to do it from and where to get it, and your microbatches. */
  z.object({
    type: z.literal('plan'),
    generation: count,
    step: count,
    ring: z.array(memberSchema).min(1).max(MAX_WORKERS),
    microbatches,
    digest,
    sources: z.array(z.string().max(512)).max(MAX_WORKERS),
  }),
  /** All gradients are there: sum yours with these exponents, reduce, apply; then go on with `next`, if it is given. */
  z.object({
    type: z.literal('reduce'),
    generation: count,
    step: count,
    contribute: microbatches,
    exponents,
    record: commitRecordSchema,
    next: microbatches.nullable(),
  }),
  /** I am alive. */
  z.object({ type: z.literal('heartbeat') }),
  /** The run is over for you: leave. */
  z.object({ type: z.literal('stop'), code: name, reason: text }),
]);
export type CoordinatorMessage = z.infer<typeof coordinatorMessageSchema>;

/** What is wrong with a message that does not parse, in one line. */
function firstProblem(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? 'unknown' : `${issue.path.join('.') || '(message)'}: ${issue.message}`;
}

export class MessageError extends Error {
  readonly code = 'E_MESSAGE_INVALID';
  constructor(problem: string) {
    super(
      `a control message does not have the agreed form (${problem}); run the same version of Lockstep on every machine`,
    );
    this.name = 'MessageError';
  }
}

/** Checks what came off the wire. Throws MessageError (E_MESSAGE_INVALID). */
export function parseWorkerMessage(value: unknown): WorkerMessage {
  const parsed = workerMessageSchema.safeParse(value);
  if (!parsed.success) throw new MessageError(firstProblem(parsed.error));
  return parsed.data;
}

/** Checks what came off the wire. Throws MessageError (E_MESSAGE_INVALID). */
export function parseCoordinatorMessage(value: unknown): CoordinatorMessage {
  const parsed = coordinatorMessageSchema.safeParse(value);
  if (!parsed.success) throw new MessageError(firstProblem(parsed.error));
  return parsed.data;
}
