/** What a worker process says of its end to `lockstep up`, and what follows from it. */
import { EXIT, type ErrorCode } from '@lockstep/base';
import { z } from 'zod';

/** Over the fork's channel, as the last message. */
export const workerChannelSchema = z.object({
  kind: z.literal('ended'),
  /** Exit status. */
  status: z.int(),
  code: z.string(),
  reason: z.string(),
  /** It had come so far that it could take part in the run. */
  ready: z.boolean(),
});

export type WorkerEnd = z.infer<typeof workerChannelSchema>;

/** Ends at the start that may not come again: a lack that passes, or a cause that is not known. */
const MAY_PASS: ReadonlySet<string> = new Set([
  'E_INTERNAL',
  'E_COMPUTE_THREAD',
  'E_COORDINATOR_UNREACHABLE',
  'E_RESOURCES',
] satisfies ErrorCode[]);

/**
 * Whether a worker that ended is worth another try. `said`: its last message, or null if it ended before it could say anything,
 * as one that is killed does.
 */
export function isWorthAnotherTry(said: WorkerEnd | null, { status }: { readonly status: number | null }): boolean {
  // Whom the coordinator refused it would refuse again.
  if (status === EXIT.refused) return false;
  // What stops a worker by its own judgement before it could take part (config, engine, data) would stop the next one too.
  return said === null || said.ready || MAY_PASS.has(said.code);
}

/** Code and first line of the reason: more of a stack is in its log. */
export function wordsOf({ code, reason }: WorkerEnd): string {
  return `${code}: ${firstLineOf(reason)}`;
}

export function firstLineOf(text: string): string {
  return text.split('\n', 1)[0];
}
