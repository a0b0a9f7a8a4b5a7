/** What drawing and exporting can fail by. */
export const SAMPLER_ERRORS = {
  E_SAMPLE_NO_CHECKPOINT: 'the run holds no whole checkpoint',
  E_SAMPLE_MODEL: 'the checkpoint is of a model that this version cannot build',
  E_SAMPLE_WORKERS: 'all workers that drew images died, and so did those started in their place',
  E_EXPORT_EXISTS: 'the folder to export to is there already',
  E_SAMPLE_SIZE: 'the picture would have more pixels than are written to one file',
} as const;

export class SamplerError extends Error {
  constructor(
    readonly code: keyof typeof SAMPLER_ERRORS,
    message: string,
  ) {
    super(message);
    this.name = 'SamplerError';
  }
}
