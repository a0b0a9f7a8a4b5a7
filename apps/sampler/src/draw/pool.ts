/** The worker processes of a drawing job: started, given batches, replaced when they die. */
import { fork, type ChildProcess, type StdioOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LockstepError, isErrorCode } from '@lockstep/base';
import { finish, give, handoutOf, isOver, lose, type Handout } from './handout.js';
import { fromWorkerSchema, type DrawJob, type FromWorker, type ToWorker } from './job.js';
import { SILENCE_MS, watchProcess, type Watch } from './silence.js';

/** Workers started in place of those that died, in one job: what passes, such as a lack of memory, has passed by then. */
const MAX_RESTARTS = 3;
/** No process has it. */
const NO_PROCESS = -1;
export interface DrawTask {
  readonly job: DrawJob;
  readonly batches: number;
  /** One environment a worker process; the engine reads it when it is loaded. */
  readonly environments: readonly NodeJS.ProcessEnv[];
  /** So many steps of a batch are done; it begins at 1 again where another worker takes the batch over. */
  readonly onStep: (batch: number, done: number) => void;
  readonly onDrawn: (batch: number, images: Float32Array) => void;
  readonly warn: (text: string) => void;
  /** Module of the worker processes; the production one if left out. */
  readonly module?: URL;
  /** Notices that a worker hangs; by what it computes if left out. */
  readonly watch?: (silent: () => void, pid: number) => Watch;
}

/**
 * Draws batches 0 .. batches-1, each once, in any order. Leaves no worker behind.
 * @throws LockstepError E_SAMPLE_WORKERS when all workers have died; another with a worker's own code
 */
export async function drawBatches(task: DrawTask): Promise<void> {
  const pool = new Pool(task);
  try {
    await pool.run();
  } finally {
    pool.close();
  }
}

type Worker = { readonly name: string; readonly child: ChildProcess; readonly silence: Watch };

class Pool {
  private handout: Handout;
  private readonly workers = new Map<string, Worker>();
  private readonly idle = new Set<string>();
  private restarts = 0;
  private settle: (error?: Error) => void = () => undefined;

  constructor(private readonly task: DrawTask) {
    this.handout = handoutOf(task.batches);
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settle = (error) => (error === undefined ? resolve() : reject(error));
      this.task.environments.forEach((env, index) => this.start(`worker-${index}`, env));
    });
  }

  /** Workers leave when their channel closes, at the end of the step that they are in. */
  close(): void {
    for (const { child, silence } of this.workers.values()) {
      silence.end();
      child.removeAllListeners();
      if (child.connected) child.disconnect();
      child.unref();
    }
    this.workers.clear();
  }

  private start(name: string, env: NodeJS.ProcessEnv): void {
    const { job, warn, module = new URL('./draw-worker.js', import.meta.url), watch = watchProcess } = this.task;
    const stdio: StdioOptions = ['ignore', 'ignore', 'inherit', 'ipc'];
    // Advanced: arrays of numbers go through the channel as bytes.
    const child = fork(fileURLToPath(module), [], { env, serialization: 'advanced', stdio });
    // A process that could not be started has no id, and ends by its error.
    const silence = watch(() => {
      if (this.idle.has(name)) {
        silence.refresh();
        return;
      }
      warn(`E_SAMPLE_WORKER: ${name} has said nothing for ${SILENCE_MS / 1000} s or more, and hangs: it is ended`);
      child.kill('SIGKILL');
    }, child.pid ?? NO_PROCESS);
    const worker: Worker = { name, child, silence };
    this.workers.set(name, worker);
    child.on('message', (raw) => {
      silence.refresh();
      // What a dead worker said last may come after its death; its batch has been given away.
      if (this.workers.get(name) === worker) this.told(worker, fromWorkerSchema.parse(raw));
    });
    child.on('error', (error) => this.lost(worker, env, error.message));
    child.on('exit', (code, signal) => this.lost(worker, env, signal ?? `status ${code ?? '?'}`));
    send(child, { kind: 'job', job });
  }

  private told(worker: Worker, message: FromWorker): void {
    const batch = this.handout.drawing.get(worker.name);
    switch (message.kind) {
      case 'ready':
        return this.occupy(worker);
      case 'step':
        if (batch !== undefined) this.task.onStep(batch, message.done);
        return;
      case 'drawn':
        this.handout = finish(this.handout, worker.name);
        if (batch !== undefined) this.task.onDrawn(batch, message.images);
        return this.occupy(worker);
      case 'failed':
        return this.settle(new LockstepError(isErrorCode(message.code) ? message.code : 'E_INTERNAL', message.message));
      default:
        return message satisfies never;
    }
  }

  /** Gives a batch to a worker that has none. */
  private occupy(worker: Worker): void {
    if (isOver(this.handout)) return this.settle();
    const { handout, batch } = give(this.handout, worker.name);
    this.handout = handout;
    if (batch === null) {
      this.idle.add(worker.name);
      return;
    }
    this.idle.delete(worker.name);
    worker.silence.refresh();
    send(worker.child, { kind: 'batch', batch });
  }

  private lost(worker: Worker, env: NodeJS.ProcessEnv, how: string): void {
    const { name, silence } = worker;
    if (this.workers.get(name) !== worker) return;
    silence.end();
    this.workers.delete(name);
    this.idle.delete(name);
    this.handout = lose(this.handout, name);
    const [free] = this.idle;
    const taker = free === undefined ? undefined : this.workers.get(free);
    if (taker !== undefined) this.occupy(taker);
    const again = this.handout.waiting.length > 0 && this.restarts < MAX_RESTARTS;
    this.task.warn(`E_SAMPLE_WORKER: ${name} died (${how}); ${again ? 'another is started' : 'the others go on'}`);
    if (again) {
      this.restarts++;
      this.start(name, env);
    }
    if (this.workers.size === 0)
      this.settle(
        new LockstepError(
          'E_SAMPLE_WORKERS',
          `all drawing workers died, the last one by ${how}; what they said is above, if they could say it. A lack of memory can be a reason: fewer --workers need less`,
        ),
      );
  }
}

/** An error is told by the worker's end, which is noticed in any case. */
function send(child: ChildProcess, message: ToWorker): void {
  child.send(message, () => undefined);
}
