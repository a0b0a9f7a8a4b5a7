/** What the command line itself refuses. */
export const CLI_ERRORS = {
  E_RUN_EXISTS: 'the directory already holds a run and --resume was not given',
  E_NOTHING_TO_RESUME: '--resume was given but the directory holds no run',
  E_NO_CHECKPOINT: 'the directory holds no whole checkpoint',
} as const;

export class CliError extends Error {
  constructor(
    readonly code: keyof typeof CLI_ERRORS,
    message: string,
  ) {
    super(message);
    this.name = 'CliError';
  }
}
