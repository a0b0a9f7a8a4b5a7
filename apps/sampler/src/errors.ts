/** What drawing, exporting and evaluating can fail by. `usage`: the command can be called rightly; its status is then 2, else 1. */
export const SAMPLER_ERRORS = {
  E_SAMPLE_NO_CHECKPOINT: { usage: false, meaning: 'the run holds no whole checkpoint' },
  E_SAMPLE_MODEL: { usage: false, meaning: 'the checkpoint is of a model that this version cannot build' },
  E_SAMPLE_WORKERS: {
    usage: false,
    meaning: 'all workers that drew images died, and so did those started in their place',
  },
  E_SAMPLE_SIZE: { usage: true, meaning: 'the pictures would have more pixels than are written to one file' },
  E_SAMPLE_OPTION: { usage: true, meaning: 'an option has no such value, or does not go with another one' },
  E_SAMPLE_UNCONDITIONAL: { usage: true, meaning: 'a class was asked of a network that knows no classes' },
  E_EXPORT_EXISTS: { usage: false, meaning: 'the folder to export to is there already' },
  E_EVALUATE_SAMPLES: { usage: true, meaning: 'a run cannot be evaluated by so few or so many images' },
  E_EVALUATE_WRITE: { usage: false, meaning: 'a file of the evaluation cannot be written' },
} as const satisfies Record<string, { readonly usage: boolean; readonly meaning: string }>;

export class SamplerError extends Error {
  constructor(
    readonly code: keyof typeof SAMPLER_ERRORS,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'SamplerError';
  }
}
