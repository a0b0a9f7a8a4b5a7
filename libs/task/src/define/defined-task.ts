/** A task made of its author's definition, as all of Lockstep takes tasks (task.ts). */
import type { JsonObject } from '@lockstep/base';
import type { Engine } from '@lockstep/engine';
import { TaskError } from '../errors.js';
import { clipScale, emaDecayAt, learningRateAt, type AdamStep } from '../optimizer/optimizer.js';
import { STREAMS } from '../random/random.js';
import type { ParameterTable } from '../table/parameters.js';
import type { Split, Task, TaskData, TaskModule } from '../task.js';
import { bodyOf, type Body, type Call } from './body.js';
import { calling, Found, thrownBy, within } from './checks.js';
import { definedData } from './defined-data.js';
import type { Options } from './definition.js';
import { initialWeights } from './initial-weights.js';
import { byName, namedTensors } from './loss-graph.js';
import { defaultsOf, givenOf, optionsOf, storedRecipe, type DefinedRecipe } from './options.js';
import { sampleRandom } from './sample-random.js';
import { ReadingTools } from './tools.js';

/** Reading a data set takes seconds; a promise that nothing resolves takes for ever. */
export const OPEN_LIMIT_MS = 120_000;
const LAYOUT = 'as the task defines them; C order';

/** Whether a default export is a definition, not a module of the lower form: that one has no name. */
export function isDefinition(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'name' in value;
}

/** The module of a definition. @param file the task's file, for messages and relative paths */
export function definedModule(definition: object, file: string): TaskModule {
  const found = new Found(definition, `default export of ${file}: `, 'E_TASK_MODULE');
  const name = found.at('name').text();
  const create = found.at('create').callable();
  const defaults = found.at('options').or<Options>({}, defaultsOf);
  const taskOf = (recipe: DefinedRecipe): Task => new DefinedTask(name, file, recipe, create);
  const begin = (base: DefinedRecipe, choice: JsonObject): Task =>
    taskOf({ options: optionsOf(base.options, choice), given: { ...base.given, ...givenOf(choice) } });
  return {
    create: (recipe) => taskOf(storedRecipe(recipe, defaults)),
    begin: (choice) => begin({ options: defaults, given: {} }, choice),
    changed: (recipe, changes) => begin(storedRecipe(recipe, defaults), changes),
  };
}

/** A task that its author wrote as a definition. */
export class DefinedTask implements Task {
  readonly steps: number;
  readonly globalBatch: number;
  readonly microbatchSize: number;
  readonly table: ParameterTable;
  readonly layout = LAYOUT;
  readonly earlyFrom = null;
  readonly recipe: JsonObject;
  readonly choices: JsonObject;
  readonly network: JsonObject;
  private readonly tools: ReadingTools;
  private readonly body: Body;

  /** @throws E_TASK_CREATE, or what a tool throws */
  constructor(
    readonly name: string,
    private readonly file: string,
    { options, given }: DefinedRecipe,
    create: Call,
  ) {
    this.tools = new ReadingTools(file);
    const made = calling('create', 'E_TASK_CREATE', file, () =>
      create({ options: { ...options }, lockstep: this.tools }),
    );
    this.body = bodyOf(new Found(made, `what create of ${file} returns`, 'E_TASK_CREATE'), given);
    const { steps, globalBatch, microbatchSize, table, optimizer } = this.body;
    this.steps = steps;
    this.globalBatch = globalBatch;
    this.microbatchSize = microbatchSize;
    this.table = table;
    this.recipe = { options, given };
    const { learningRate, warmupSteps, ema } = optimizer;
    this.choices = { ...options, steps, globalBatch, microbatchSize, learningRate, warmupSteps, emaDecay: ema };
    this.network = { parameters: table.map(({ name: tensor, shape }) => ({ name: tensor, shape })) };
  }

  initialWeights(seed: number): Float32Array {
    return initialWeights(this.table, this.body.rules, seed);
  }

  updateAt(step: number, gradientNorm: number): AdamStep {
    const { learningRate, warmupSteps, finalFraction, maxGradientNorm, ema, beta1, beta2, eps } = this.body.optimizer;
    const rate = { peak: learningRate, warmup: warmupSteps, total: this.steps, finalFraction };
    return {
      learningRate: learningRateAt(step, rate),
      beta1,
      beta2,
      eps,
      step,
      clipScale: clipScale(gradientNorm, maxGradientNorm),
      emaDecay: emaDecayAt(step, ema),
    };
  }

  /** @throws E_TASK_OPEN, E_TASK_BATCH, E_TASK_IMPURE, E_TASK_TIMEOUT, E_DATA_MISSING */
  open(source: string | null, split: Split): TaskData | Promise<TaskData> {
    const { file, tools, globalBatch } = this;
    const { table, figures, microbatchSize, open, loss } = this.body;
    const dataOf = (returned: unknown): TaskData => {
      if (returned === null && split === 'test')
        throw new TaskError('E_TASK_CANNOT', `${this.name} has no test data: its open returns null for it`);
      return definedData(returned, {
        graph: { loss, table, figures, microbatchSize, file },
        globalBatch,
        filesDigest: () => tools.digest,
      });
    };
    const returned = calling('open', 'E_TASK_OPEN', file, () => open({ source, split, lockstep: tools }));
    if (!(returned instanceof Promise)) return dataOf(returned);
    return within(returned, OPEN_LIMIT_MS, 'open').then(dataOf, (error: unknown) => {
      throw thrownBy('open', 'E_TASK_OPEN', file, error);
    });
  }

  /** Whether its author wrote what to print of a trained network. */
  get samples(): boolean {
    return this.body.sample !== null;
  }

  /**
   * What the author's `sample` makes of weights [P], op by op.
   *
   * @throws E_TASK_SAMPLE, E_TASK_CANNOT
   */
  async sample(engine: Engine, weights: Float32Array, { seed, prompt }: SampleWish): Promise<string> {
    const { file, name } = this;
    const { sample, table } = this.body;
    if (sample === null)
      throw new TaskError('E_TASK_CANNOT', `${name} draws no samples: its create returns no function sample`);
    const flat = engine.tf.tensor(weights);
    const tensors = engine.tf.tidy(() => namedTensors(engine, table, flat));
    const random = sampleRandom({ seed, stream: STREAMS.taskSample, step: 0, position: 0 });
    const given = { tf: engine.tf, weights: byName('weights', table, tensors, 'E_TASK_SAMPLE'), random, prompt };
    try {
      return new Found(await sample(given), `what sample of ${file} returns`, 'E_TASK_SAMPLE').text();
    } catch (error) {
      throw thrownBy('sample', 'E_TASK_SAMPLE', file, error);
    } finally {
      engine.tf.dispose([flat, ...tensors]);
    }
  }
}

export type SampleWish = { readonly seed: number; readonly prompt: string };
