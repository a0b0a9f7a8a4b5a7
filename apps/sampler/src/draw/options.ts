/**
 * What the options of a drawing mean, with what the run's recipe allows: the sampler, the grid's cells, each image's class. No input or
 * output. Which samplers there are is said in libs/diffusion, sampling/sampler.ts.
 */
import {
  checkedLabel,
  classCount,
  MAX_GUIDANCE,
  noLabel,
  SAMPLERS,
  type ModelConfig,
  type SamplerConfig,
  type SamplerKind,
} from '@lockstep/diffusion';
import { SamplerError } from '../errors.js';
import { IMAGES_A_BATCH, type DrawCondition } from './job.js';

/** Strong enough that nearly every digit is of its class, while they still differ from one another. */
const USUAL_GUIDANCE = 2;

export interface SamplerChoice {
  /** Null: the recipe's. */
  readonly sampler: SamplerKind | null;
  readonly steps: number | null;
  /** Of DDIM; null: 0. */
  readonly eta: number | null;
  /** Of DDPM; null: beta. */
  readonly variance: 'beta' | 'posterior' | null;
}

/**
 * The sampler that was asked for, else the recipe's.
 * @throws SamplerError E_SAMPLE_OPTION for an option that the sampler does not have
 */
export function chosenSampler(usual: SamplerConfig, { sampler, steps, eta, variance }: SamplerChoice): SamplerConfig {
  const base = sampler === null || sampler === usual.kind ? usual : SAMPLERS[sampler];
  const chosen = { ...base, steps: steps ?? (sampler === null ? usual.steps : SAMPLERS[sampler].steps) };
  if (eta !== null && chosen.kind !== 'ddim') throw optionOfAnother('--eta', 'ddim', chosen.kind);
  if (variance !== null && chosen.kind !== 'ddpm') throw optionOfAnother('--variance', 'ddpm', chosen.kind);
  switch (chosen.kind) {
    case 'ddpm':
      return { ...chosen, variance: variance ?? chosen.variance };
    case 'ddim':
      return { ...chosen, eta: eta ?? chosen.eta };
    case 'dpmpp2m':
      return chosen;
    default:
      return chosen satisfies never;
  }
}

function optionOfAnother(option: string, sampler: SamplerKind, chosen: SamplerKind): SamplerError {
  return new SamplerError(
    'E_SAMPLE_OPTION',
    `${option} is of --sampler ${sampler}, but the sampler is ${chosen}; leave it out, or choose ${sampler}`,
  );
}

export interface ClassChoice {
  /** One class for all images, `none` for no label; null: every class in turn. */
  readonly class: number | 'none' | null;
  /** A row of the grid for each class. */
  readonly allClasses: boolean;
  /** Null: the usual one. */
  readonly guidance: number | null;
}

export interface Cells {
  readonly rows: number;
  readonly columns: number;
}

/** The grid's cells: with a row a class, only the columns of what was asked for count. */
export function chosenCells(model: ModelConfig, { allClasses }: ClassChoice, { rows, columns }: Cells): Cells {
  return { rows: allClasses ? classCount(model) : rows, columns };
}

/**
 * The label of each image of whole batches, and the guidance; null for a network that knows no labels.
 * @throws SamplerError E_SAMPLE_UNCONDITIONAL, E_SAMPLE_OPTION; DiffusionError E_LABEL
 */
export function chosenCondition(
  model: ModelConfig,
  choice: ClassChoice,
  { rows, columns }: Cells,
): DrawCondition | null {
  const classes = classCount(model);
  if (classes === 0) {
    if (choice.class === null && !choice.allClasses && choice.guidance === null) return null;
    throw new SamplerError(
      'E_SAMPLE_UNCONDITIONAL',
      'the run trained a network without classes, so there is no --class, --all-classes or --guidance; leave them out, or train with classes (lockstep up --classes)',
    );
  }
  if (choice.allClasses && choice.class !== null)
    throw new SamplerError('E_SAMPLE_OPTION', '--all-classes and --class exclude each other; leave one of them out');
  if (choice.class === 'none' && choice.guidance !== null)
    throw new SamplerError('E_SAMPLE_OPTION', '--guidance needs a class to guide to; leave it out, or --class none');
  const guidance = choice.class === 'none' ? 0 : (choice.guidance ?? USUAL_GUIDANCE);
  if (guidance > MAX_GUIDANCE)
    throw new SamplerError('E_SAMPLE_OPTION', `--guidance is ${guidance}; use a number from 0 to ${MAX_GUIDANCE}`);
  const labels = new Int32Array(IMAGES_A_BATCH * Math.ceil((rows * columns) / IMAGES_A_BATCH));
  const labelOf = (image: number): number => {
    if (choice.class === 'none') return noLabel(classes);
    if (choice.class !== null) return checkedLabel(choice.class, classes);
    return (choice.allClasses ? Math.floor(image / columns) : image) % classes;
  };
  labels.forEach((_, image) => (labels[image] = labelOf(image)));
  return { labels, guidance };
}
