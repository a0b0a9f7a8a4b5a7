/** What drawing and exporting can fail by. */
export const SAMPLER_ERRORS = {
  E_SAMPLE_NO_CHECKPOINT: 'the run holds no whole checkpoint',
  E_SAMPLE_MODEL: 'the checkpoint is of a model that this version cannot build',
  E_SAMPLE_WORKERS: 'all workers that drew images died, and so did those started in their place',
  E_EXPORT_EXISTS: 'the folder to export to is there already',
  E_SAMPLE_SIZE: 'the picture would have more pixels than are written to one file',
  E_EVALUATE_DATA: 'the data here is not the data that the run was trained on',
  E_EVALUATE_SAMPLES: 'a run cannot be evaluated by so few or so many images',
  E_EVALUATE_WRITE: 'a file of the evaluation cannot be written',
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
