/**
 * Every error that Lockstep throws or reports: its stable code, what happened, what to do, severity and exit status. One file a
 * room of codes; docs/reference/errors.md is made of them (npm run reference).
 *
 * To add an error: write its row in its room, throw its package's LockstepError with what happened and what to do, and run
 * `npm run reference`. A test fails for a code that stands in no room, and for a row that nothing names.
 */
import { CLI_ERRORS } from './cli-errors.js';
import { COMM_ERRORS } from './comm-errors.js';
import { CONFIG_ERRORS } from './config-errors.js';
import { COORDINATOR_ERRORS } from './coordinator-errors.js';
import { DIFFUSION_ERRORS } from './diffusion-errors.js';
import { ENGINE_ERRORS } from './engine-errors.js';
import { ENGINE_SETUP_ERRORS } from './engine-setup-errors.js';
import { type ErrorEntry, type ExitStatus, type Program } from './entry.js';
import { EXACT_ERRORS } from './exact-errors.js';
import { RUN_ERRORS } from './run-errors.js';
import { SAMPLER_ERRORS } from './sampler-errors.js';
import { SETUP_ERRORS } from './setup-errors.js';
import { START_ERRORS } from './start-errors.js';
import { SYSTEM_ERRORS } from './system-errors.js';
import { TASK_ERRORS } from './task-errors.js';
import { WORKER_ERRORS } from './worker-errors.js';

/** The rooms with their titles, in the order in which a user meets them. */
export const ERROR_ROOMS = {
  'Config (`libs/config`)': CONFIG_ERRORS,
  'Set-up (`tools/setup.mjs`)': SETUP_ERRORS,
  'Set-up of the engine (`tools/engine`)': ENGINE_SETUP_ERRORS,
  'Starting (`apps/cli/bin`)': START_ERRORS,
  'Command line (`apps/cli`, replay of `apps/worker`)': CLI_ERRORS,
  'Coordinator (`apps/coordinator`)': COORDINATOR_ERRORS,
  'Worker (`apps/worker`)': WORKER_ERRORS,
  'Sampler (`apps/sampler`)': SAMPLER_ERRORS,
  'Communication (`libs/comm`)': COMM_ERRORS,
  'Exact sum (`libs/exact`)': EXACT_ERRORS,
  'Run directory, ledger, checkpoints (`libs/run`)': RUN_ERRORS,
  'Tasks (`libs/task`)': TASK_ERRORS,
  'Diffusion and evaluation (`libs/diffusion`, `libs/evaluation`)': DIFFUSION_ERRORS,
  'Engine (`libs/engine`)': ENGINE_ERRORS,
  Others: SYSTEM_ERRORS,
} as const satisfies Record<string, Readonly<Record<string, ErrorEntry>>>;

/** What holds for many of a room's errors. */
export const ROOM_NOTES: Readonly<Partial<Record<keyof typeof ERROR_ROOMS, string>>> = {
  'Starting (`apps/cli/bin`)': "Of `lockstep` and of nx's targets `serve`, `sample` and `evaluate`.",
  'Coordinator (`apps/coordinator`)':
    'An error of the ledger, or E_CHECKPOINT_WRITE, can also end a run: when a committed step cannot be recorded, or the last checkpoint cannot be ' +
    'published. The coordinator then exits with 1; resume when the cause is gone.',
  'Communication (`libs/comm`)':
    'A ring error does not end a worker: it reports `broken` and waits for the next generation.',
  'Run directory, ledger, checkpoints (`libs/run`)':
    'Exit: the coordinator, when it starts or records a step, and the `lockstep` commands that read. A damaged checkpoint alone ends ' +
    'nothing: it is skipped with a warning and an older one is used.',
  'Tasks (`libs/task`)': 'Exit: of whichever process meets it: the coordinator at its start, a worker, a command.',
  'Diffusion and evaluation (`libs/diffusion`, `libs/evaluation`)':
    'Exit: of whichever process meets it: the coordinator at its start, a worker, a command.',
  'Engine (`libs/engine`)': 'Exit: of whichever process meets it: a worker or a command.',
};

export const ERRORS = {
  ...CONFIG_ERRORS,
  ...SETUP_ERRORS,
  ...ENGINE_SETUP_ERRORS,
  ...START_ERRORS,
  ...CLI_ERRORS,
  ...COORDINATOR_ERRORS,
  ...WORKER_ERRORS,
  ...SAMPLER_ERRORS,
  ...COMM_ERRORS,
  ...EXACT_ERRORS,
  ...RUN_ERRORS,
  ...TASK_ERRORS,
  ...DIFFUSION_ERRORS,
  ...ENGINE_ERRORS,
  ...SYSTEM_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** What a program's status is when it ends by an error of this code. */
export function exitStatusOf(code: ErrorCode, program: Program): ExitStatus {
  const { exit }: ErrorEntry = ERRORS[code];
  return (typeof exit === 'number' ? exit : exit?.[program]) ?? 1;
}
