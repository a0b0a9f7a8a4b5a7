// What a coordinator costs with many workers: the production core, fed with the messages of N simulated workers, a step after
// another. CPU time of a step: deciding alone, and with reading and writing the messages (msgpackr, zod) as the edge does.
//   node test/bench/scale-coordinator.mjs [--quick] [N ...]      prints JSON; default 8 64 512 4096, quick: 8 64
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { packMessage, parseWorkerMessage, unpackMessage } from '@lockstep/comm';
import { TIERS_FROM, coordinatorStep, initialCoordinatorState } from '@lockstep/coordinator';
import { print, row } from './result.mjs';
import { summary } from './summary.mjs';

const STEPS = 12;
const WARM_UP = 2;
/** The network has so many parameter tensors; each has an exponent in every message about gradients. */
const TENSORS = 120;
const digestOf = (step) => step.toString(16).padStart(64, '0');
const exponents = Array.from({ length: TENSORS }, (_, tensor) => -(tensor % 20));

function measure(workers) {
  const settings = {
    run: 'scale',
    runSettings: {
      data: 'mnist',
      seed: 0,
      recipe: {},
      wire: 'int32',
      checkpointEvery: 1e6,
      dataDigest: digestOf(0),
    },
    steps: 1e6,
    microbatches: workers,
    checkpointEvery: 1e6,
    minWorkers: workers,
    heartbeatTimeoutMs: 5000,
    auditRate: 0,
    numerics: 'strict',
    nonFinite: 'stop',
    tiersFrom: TIERS_FROM,
  };
  const durable = { digestOf };
  let now = 0;
  let state = initialCoordinatorState(
    { committed: 0, generation: 0, checkpoint: null, numerics: null, reproducible: true },
    durable,
    now,
  );
  let inbox = [];
  let deciding = 0;
  let sending = 0;
  let sentBytes = 0;
  let largest = 0;
  const feed = (event) => {
    const started = performance.now();
    const turn = coordinatorStep(state, { ...event, now }, settings, durable);
    deciding += performance.now() - started;
    state = turn.state;
    for (const effect of turn.effects) {
      if (effect.type === 'appendLedger') inbox.push({ type: 'ledgerWritten', step: effect.record.step });
      if (effect.type !== 'send') continue;
      const before = performance.now();
      const bytes = packMessage(effect.message).length;
      sending += performance.now() - before;
      sentBytes += bytes;
      largest = Math.max(largest, bytes);
      answer(effect.worker, effect.message);
    }
  };
  /** What an always quick worker says to a message. */
  const answer = (worker, message) => {
    if (message.type === 'plan') compute(worker, message.generation, message.step, message.work);
    if (message.type === 'reduce') {
      const { generation, step, record } = message;
      say(worker, {
        type: 'applied',
        generation,
        step,
        digest: digestOf(step + 1),
        record: null,
        ringMilliseconds: 1,
        ringBytes: 1,
      });
      void record;
      if (message.next) compute(worker, generation, step + 1, message.next);
    }
  };
  const compute = (worker, generation, step, work) => {
    for (const microbatch of work.microbatches)
      say(worker, {
        type: 'gradient',
        generation,
        step,
        microbatch,
        loss: 1,
        exponents,
        samples: '0'.repeat(16),
        digest: null,
        milliseconds: 100,
        cpuMilliseconds: 100,
      });
  };
  let reading = 0;
  const say = (worker, message) => {
    const packed = packMessage(message);
    const started = performance.now();
    const parsed = parseWorkerMessage(unpackMessage(packed));
    reading += performance.now() - started;
    inbox.push({ type: 'message', worker, message: parsed });
  };
  for (let index = 0; index < workers; index++) {
    const worker = `worker-${String(index).padStart(4, '0')}`;
    feed({ type: 'hello', worker, instance: digestOf(0).slice(32), host: '10.0.0.1', port: 29500, run: null });
    feed({
      type: 'message',
      worker,
      message: {
        type: 'ready',
        have: { step: 0, digest: digestOf(0) },
        record: null,
        generation: 0,
        probe: digestOf(1),
        engine: {},
      },
    });
  }
  feed({ type: 'tick' });
  const samples = { decide: [], read: [], write: [], bytes: [] };
  let last = state.step;
  [deciding, sending, reading, sentBytes, largest] = [0, 0, 0, 0, 0];
  while (state.step < STEPS) {
    const events = inbox;
    inbox = [];
    now += 1;
    // A worker's own messages keep their order; those of others come in between.
    for (const event of events) feed(event);
    if (events.length === 0) throw new Error(`nothing happens at step ${state.step}`);
    if (state.step === last) continue;
    if (state.step > WARM_UP) {
      const steps = state.step - last;
      samples.decide.push(deciding / steps);
      samples.read.push(reading / steps);
      samples.write.push(sending / steps);
      samples.bytes.push(sentBytes / steps);
    }
    last = state.step;
    [deciding, sending, reading, sentBytes] = [0, 0, 0, 0];
  }
  return {
    workers,
    totalMs: summary(samples.decide.map((decide, step) => decide + samples.read[step] + samples.write[step])),
    decideMs: summary(samples.decide),
    readMs: summary(samples.read),
    writeMs: summary(samples.write),
    sentBytes: summary(samples.bytes),
    largestMessageBytes: largest,
  };
}

/** The median of its time for a step of so many workers, ms. */
export function coordinatorCost(workers) {
  const { decideMs, readMs, writeMs } = measure(workers);
  return decideMs.median + readMs.median + writeMs.median;
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false } },
  });
  const sizes = positionals.length > 0 ? positionals.map(Number) : values.quick ? [8, 64] : [8, 64, 512, 4096];
  const results = sizes.map(measure);
  const rows = results.map(({ workers, totalMs }) =>
    row({ name: `coordinator, one core's time a step, ${workers} workers`, unit: 'ms', ours: totalMs }),
  );
  print({ bench: 'scale-coordinator', rows, tensors: TENSORS, results });
}

if (pathToFileURL(process.argv[1]).href === import.meta.url) main();
