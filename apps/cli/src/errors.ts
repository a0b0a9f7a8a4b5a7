/** What the command line itself refuses or finds. `usage`: the caller can call it rightly; the status is then 2, else 1. */
import { CheckpointError, type CheckpointErrorCode } from '@lockstep/run';
import { ConfigError } from '@lockstep/config';
import { CoordinatorError } from '@lockstep/coordinator';
import { DiffusionError, type DiffusionErrorCode } from '@lockstep/diffusion';
import { SAMPLER_ERRORS, SamplerError } from '@lockstep/sampler';
import { ReplayError } from '@lockstep/worker/replay';

export const CLI_ERRORS = {
  E_RUN_EXISTS: { usage: true, meaning: 'the directory already holds a run and --resume was not given' },
  E_NOTHING_TO_RESUME: { usage: true, meaning: '--resume was given but the directory holds no run' },
  E_TRACE_FILE: { usage: true, meaning: 'the file that --trace names cannot be written' },
  E_NO_CHECKPOINT: { usage: true, meaning: 'the directory holds no whole checkpoint' },
  E_VERIFY_RUN: { usage: false, meaning: 'run.json holds no recipe that this version reads' },
  E_VERIFY_CHANGED: { usage: false, meaning: 'the run went back to an earlier step while it was verified' },
  /** Told in place of being thrown, as the next one: what was asked for goes on. */
  E_LOG_WRITE: { usage: false, meaning: 'a file in logs/ cannot be written; what belongs there is lost' },
  E_OUTPUT_WRITE: { usage: false, meaning: 'standard output cannot be written, such as by a full disk' },
  E_STATUS_ADDRESS: { usage: true, meaning: 'the address is none, or the directory holds no address of a coordinator' },
  E_STATUS_UNREACHABLE: { usage: false, meaning: 'no coordinator answers at the address' },
  E_STATUS_FORMAT: { usage: false, meaning: 'what answers at the address is no coordinator of this version' },
} as const satisfies Record<string, { readonly usage: boolean; readonly meaning: string }>;

export class CliError extends Error {
  constructor(
    readonly code: keyof typeof CLI_ERRORS,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CliError';
  }
}

/** What only an option can have caused here: what a run stores is refused by other codes. */
const USAGE_CODES: readonly DiffusionErrorCode[] = ['E_SAMPLER', 'E_LABEL', 'E_RECIPE', 'E_MODEL_CONFIG'];

/** A folder or a file was named wrongly. */
const USAGE_CHECKPOINT: readonly CheckpointErrorCode[] = ['E_RUN_MISSING', 'E_OUTPUT_PATH'];

/** Exit status after `error`: 2 if the command was called wrongly, else 1. */
export function exitStatusOf(error: unknown): 1 | 2 {
  if (error instanceof ConfigError) return 2;
  if (error instanceof ReplayError) return error.usage ? 2 : 1;
  if (error instanceof SamplerError) return SAMPLER_ERRORS[error.code].usage ? 2 : 1;
  if (error instanceof DiffusionError) return USAGE_CODES.includes(error.code) ? 2 : 1;
  if (error instanceof CoordinatorError) return error.code === 'E_ORIGIN_NETWORK' ? 2 : 1;
  if (error instanceof CliError) return CLI_ERRORS[error.code].usage ? 2 : 1;
  return error instanceof CheckpointError && USAGE_CHECKPOINT.includes(error.code) ? 2 : 1;
}
