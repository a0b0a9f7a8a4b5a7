/**
 * Which run is asked for: a new one, one that starts from another's state (`from`), or the one that is in the directory already. Of
 * that one, only what was given is looked at: it must be what the run has; whatever else decides its weights comes from its record.
 *
 * Reads run.json alone, so that `lockstep up` can refuse before it starts a process; the data and the states come later.
 */
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CheckpointError, findRun, readRun, RUN_FILE_NAME, type RunRecord } from '@lockstep/run';
import { MAX_SUMMANDS, type Wire } from '@lockstep/exact';
import { contradiction, type Given, type RunConfig } from '@lockstep/config';
import {
  changedRecipe,
  changesOf,
  imageShapeOf,
  MNIST,
  presetFor,
  presetOf,
  recipeFor,
  recipeOf,
  type Dataset,
  type Preset,
  type RecipeChanges,
  type RunData,
} from '@lockstep/diffusion';
import { CoordinatorError } from '../errors.js';
import { storedRun, type StoredRun } from './stored-run.js';

export type AskedRun = StoredRun & {
  readonly seed: number;
  /** What the data must be; null: a new run takes what is there. */
  readonly mustBe: RunData | null;
  /** Where the data is, as given for a run that has its own; null: where it was. */
  readonly moved: string | null;
} & (
    | { readonly kind: 'new' }
    /** Starts from the newest state of the run in `parent`. */
    | { readonly kind: 'from'; readonly parent: string; readonly parentRecord: RunRecord }
    | { readonly kind: 'existing'; readonly record: RunRecord }
  );

/** Steps for the seed of a run that continues another: its random numbers must not be those that the weights have seen. */
const SEED_STEP = 1;

/**
 * @param given what was given, of `config` and perhaps more
 * @throws ConfigError E_CONFIG_CONFLICT for sizes that do not fit; CheckpointError E_RUN_CONFLICT with all that differs from the run,
 *   E_RUN_MISSING (no run in `from`), E_RUN_CORRUPT; CoordinatorError E_ORIGIN_NETWORK; DiffusionError for an impossible recipe
 */
export async function askedRun(config: RunConfig, given: Given): Promise<AskedRun> {
  const record = await findRun(config.out);
  if (config.from !== null && sameFolder(config.from, config.out))
    throw contradiction('a run cannot start from itself', [part('from', config, given), part('out', config, given)]);
  const asked =
    record !== null
      ? await existingRun(config, given, record)
      : config.from !== null
        ? await runFrom(config, given, config.from)
        : newRun(config);
  checkBatch(asked, config, given);
  return asked;
}

/**
 * The recipe, now that the data is known: a new run's network has the shape of the data's images, and perhaps its number of classes.
 * @throws CheckpointError E_RUN_CONFLICT; what recipeFor throws
 */
export function recipeOn(asked: AskedRun, config: RunConfig, given: Given, dataset: Dataset): Preset {
  if (asked.kind === 'new') return recipeFor(config, dataset);
  if (asked.kind === 'existing' && given.has('classes') && config.classes === null) {
    const { classes } = changesOf(recipeFor({ preset: asked.preset }, dataset));
    const stored = changesOf(asked.recipe).classes;
    if (classes !== stored) throw conflict(config.out, [{ key: 'classes', stored, asked: classes }], given);
  }
  return asked.recipe;
}

function newRun(config: RunConfig): AskedRun {
  const { preset, wire, seed } = config;
  return {
    kind: 'new',
    preset,
    data: locationOf(config.data),
    wire,
    recipe: recipeOf(config),
    seed,
    mustBe: null,
    moved: null,
  };
}

async function runFrom(config: RunConfig, given: Given, parent: string): Promise<AskedRun> {
  const parentRecord = await readRun(parent);
  const origin = storedRun(parentRecord, parent);
  const named = given.has('preset') ? presetFor(config.preset, imageShapeOf(origin.recipe.model)) : null;
  // Labels that the network knows are a part of it, whatever the preset would have.
  const known = named?.model.kind === 'unet' && !given.has('classes') ? changesOf(origin.recipe).classes : null;
  const preset = named === null ? origin.preset : config.preset;
  const base = named === null ? origin.recipe : changedRecipe(named, { classes: known });
  const recipe = changedRecipe(base, givenChanges(config, given, preset));
  const differences = differencesOf(origin.recipe.model, recipe.model);
  if (differences.length > 0) {
    throw new CoordinatorError(
      'E_ORIGIN_NETWORK',
      `the run in ${parent} has another network than is asked for (${differences.join(', ')}): its weights do not fit; leave out what changes the network, or start without --from`,
    );
  }
  const mustBe = given.has('data') ? null : { source: origin.data, digest: parentRecord.dataDigest };
  return {
    kind: 'from',
    parent,
    parentRecord,
    preset,
    data: mustBe === null ? locationOf(config.data) : origin.data,
    wire: given.has('wire') ? config.wire : origin.wire,
    recipe,
    seed: given.has('seed') ? config.seed : (parentRecord.seed + SEED_STEP) % Number.MAX_SAFE_INTEGER,
    mustBe,
    moved: null,
  };
}

async function existingRun(config: RunConfig, given: Given, record: RunRecord): Promise<AskedRun> {
  const stored = storedRun(record, config.out);
  const differences: Difference[] = [];
  const compare = (key: string, has: unknown, asked: unknown): void => {
    if (given.has(key) && has !== asked) differences.push({ key, stored: has, asked });
  };
  compare('preset', stored.preset, config.preset);
  const from = await differentOrigin(config, record);
  if (from !== null) differences.push(from);
  compare('seed', record.seed, config.seed);
  compare('wire', stored.wire, config.wire);
  const has = changesOf(stored.recipe);
  for (const [key, asked] of Object.entries(givenChanges(config, given, stored.preset)))
    compare(key, has[key as keyof RecipeChanges], asked);
  if (differences.length > 0) throw conflict(config.out, differences, given);
  const moved = given.has('data') ? locationOf(config.data) : null;
  return {
    kind: 'existing',
    record,
    ...stored,
    seed: record.seed,
    mustBe: { source: stored.data, digest: record.dataDigest },
    moved,
  };
}

/**
 * The changes of the recipe that were given. A null that was given is the preset's own; but how many classes the data has, only the
 * data tells, so a null for those is left out.
 */
function givenChanges(config: RunConfig, given: Given, preset: string): RecipeChanges {
  const values: Readonly<Record<string, unknown>> = config;
  const keys = Object.keys(changesOf(recipeOf({ preset: 'default' })));
  const entries = keys
    .filter((key) => given.has(key))
    .map((key) => [key, values[key] ?? (key === 'classes' ? undefined : changesOf(presetOf(preset))[key as 'steps'])])
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as RecipeChanges;
}

/** A run goes on from its own origin: one that is asked for must be that, as far as it is still there to be looked at. */
async function differentOrigin({ from }: RunConfig, { origin }: RunRecord): Promise<Difference | null> {
  if (from === null) return null;
  if (origin === undefined) return { key: 'from', stored: null, asked: from };
  const parent = await findRun(from);
  return parent === null || parent.runId === origin.runId
    ? null
    : { key: 'from', stored: `run ${origin.runId}`, asked: `run ${parent.runId} in ${from}` };
}

type Difference = { readonly key: string; readonly stored: unknown; readonly asked: unknown };

function conflict(out: string, differences: readonly Difference[], given: Given): CheckpointError {
  const told = differences.map(
    ({ key, stored, asked }) =>
      `${key} is ${JSON.stringify(stored)} there, ${JSON.stringify(asked)} was asked for (${given.get(key)?.source ?? key})`,
  );
  const longer = differences.some(({ key }) => key === 'steps')
    ? `; to train on with other steps, start a new run from this one: --from ${out}`
    : '';
  return new CheckpointError(
    'E_RUN_CONFLICT',
    `${join(out, RUN_FILE_NAME)} is of another run than was asked for: ${told.join('; ')}. Leave that out to go on with the run as it is, or choose another --out${longer}.`,
  );
}

/** Sizes that only the recipe tells together. @throws ConfigError E_CONFIG_CONFLICT */
function checkBatch(asked: AskedRun, config: RunConfig, given: Given): void {
  const { globalBatch, microbatchSize } = asked.recipe;
  const sizes = [
    { key: 'microbatchSize', value: microbatchSize, source: sourceOf('microbatchSize', asked, config, given) },
    { key: 'globalBatch', value: globalBatch, source: sourceOf('globalBatch', asked, config, given) },
  ];
  if (globalBatch % microbatchSize !== 0) throw contradiction('microbatchSize must divide globalBatch', sizes);
  const most = MAX_SUMMANDS[asked.wire];
  if (globalBatch / microbatchSize > most) {
    const wire: { key: string; value: Wire; source: string } = {
      key: 'wire',
      value: asked.wire,
      source: given.has('wire') || asked.kind !== 'new' ? sourceOf('wire', asked, config, given) : 'the default',
    };
    throw contradiction(`with ${asked.wire} on the wire a step must not have more than ${most} microbatches`, [
      wire,
      ...sizes,
    ]);
  }
}

/** Where a value of the recipe comes from, in words. */
function sourceOf(
  key: 'microbatchSize' | 'globalBatch' | 'wire',
  asked: AskedRun,
  config: RunConfig,
  given: Given,
): string {
  const named = config[key] === null ? undefined : given.get(key)?.source;
  if (named !== undefined) return named;
  switch (asked.kind) {
    case 'existing':
      return join(config.out, RUN_FILE_NAME);
    case 'from':
      return given.has('preset') && key !== 'wire' ? `the preset ${asked.preset}` : `the run in ${asked.parent}`;
    case 'new':
      return `the preset ${asked.preset}`;
    default:
      return asked satisfies never;
  }
}

/** Names of what two networks differ in, with both values. */
function differencesOf(a: Preset['model'], b: Preset['model']): string[] {
  const [first, second] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  const shown = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));
  return [...new Set([...first.keys(), ...second.keys()])]
    .map((key) => [key, shown(first.get(key)), shown(second.get(key))] as const)
    .filter(([, has, asked]) => has !== asked)
    .map(([key, has, asked]) => `${key} ${has} there, ${asked} here`);
}

function part(key: 'from' | 'out', config: RunConfig, given: Given): { key: string; value: unknown; source: string } {
  return { key, value: config[key], source: given.get(key)?.source ?? 'the default' };
}

/** Workers may run in another folder. */
function locationOf(data: string | null): string {
  return data === null || data === MNIST ? MNIST : resolve(data);
}

function sameFolder(a: string, b: string): boolean {
  const real = (path: string): string => {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path);
    }
  };
  return real(a) === real(b);
}
