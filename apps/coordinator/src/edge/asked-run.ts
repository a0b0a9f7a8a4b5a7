/**
 * Which run is asked for: a new one, one that starts from another's state (`from`), or the one that is in the directory already. Of
 * that one, only what was given is looked at: it must be what the run has; whatever else decides its weights comes from its record.
 *
 * Reads run.json alone, so that `lockstep up` can refuse before it starts a process; the data and the states come later.
 */
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NEWEST_ARITHMETIC, type Arithmetic, type EngineName, type JsonObject, type JsonValue } from '@lockstep/base';
import { DIFFUSION, moduleName, openTask } from '@lockstep/catalog';
import { checkTaskKeys, contradiction, type Given, type RunConfig } from '@lockstep/config';
import { MAX_SUMMANDS, type Wire } from '@lockstep/exact';
import {
  CheckpointError,
  findRun,
  readRun,
  RUN_FILE_NAME,
  storedRun,
  type RunRecord,
  type StoredRun,
  type TaskReference,
} from '@lockstep/run';
import { checkCode, COMMON_KEYS, type RunData, type Task, type TaskData, type TaskModule } from '@lockstep/task';
import { CoordinatorError } from '../errors.js';

export type AskedRun = {
  /** Its code as it is here. */
  readonly reference: TaskReference;
  readonly module: TaskModule;
  readonly task: Task;
  /** The preset whose recipe it begins with; null where the task has none. */
  readonly preset: string | null;
  readonly wire: Wire;
  readonly arithmetic: Arithmetic;
  readonly engine: EngineName;
  /** Where the data was when the run began, or is now that it begins; null: the task finds it by itself. */
  readonly data: string | null;
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
 * @throws ConfigError E_CONFIG_CONFLICT for keys and sizes that do not fit; CheckpointError E_RUN_CONFLICT with all that differs from
 *   the run, E_RUN_MISSING (no run in `from`), E_RUN_CORRUPT; CoordinatorError E_ORIGIN_NETWORK; TaskError E_TASK_*, DiffusionError for
 *   an impossible recipe
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
        : await newRun(config, given);
  checkBatch(asked, config, given);
  return asked;
}

/**
 * Task and data of the run, now that its data is open: what a new run's choice left open may be the data's.
 * @throws CheckpointError E_RUN_CONFLICT; what the task's `fitted` throws
 */
export function taskOn(
  asked: AskedRun,
  config: RunConfig,
  given: Given,
  data: TaskData,
): { readonly task: Task; readonly data: TaskData } {
  if (asked.kind === 'new') return asked.task.fitted?.(data) ?? { task: asked.task, data };
  if (asked.kind === 'existing') {
    const base = ownTask(asked.module, asked.preset);
    const open = givenKeys(asked.module, given).filter(
      (key) => valueOf(config, key) === null && !(key in base.choices),
    );
    const { choices } = open.length === 0 ? base : (base.fitted?.(data).task ?? base);
    const differences = open
      .map((key) => ({ key, stored: asked.task.choices[key], asked: choices[key] }))
      .filter((one) => one.stored !== one.asked);
    if (differences.length > 0) throw conflict(config.out, differences, given);
  }
  return { task: asked.task, data };
}

async function newRun(config: RunConfig, given: Given): Promise<AskedRun> {
  const { wire, engine, seed } = config;
  const { module, reference } = await openedTask(moduleName(config.task));
  checkKeys(config, given, reference.module, module, given.get('task')?.source ?? 'the default');
  const preset = module.keys?.includes('preset') === true ? config.preset : null;
  return {
    kind: 'new',
    reference,
    module,
    task: begun(module, { ...choiceOf(config, module), ...(preset !== null && { preset }) }),
    preset,
    data: locationOf(config.data, module),
    wire,
    arithmetic: NEWEST_ARITHMETIC,
    engine,
    seed,
    mustBe: null,
    moved: null,
  };
}

async function runFrom(config: RunConfig, given: Given, parent: string): Promise<AskedRun> {
  const parentRecord = await readRun(parent);
  const origin = storedRun(parentRecord, parent);
  const { module, reference } = await openedTask(given.has('task') ? moduleName(config.task) : origin.task.module);
  checkKeys(config, given, reference.module, module, given.get('task')?.source ?? join(parent, RUN_FILE_NAME));
  const has = module.create(origin.recipe);
  const named = module.keys?.includes('preset') === true && given.has('preset') ? config.preset : null;
  const preset = named ?? origin.preset;
  const changes = { ...givenChanges(config, given, module, preset), ...(named !== null && { preset: named }) };
  const task = Object.keys(changes).length === 0 ? has : changed(module, origin.recipe, changes);
  const differences = differencesOf(has.network, task.network);
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
    reference,
    module,
    task,
    preset,
    data: mustBe === null ? locationOf(config.data, module) : origin.data,
    wire: given.has('wire') ? config.wire : origin.wire,
    arithmetic: NEWEST_ARITHMETIC,
    engine: config.engine,
    seed: given.has('seed') ? config.seed : (parentRecord.seed + SEED_STEP) % Number.MAX_SAFE_INTEGER,
    mustBe,
    moved: null,
  };
}

async function existingRun(config: RunConfig, given: Given, record: RunRecord): Promise<AskedRun> {
  const stored = storedRun(record, config.out);
  const { module, reference } = await openedTask(await placeOfTask(config, given, stored));
  // A file may lie elsewhere by now, as data may: what counts is what it says.
  checkCode(reference.module, stored.task.code, reference.code);
  checkKeys(config, given, reference.module, module, given.get('task')?.source ?? join(config.out, RUN_FILE_NAME));
  const task = module.create(stored.recipe);
  const differences: Difference[] = [];
  const compare = (key: string, has: unknown, asked: unknown): void => {
    if (given.has(key) && has !== asked) differences.push({ key, stored: has, asked });
  };
  if (stored.preset !== null) compare('preset', stored.preset, config.preset);
  const from = await differentOrigin(config, record);
  if (from !== null) differences.push(from);
  compare('seed', record.seed, config.seed);
  compare('wire', stored.wire, config.wire);
  compare('engine', stored.engine, config.engine);
  for (const [key, asked] of Object.entries(givenChanges(config, given, module, stored.preset))) {
    if (asked === null) continue;
    // Options are given together; what they are read as, the task says.
    if (given.has(key)) compare(key, task.choices[key], asked);
  }
  differences.push(...differentOptions(config, given, module, stored.recipe, task));
  if (differences.length > 0) throw conflict(config.out, differences, given);
  return {
    kind: 'existing',
    record,
    reference,
    module,
    task,
    preset: stored.preset,
    data: stored.data,
    wire: stored.wire,
    arithmetic: stored.arithmetic,
    engine: stored.engine,
    seed: record.seed,
    mustBe: { source: stored.data, digest: record.dataDigest },
    moved: given.has('data') ? locationOf(config.data, module) : null,
  };
}

/** Where the code of a run's task is: where it was, unless another place is given. @throws CheckpointError E_RUN_CONFLICT */
async function placeOfTask(config: RunConfig, given: Given, { task }: StoredRun): Promise<string> {
  if (!given.has('task')) return task.module;
  const asked = moduleName(config.task);
  if ((asked === DIFFUSION) !== (task.module === DIFFUSION))
    throw conflict(config.out, [{ key: 'task', stored: task.module, asked }], given);
  return asked;
}

async function openedTask(name: string): Promise<{ readonly module: TaskModule; readonly reference: TaskReference }> {
  const { module, code } = await openTask(name);
  return { module, reference: { module: name, code } };
}

function checkKeys(config: RunConfig, given: Given, name: string, module: TaskModule, source: string): void {
  checkTaskKeys(config, given, {
    path: name === DIFFUSION ? null : name,
    source,
    keys: module.keys ?? [],
    evaluates: module.can?.includes('evaluate') ?? false,
  });
}

/** The task of a new run of which no more is chosen than the preset. */
function ownTask(module: TaskModule, preset: string | null): Task {
  return begun(module, preset === null ? {} : { preset });
}

function begun(module: TaskModule, choice: JsonObject): Task {
  return module.begin === undefined ? module.create(choice) : module.begin(choice);
}

function changed(module: TaskModule, recipe: JsonObject, changes: JsonObject): Task {
  return module.changed === undefined ? module.create({ ...recipe, ...changes }) : module.changed(recipe, changes);
}

/** Keys of a config that this task takes, but for the preset, which is no part of a recipe. */
function keysOf({ keys = [] }: TaskModule): readonly string[] {
  return [...COMMON_KEYS, ...keys.filter((key) => key !== 'preset')];
}

function givenKeys(module: TaskModule, given: Given): readonly string[] {
  return keysOf(module).filter((key) => given.has(key));
}

function valueOf(config: RunConfig, key: string): JsonValue {
  const values: Readonly<Record<string, JsonValue>> = config;
  return values[key] ?? null;
}

/** What a new run's config chooses: a null chooses nothing. */
function choiceOf(config: RunConfig, module: TaskModule): JsonObject {
  const chosen = keysOf(module).map((key) => [key, valueOf(config, key)] as const);
  return { ...config.options, ...Object.fromEntries(chosen.filter(([, value]) => value !== null)) };
}

/**
 * What was given, as changes of a recipe. A null that was given is the task's own value; but where the task has none before it knows
 * the data, it stays null.
 */
function givenChanges(config: RunConfig, given: Given, module: TaskModule, preset: string | null): JsonObject {
  const keys = givenKeys(module, given);
  const own = keys.some((key) => valueOf(config, key) === null) ? ownTask(module, preset).choices : {};
  const entries = keys.map((key) => [key, valueOf(config, key) ?? own[key] ?? null] as const);
  return { ...(given.has('options') ? config.options : {}), ...Object.fromEntries(entries) };
}

/** Options that were given, and are others than the run's when they are read as the task reads them. */
function differentOptions(
  config: RunConfig,
  given: Given,
  module: TaskModule,
  recipe: JsonObject,
  { choices }: Task,
): Difference[] {
  if (!given.has('options')) return [];
  const asked = changed(module, recipe, config.options).choices;
  return Object.keys(config.options)
    .filter((name) => choices[name] !== asked[name])
    .map((name) => ({ key: 'options', stored: { [name]: choices[name] }, asked: { [name]: asked[name] } }));
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
  const { globalBatch, microbatchSize } = asked.task;
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
      return given.has('preset') && key !== 'wire' ? ownSource(asked) : `the run in ${asked.parent}`;
    case 'new':
      return ownSource(asked);
    default:
      return asked satisfies never;
  }
}

function ownSource({ preset, task }: AskedRun): string {
  return preset === null ? `the task ${task.name}` : `the preset ${preset}`;
}

/** Names of what two networks differ in, with both values. */
function differencesOf(a: JsonObject, b: JsonObject): string[] {
  const shown = (value: JsonValue | undefined): string => (value === undefined ? 'nothing' : JSON.stringify(value));
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .map((key) => [key, shown(a[key]), shown(b[key])] as const)
    .filter(([, has, asked]) => has !== asked)
    .map(([key, has, asked]) => `${key} ${has} there, ${asked} here`);
}

function part(key: 'from' | 'out', config: RunConfig, given: Given): { key: string; value: unknown; source: string } {
  return { key, value: config[key], source: given.get(key)?.source ?? 'the default' };
}

/** Where data is: a name that the task knows, or a path, absolute as workers may run in another folder. */
function locationOf(data: string | null, { dataNames = [] }: TaskModule): string | null {
  if (data === null) return dataNames[0] ?? null;
  return dataNames.includes(data) ? data : resolve(data);
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
