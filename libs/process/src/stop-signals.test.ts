import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  COPY_MS,
  STOP_SIGNALS,
  SignalJudge,
  onStopSignals,
  statusOfSignal,
  type SignalMeaning,
  type StopSignal,
} from '#src/stop-signals.js';

const judged = (judge: SignalJudge, ...signals: readonly (readonly [StopSignal, number])[]): SignalMeaning[] =>
  signals.map(([signal, at]) => judge.judge(signal, at));
const hangupStops = { warningSignal: 'stop', hangupStops: true } as const;
const inBackground = { warningSignal: 'stop', hangupStops: false } as const;

test('any of the signals stops a job on a terminal', () => {
  for (const signal of STOP_SIGNALS) assert.equal(new SignalJudge(hangupStops).judge(signal, 0), 'stop', signal);
});

test('copies of an order are ignored, the same a second later ends at once', () => {
  const judge = new SignalJudge(hangupStops);
  assert.deepEqual(judged(judge, ['SIGINT', 0], ['SIGINT', 3], ['SIGTERM', COPY_MS - 1]), ['stop', 'ignore', 'ignore']);
  assert.deepEqual(judged(judge, ['SIGINT', COPY_MS], ['SIGINT', COPY_MS + 1]), ['again', 'again']);
});

test('a warning is no order: what comes after it in earnest is the first, however late', () => {
  const judge = new SignalJudge(hangupStops);
  assert.deepEqual(judged(judge, ['SIGXCPU', 0], ['SIGXCPU', 5_000], ['SIGUSR2', 60_000]), [
    'stop',
    'ignore',
    'ignore',
  ]);
  assert.deepEqual(judged(judge, ['SIGTERM', 70_000], ['SIGTERM', 70_000 + COPY_MS]), ['ignore', 'again']);
});

test('where no output is a terminal, the end of the terminal stops nothing, and is told once', () => {
  const judge = new SignalJudge(inBackground);
  assert.deepEqual(judged(judge, ['SIGHUP', 0], ['SIGHUP', 2], ['SIGTERM', 10]), ['hangup', 'ignore', 'stop']);
  assert.equal(judge.judge('SIGHUP', 20_000), 'hangup', 'a supervisor sends it after SIGTERM: that is no second order');
});

test('a warning writes a checkpoint, each time, where that is wished', () => {
  const judge = new SignalJudge({ warningSignal: 'checkpoint', hangupStops: true });
  const times = [0, 1, COPY_MS, 2 * COPY_MS];
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGXCPU'] as const)
    assert.deepEqual(
      times.map((at) => judge.judge(signal, at)),
      ['checkpoint', 'ignore', 'checkpoint', 'checkpoint'],
    );
  assert.equal(judge.judge('SIGTERM', 3 * COPY_MS), 'stop');
});

test('a signal is told to who listens, and does not end the process; the status is that of a shell', async () => {
  const got: StopSignal[] = [];
  const leave = onStopSignals((signal) => got.push(signal));
  for (const signal of STOP_SIGNALS) process.kill(process.pid, signal);
  while (got.length < STOP_SIGNALS.length) await new Promise((resolve) => setTimeout(resolve, 5));
  leave();
  assert.deepEqual(new Set(got), new Set(STOP_SIGNALS));
  assert.deepEqual(
    (['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU'] as const).map(statusOfSignal),
    [129, 130, 143, 138, 140, 152],
  );
});
