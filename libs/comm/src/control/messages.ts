/**
 * Control messages between a worker and the coordinator: one discriminated union for each direction, one line a variant.
 *
 * Every message about a step carries the generation it was written in; the receiver drops (and counts) one from an older
 * generation. Steps and microbatches count from 0. State k is the state after k steps, so a worker that `applied` step k
 * holds state k+1. Digests are sha256 in hex (see libs/run, `stateDigest`).
 */
import { z } from 'zod';
import { ARITHMETICS, ENGINES, LockstepError } from '@lockstep/base';
import { hostInUrl } from '../http/addresses.js';
import { LOCAL_NAME } from '../ring/local-socket.js';
import { WIRES } from '@lockstep/exact';

/** Both ends must speak the same version: the coordinator refuses another with E_PROTOCOL_VERSION. */
export const PROTOCOL_VERSION = 7;

/** A step has at most this many microbatches: bounds every list in a message. */
export const MAX_MICROBATCHES = 65_536;
/** A network has at most this many parameter tensors: bounds the exponent lists. */
export const MAX_TENSORS = 65_536;
/** A task has at most this many figures beside its loss. */
export const MAX_FIGURES = 64;
/** Characters of a sentence in a message at most. */
export const MAX_TEXT = 4_096;
/** Most workers in one generation; the coordinator refuses another one with E_TOO_MANY_WORKERS. */
export const MAX_WORKERS = 4_096;

/** As long as Linux allows a path to be. */
const path = z.string().min(1).max(4096);
const name = z.string().min(1).max(128);
const text = z.string().max(MAX_TEXT);
const count = z.number().int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const milliseconds = z.number().nonnegative();
const microbatches = z.array(count).max(MAX_MICROBATCHES);
const exponents = z.array(z.number().int().min(-32_768).max(32_767)).max(MAX_TENSORS);

/** 128 random bits in hex, drawn once a process: tells a worker that dials again from another one of its name. */
const instance = z.string().regex(/^[0-9a-f]{32}$/);

/** Where a worker on the same host may be dialled instead (local-socket.ts). */
const local = z.string().regex(LOCAL_NAME).optional();

/** A worker's place in the ring: where its successor dials it. */
export const memberSchema = z.object({ id: name, host: name, port: z.number().int().min(1).max(65_535), local });
export type Member = z.infer<typeof memberSchema>;

const memberCount = z.number().int().min(1).max(MAX_WORKERS);

/** One worker's place in one ring. It dials its predecessor and awaits its successor; a ring of one has itself as both. */
export const ringPlaceSchema = z.object({
  rank: count,
  size: memberCount,
  predecessor: memberSchema,
  successor: name,
});
export type RingPlace = z.infer<typeof ringPlaceSchema>;

/**
 * One worker's place in a generation. With one tier its ring has all `total` members. With two its ring is that of its group,
 * smaller than `total`, and the first of each group has a place in the ring of the leaders too (tiers.ts).
 */
export const placeSchema = ringPlaceSchema.extend({
  /** Members of the generation. */
  total: memberCount,
  /** Null for a member that leads no group, and where there is one tier. */
  leaders: ringPlaceSchema.nullable(),
});
export type Place = z.infer<typeof placeSchema>;

/** Where a worker serves state `step`. */
export function stateUrl({ host, port }: Pick<Member, 'host' | 'port'>, step: number): string {
  return `http://${hostInUrl(host)}:${port}/state/${step}`;
}

/** Names the samples of one microbatch: see libs/task, `samplesDigest`. */
const samplesDigest = z.string().regex(/^[0-9a-f]{16}$/);

/** What the ledger will say of a step; travels with the step so that it outlives the coordinator. Lists go by microbatch. */
export const commitRecordSchema = z.object({
  step: count,
  generation: count,
  /** Whose gradient entered the sum. */
  plan: z.array(name).max(MAX_MICROBATCHES),
  /** Mean loss; null if it was not finite. */
  losses: z.array(z.number().nullable()).max(MAX_MICROBATCHES),
  /** What was trained on, as its worker reported it. */
  samples: z.array(samplesDigest).max(MAX_MICROBATCHES),
  /** A gradient was not finite, so state step + 1 has the numbers of state step. */
  skipped: z.boolean(),
});
export type CommitRecord = z.infer<typeof commitRecordSchema>;

/** What a worker must know of the run to compute its gradients: all that decides the weights, and how often to keep a state. */
export const runSettingsSchema = z.strictObject({
  /** Which code is trained: name of a task that comes with Lockstep, or path of a file on every worker's machine; and what names its code. */
  task: z.strictObject({ module: path, code: z.record(path, z.string().max(128)) }),
  /** Where the training data is, on every worker's machine; null: the task finds it by itself. */
  data: path.nullable(),
  seed: count,
  /** The whole of it, in the form of the task, which whoever reads it checks. */
  recipe: z.record(z.string().max(64), z.unknown()),
  /** The integers that gradients are summed as. */
  wire: z.enum(WIRES),
  /** How whole arrays are made one value: fingerprints, sums of squares. */
  arithmetic: z.literal(ARITHMETICS),
  /** What gradients are computed by. */
  engine: z.enum(ENGINES),
  checkpointEvery: count,
  /** Names the training data; a worker with other data must not take part. */
  dataDigest: digest,
});
export type RunSettings = z.infer<typeof runSettingsSchema>;

/** What an engine says it is (version, instruction set, threads, device ...): names a difference, proves nothing. */
export const engineSchema = z.record(z.string().max(64), z.string().max(1_024));
export type EngineDescription = z.infer<typeof engineSchema>;

/** What two engines say of themselves differently; a field that one does not have is 'unknown' there. */
export function engineDifferences(
  first: EngineDescription,
  second: EngineDescription,
): { readonly name: string; readonly first: string; readonly second: string }[] {
  return [...new Set([...Object.keys(first), ...Object.keys(second)])]
    .filter((name) => first[name] !== second[name])
    .map((name) => ({ name, first: first[name] ?? 'unknown', second: second[name] ?? 'unknown' }));
}

const heldState = z.object({ step: count, digest });
export type HeldState = z.infer<typeof heldState>;

const workerMessageSchema = z.discriminatedUnion('type', [
  /**
   * First message on a connection: who I am, which process of that name, where my successor can dial me, which run I am already in.
   */
  z.object({
    type: z.literal('hello'),
    protocol: count,
    worker: name,
    instance,
    host: name,
    port: z.number().int().min(1).max(65_535),
    local,
    run: name.nullable(),
  }),
  /** I hold this state and can compute; `record` is of the step that made it; `probe` proves my numerics class. */
  z.object({
    type: z.literal('ready'),
    have: heldState,
    record: commitRecordSchema.nullable(),
    generation: count,
    probe: digest,
    engine: engineSchema,
  }),
  /** I am alive, and this far. */
  z.object({ type: z.literal('heartbeat'), generation: count, step: count }),
  /**
   * The early bucket of the gradient that I am at is done and kept here: exponents of its tensors, which are the last of the table.
   */
  z.object({ type: z.literal('early'), generation: count, step: count, microbatch: count, exponents }),
  /**
   * One microbatch's gradient is done and kept here: its mean loss (null: not finite), the task's figures in the order of its data
   * (null: not finite), each tensor's exponent, the samples it is of, the wall and processor time it took, and sha256 of its bytes if
   * the plan asked for it.
   */
  z.object({
    type: z.literal('gradient'),
    generation: count,
    step: count,
    microbatch: count,
    loss: z.number().nullable(),
    figures: z.array(z.number().nullable()).max(MAX_FIGURES).optional(),
    exponents,
    samples: samplesDigest,
    digest: digest.nullable(),
    milliseconds,
    cpuMilliseconds: milliseconds,
  }),
  /** I took the state that the plan starts from out of `source`; its digest was right. */
  z.object({ type: z.literal('loaded'), generation: count, step: count, source: text, bytes: count, milliseconds }),
  /** The step is in my weights, and this is the digest of the state that came of it. */
  z.object({
    type: z.literal('applied'),
    generation: count,
    step: count,
    digest,
    record: commitRecordSchema.nullable(),
    ringMilliseconds: milliseconds,
    ringBytes: count,
  }),
  /** The ring of this generation failed here; `peer` is the neighbour that I lost, if I know. */
  z.object({ type: z.literal('broken'), generation: count, peer: name.nullable(), code: name, message: text }),
  /** I could not load the state that the plan asks for. */
  z.object({ type: z.literal('unable'), generation: count, code: name, message: text }),
  /** I am leaving: on purpose, as I found my own memory damaged, or as the run's task, its data or the engine is not to be had here. */
  z.object({ type: z.literal('bye'), code: name, reason: text }),
]);
export type WorkerMessage = z.infer<typeof workerMessageSchema>;

/** A worker is told of at most this many sources of a state. */
export const MAX_SOURCES = 8;

/** Microbatches to compute, in this order; which of them need a digest of their bytes; which to compute anew though held. */
export const workSchema = z.object({ microbatches, digests: microbatches, anew: microbatches });
export type Work = z.infer<typeof workSchema>;

const coordinatorMessageSchema = z.discriminatedUnion('type', [
  /** You are in: this is the run and the pace of heartbeats. */
  z.object({
    type: z.literal('welcome'),
    run: name,
    settings: runSettingsSchema,
    heartbeatTimeoutMs: z.number().int().positive(),
  }),
  /** You cannot take part. Do not come back unchanged; or, with `retryMs`, try again for so many milliseconds since the first refusal. */
  z.object({ type: z.literal('refuse'), code: name, message: text, retryMs: milliseconds.optional() }),
  /** A generation opens: your place in its ring, the step to do, the state to do it from and where to get it, and your work. */
  z.object({
    type: z.literal('plan'),
    generation: count,
    step: count,
    place: placeSchema,
    work: workSchema,
    digest,
    /** What you hold beyond this step is contested: load the state, and do the step again. */
    reload: z.boolean(),
    sources: z.array(z.string().max(512)).max(MAX_SOURCES),
  }),
  /** Your work of this step changed: this list replaces the one you have. */
  z.object({ type: z.literal('assign'), generation: count, step: count, work: workSchema }),
  /** The early bucket of all gradients is there: sum that of yours with these exponents, and reduce it. `reduce` follows for the rest. */
  z.object({ type: z.literal('sum'), generation: count, step: count, contribute: microbatches, exponents }),
  /**
   * All gradients are there: sum yours with these exponents, or what `sum` left of them, reduce, apply; then go on with `next`, if it
   * is given. A record that says `skipped` has nothing to sum: the state goes over into the next step as it is. Few workers keep the record.
   */
  z.object({
    type: z.literal('reduce'),
    generation: count,
    step: count,
    contribute: microbatches,
    exponents,
    skip: z.boolean(),
    record: commitRecordSchema.nullable(),
    next: workSchema.nullable(),
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

export class MessageError extends LockstepError<'E_MESSAGE_INVALID' | 'E_PROTOCOL_VERSION'> {
  override readonly name = 'MessageError';

  constructor(problem: string, code: 'E_MESSAGE_INVALID' | 'E_PROTOCOL_VERSION' = 'E_MESSAGE_INVALID') {
    super(code, `${problem}; run the same version of Lockstep on every machine`);
  }
}

function malformed(error: z.ZodError): MessageError {
  return new MessageError(`a control message does not have the agreed form (${firstProblem(error)})`);
}

/** All that is read of a greeting in another version's form. */
const greetingSchema = z.object({ type: z.literal('hello'), protocol: count });

/** Checks what came off the wire. Throws MessageError (E_MESSAGE_INVALID; E_PROTOCOL_VERSION for the hello of another version). */
export function parseWorkerMessage(value: unknown): WorkerMessage {
  const protocol = greetingSchema.safeParse(value).data?.protocol ?? PROTOCOL_VERSION;
  if (protocol !== PROTOCOL_VERSION)
    throw new MessageError(
      `the worker speaks protocol ${protocol}, the coordinator ${PROTOCOL_VERSION}`,
      'E_PROTOCOL_VERSION',
    );
  const parsed = workerMessageSchema.safeParse(value);
  if (!parsed.success) throw malformed(parsed.error);
  return parsed.data;
}

/** Checks what came off the wire. Throws MessageError (E_MESSAGE_INVALID). */
export function parseCoordinatorMessage(value: unknown): CoordinatorMessage {
  const parsed = coordinatorMessageSchema.safeParse(value);
  if (!parsed.success) throw malformed(parsed.error);
  return parsed.data;
}
