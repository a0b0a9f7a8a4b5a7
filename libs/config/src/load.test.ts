import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { describeConfig } from '#src/describe.js';
import { exitStatusOf } from '@lockstep/base';
import { ConfigError } from '#src/errors.js';
import { parseFlags } from '#src/flags.js';
import { loadConfig, loadGiven } from '#src/load.js';
import type { RunConfig } from '#src/keys/run-schema.js';
import { checkTaskKeys, type TrainedTask } from '#src/task-keys.js';
import { PROCESS_VARIABLES, SCHEMAS, type SchemaName } from '#src/schemas.js';

const nothing = { env: {}, flags: {} };
const names: readonly SchemaName[] = ['run', 'worker', 'up'];

function configFile(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-config-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'run.json');
  writeFileSync(path, text);
  return path;
}

const refused =
  (code: string, ...parts: string[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.code, code);
    assert.equal(exitStatusOf(error.code, 'coordinator'), 2);
    for (const part of parts)
      assert.ok(error.message.includes(part), `${JSON.stringify(error.message)} must name ${part}`);
    return true;
  };

test('with nothing given every key has its documented default', () => {
  for (const schema of names) {
    const expected = Object.fromEntries(describeConfig(schema).map((key) => [key.key, key.default]));
    assert.deepEqual({ ...loadConfig({ schema, ...nothing }) }, expected, schema);
  }
  const run = loadConfig({ schema: 'run', ...nothing });
  assert.deepEqual(
    [
      run.preset,
      run.steps,
      run.globalBatch,
      run.microbatchSize,
      run.checkpointEvery,
      run.keepCheckpoints,
      run.minWorkers,
      run.heartbeatTimeoutMs,
    ],
    ['default', null, null, null, 200, 3, 1, 5000],
  );
});

test('the types of a config are those of its keys', () => {
  const run: RunConfig = loadConfig({ schema: 'run', ...nothing });
  const numerics: 'strict' | 'relaxed' = run.numerics;
  const learningRate: number | null = run.learningRate;
  // @ts-expect-error a choice is never any other word
  const wrong: 'other' = run.numerics;
  // @ts-expect-error a config cannot be assigned to
  const assign = (): number => (run.steps = 1);
  assert.deepEqual([numerics, learningRate, wrong, typeof assign], ['strict', null, 'strict', 'function']);
});

test('flags win over the environment, the environment over the file, the file over defaults', (context) => {
  const file = configFile(context, '{"steps": 10, "seed": 10, "checkpointEvery": 10}');
  const env = { LOCKSTEP_SEED: '20', LOCKSTEP_CHECKPOINT_EVERY: '20', HOME: '/root' };
  const config = loadConfig({ schema: 'run', file, env, flags: { 'checkpoint-every': '30', steps: undefined } });
  assert.deepEqual([config.steps, config.seed, config.checkpointEvery, config.keepCheckpoints], [10, 20, 30, 3]);
});

test('a value that a higher source overrides must still be valid', (context) => {
  const file = configFile(context, '{"steps": 0}');
  assert.throws(
    () => loadConfig({ schema: 'run', file, env: {}, flags: { steps: 5 } }),
    refused('E_CONFIG_BAD_VALUE', 'steps', file),
  );
});

test('flags are known with dashes and in camel case, as text and as values', () => {
  const config = loadConfig({
    schema: 'up',
    env: {},
    flags: { 'global-batch': '64', microbatchSize: 16, 'learning-rate': '1e-3', workers: '4' },
  });
  assert.deepEqual(
    [config.globalBatch, config.microbatchSize, config.learningRate, config.workers],
    [64, 16, 0.001, 4],
  );
});

test('a key that may be null takes null from a file and the word null from text', (context) => {
  const file = configFile(context, '{"learningRate": 0.5}');
  assert.equal(
    loadConfig({ schema: 'run', file, env: { LOCKSTEP_LEARNING_RATE: 'null' }, flags: {} }).learningRate,
    null,
  );
  assert.throws(
    () => loadConfig({ schema: 'run', file: configFile(context, '{"seed": null}'), ...nothing }),
    refused('E_CONFIG_BAD_VALUE', 'seed', 'null'),
  );
});

test('a config is frozen all through', () => {
  for (const schema of names) {
    const config = loadConfig({ schema, ...nothing });
    assert.ok(Object.isFrozen(config));
    for (const value of Object.values(config)) assert.ok(Object.isFrozen(value), 'only frozen or primitive values');
    assert.throws(() => Object.assign(config, { port: 1 }), TypeError);
  }
});

test('an unknown key is refused, naming it, its value and its source, from each source', (context) => {
  const file = configFile(context, '{"stepps": 5}');
  assert.throws(
    () => loadConfig({ schema: 'run', file, ...nothing }),
    refused('E_CONFIG_UNKNOWN_KEY', '"stepps"', '5', file, 'Did you mean steps?'),
  );
  assert.throws(
    () => loadConfig({ schema: 'run', env: { LOCKSTEP_STEP: '5' }, flags: {} }),
    refused('E_CONFIG_UNKNOWN_KEY', 'environment variable LOCKSTEP_STEP', '"5"', 'Did you mean LOCKSTEP_STEPS?'),
  );
  assert.throws(
    () => loadConfig({ schema: 'run', env: {}, flags: { 'globl-batch': 5 } }),
    refused('E_CONFIG_UNKNOWN_KEY', 'flag --globl-batch', '5', 'Did you mean --global-batch?'),
  );
  assert.throws(
    () => loadConfig({ schema: 'run', env: {}, flags: { zzzzzzzz: true } }),
    (error) => refused('E_CONFIG_UNKNOWN_KEY', '--zzzzzzzz', 'true')(error) && !String(error).includes('Did you mean'),
  );
});

test('names that every object has are unknown keys too', (context) => {
  for (const key of ['__proto__', 'constructor', 'toString']) {
    const file = configFile(context, `{"${key}": 1}`);
    assert.throws(() => loadConfig({ schema: 'run', file, ...nothing }), refused('E_CONFIG_UNKNOWN_KEY', key));
  }
});

test('a bad value is refused, naming key, value, source and what is allowed, from each source', (context) => {
  const file = configFile(context, '{"heartbeatTimeoutMs": 499}');
  assert.throws(
    () => loadConfig({ schema: 'run', file, ...nothing }),
    refused('E_CONFIG_BAD_VALUE', 'heartbeatTimeoutMs', '499', file, 'a whole number in 500..3600000'),
  );
  assert.throws(
    () => loadConfig({ schema: 'run', env: { LOCKSTEP_PRESET: 'huge' }, flags: {} }),
    refused(
      'E_CONFIG_BAD_VALUE',
      'preset',
      '"huge"',
      'environment variable LOCKSTEP_PRESET',
      'default, tiny, seed, seed-16, seed-64, seed-128',
    ),
  );
  assert.throws(
    () => loadConfig({ schema: 'run', env: {}, flags: { steps: '12x' } }),
    refused('E_CONFIG_BAD_VALUE', 'steps', '"12x"', 'flag --steps', 'whole number'),
  );
});

test('text that only begins like a number, or is none, is never a number', () => {
  for (const text of ['', ' ', '12 ', '0x10', '1e', '1,000', 'NaN', 'Infinity', '1.5', '-1', '0', '9007199254740993']) {
    assert.throws(
      () => loadConfig({ schema: 'run', env: { LOCKSTEP_STEPS: text }, flags: {} }),
      refused('E_CONFIG_BAD_VALUE', 'steps'),
      JSON.stringify(text),
    );
  }
  assert.equal(loadConfig({ schema: 'run', env: { LOCKSTEP_SEED: '9007199254740991' }, flags: {} }).seed, 2 ** 53 - 1);
});

test('values of another kind are refused', (context) => {
  for (const text of [
    '{"steps": "5"}',
    '{"steps": true}',
    '{"steps": [5]}',
    '{"out": ""}',
    '{"out": {"a": 1}}',
    '{"learningRate": 0}',
    '{"port": 65536}',
  ]) {
    assert.throws(
      () => loadConfig({ schema: 'run', file: configFile(context, text), ...nothing }),
      refused('E_CONFIG_BAD_VALUE'),
      text,
    );
  }
  for (const coordinator of ['127.0.0.1:29400', 'http://host', 'ws://']) {
    assert.throws(
      () => loadConfig({ schema: 'worker', env: {}, flags: { coordinator } }),
      refused('E_CONFIG_BAD_VALUE', 'coordinator'),
      coordinator,
    );
  }
});

test('a host is an address or a name alone, without brackets, zone, port or scheme', () => {
  for (const host of ['127.0.0.1', '0.0.0.0', '::', '::1', 'fe80::1', 'localhost', 'head-0.cluster.example']) {
    assert.equal(loadConfig({ schema: 'up', env: {}, flags: { host } }).host, host);
    assert.equal(loadConfig({ schema: 'worker', env: {}, flags: { advertiseHost: host } }).advertiseHost, host);
    const allowedHosts = `${host}, .example.org`;
    assert.equal(loadConfig({ schema: 'worker', env: {}, flags: { allowedHosts } }).allowedHosts, allowedHosts);
  }
  for (const host of ['', '[::1]', 'fe80::1%eth0', '127.0.0.1:29400', 'http://head', 'a b', 'a..b', '*', 'a/b'])
    for (const sources of [
      { schema: 'run', flags: { host } },
      { schema: 'up', flags: { host } },
      { schema: 'worker', flags: { host } },
      { schema: 'worker', flags: { advertiseHost: host } },
      { schema: 'up', flags: { allowedHosts: `head,${host}` } },
    ] as const)
      assert.throws(() => loadConfig({ env: {}, ...sources }), refused('E_CONFIG_BAD_VALUE', 'host name'), host);
});

test('a switch stands alone as a flag, and does not swallow what follows; its variable is true or false', () => {
  const given = (...argv: string[]) => loadConfig({ schema: 'run', env: {}, ...parseFlags('run', argv) });
  const { takeOver, port } = given('--take-over', '--port', '0');
  assert.deepEqual([takeOver, port, given().takeOver], [true, 0, false]);
  assert.deepEqual([given('--take-over=true').takeOver, given('--take-over=false').takeOver], [true, false]);
  const env = { LOCKSTEP_TAKE_OVER: 'true' };
  assert.equal(loadConfig({ schema: 'up', env, flags: {} }).takeOver, true);
  assert.equal(loadConfig({ schema: 'up', env, flags: { takeOver: 'false' } }).takeOver, false);
  assert.throws(() => given('--take-over=yes'), refused('E_CONFIG_BAD_VALUE', 'true or false'));
  assert.throws(() => given('--take-over', 'true'), refused('E_CONFIG_UNKNOWN_KEY', '"true"'));
});

test('a file that is missing, no JSON or no object is refused by name', (context) => {
  const missing = join(tmpdir(), 'lockstep-no-such-file.json');
  assert.throws(() => loadConfig({ schema: 'run', file: missing, ...nothing }), refused('E_CONFIG_FILE', missing));
  for (const text of ['', '{"steps":', '[]', 'null', '5']) {
    const file = configFile(context, text);
    assert.throws(() => loadConfig({ schema: 'run', file, ...nothing }), refused('E_CONFIG_FILE', file), text);
  }
});

test('a whole number that is refused is told how large it may be, whichever key it is of', () => {
  const largest = String(Number.MAX_SAFE_INTEGER);
  assert.throws(
    () => loadConfig({ schema: 'run', env: {}, flags: { seed: '9007199254740992' } }),
    refused('E_CONFIG_BAD_VALUE', 'seed is "9007199254740992"', `a whole number in 0..${largest}`),
  );
  for (const schema of names) {
    for (const { key, allowed } of describeConfig(schema).filter((described) => described.allowed.includes('whole'))) {
      const [, least = '', most = ''] = /^a whole number in (\d+)\.\.(\d+)(, or null)?$/.exec(allowed) ?? [];
      const load = (value: number) => loadConfig({ schema, env: {}, flags: { [key]: value } });
      assert.ok(Number.isSafeInteger(Number(most)), `${key}: ${allowed}`);
      assert.throws(() => load(Number(most) + 1), refused('E_CONFIG_BAD_VALUE', key, most));
      assert.throws(() => load(Number(least) - 1), refused('E_CONFIG_BAD_VALUE', key, least));
    }
  }
});

test('keys that contradict each other are both named, with their sources', () => {
  assert.throws(
    () => loadConfig({ schema: 'up', env: {}, flags: { 'min-workers': 3, workers: 2 } }),
    refused('E_CONFIG_CONFLICT', 'minWorkers is 3 (from flag --min-workers)', 'workers is 2 (from flag --workers)'),
  );
  assert.equal(loadConfig({ schema: 'run', env: {}, flags: { 'min-workers': 3 } }).minWorkers, 3);
  // Not asked for, so many are started.
  assert.equal(loadConfig({ schema: 'up', env: {}, flags: { 'min-workers': 3 } }).workers, null);
});

test('what was given is told from what has its default, with the layer that it comes from', (context) => {
  const file = configFile(context, '{"steps": 10, "seed": 1, "wire": "int32"}');
  const env = { LOCKSTEP_SEED: '2', LOCKSTEP_WORKERS: '3' };
  const { config, given } = loadGiven({ schema: 'run', file, env, flags: { seed: '0', learningRate: null } });
  assert.equal(config.seed, 0);
  assert.deepEqual([...given].map(([key, { layer, source }]) => [key, layer, source]).sort(), [
    ['learningRate', 'flag', 'flag --learning-rate'],
    ['seed', 'flag', 'flag --seed'],
    ['steps', 'file', `file ${file}`],
    ['wire', 'file', `file ${file}`],
  ]);
});

test('the wire is int32 unless it is chosen', () => {
  const load = (env: Record<string, string>) => loadConfig({ schema: 'up', env, flags: {} });
  assert.equal(load({}).wire, 'int32');
  assert.equal(load({ LOCKSTEP_WIRE: 'int16' }).wire, 'int16');
  assert.throws(() => load({ LOCKSTEP_WIRE: 'int8' }), refused('E_CONFIG_BAD_VALUE', 'wire', '"int8"', 'int32, int16'));
});

test('variables of tools and of other schemas are let pass, so that processes can inherit them', () => {
  const inherited = Object.fromEntries(
    PROCESS_VARIABLES.filter((name) => name !== 'LOCKSTEP_DEVICE').map((name) => [name, 'anything']),
  );
  const env = { ...inherited, LOCKSTEP_DEVICE: 'cuda', LOCKSTEP_STEPS: '7', LOCKSTEP_WORKERS: '3' };
  assert.equal(loadConfig({ schema: 'worker', env, flags: {} }).device, 'cuda');
  assert.throws(
    () => loadConfig({ schema: 'worker', env: {}, flags: { steps: 7 } }),
    refused('E_CONFIG_UNKNOWN_KEY', '--steps'),
  );
});

test('every key is described once, with its flag and variable, and none collides within a schema', () => {
  for (const schema of names) {
    const described = describeConfig(schema);
    assert.deepEqual(
      described.map(({ key }) => key),
      Object.keys(SCHEMAS[schema].keys),
    );
    for (const { doc, allowed } of described) assert.ok(doc.length > 0 && allowed.length > 0);
    assert.equal(new Set(described.map(({ flag }) => flag)).size, described.length);
    assert.equal(new Set(described.map(({ env }) => env)).size, described.length);
  }
  const batch = describeConfig('run').find(({ key }) => key === 'globalBatch');
  assert.deepEqual([batch?.flag, batch?.env, batch?.default], ['--global-batch', 'LOCKSTEP_GLOBAL_BATCH', null]);
  const options = describeConfig('up').find(({ key }) => key === 'options');
  assert.deepEqual([options?.flag, options?.env, options?.isRepeated], ['--option', 'LOCKSTEP_OPTIONS', true]);
});

test('options are given one a flag, as an object in a file, and as JSON in a variable; of each name the highest layer counts', (context) => {
  const file = configFile(context, '{"task": "./t.mjs", "options": {"width": 8, "deep": true, "text": "a"}}');
  const env = { LOCKSTEP_OPTIONS: '{"width": 16, "rate": "0.1"}' };
  const flags = parseFlags('up', ['--option', 'rate=2', '--option=text=a=b', '--task', './u.mjs']);
  assert.deepEqual(flags, { flags: { option: ['rate=2', 'text=a=b'], task: './u.mjs' } });
  const { config, given } = loadGiven({ schema: 'up', file, env, ...flags });
  assert.equal(config.task, './u.mjs');
  assert.deepEqual({ ...config.options }, { width: 16, deep: true, rate: '2', text: 'a=b' });
  assert.equal(given.get('options')?.source, 'flag --option');
  assert.deepEqual(loadConfig({ schema: 'run', env: { LOCKSTEP_OPTIONS: 'width=4' }, flags: {} }).options, {
    width: '4',
  });
  assert.deepEqual(loadConfig({ schema: 'run', env: {}, flags: { options: '{}' } }).options, {});
});

test('an option that is no name=value is refused, and so is a name that is none', (context) => {
  for (const option of ['width', '=5', '{"a": [1]}', '{"a"', '[1]', 'a.b=1', '__proto__=1', '{"__proto__": 1}', ' a=1'])
    assert.throws(
      () => loadConfig({ schema: 'run', env: {}, flags: { option: ['b=1', option] } }),
      refused('E_CONFIG_BAD_VALUE', 'options', 'flag --option', 'name=value'),
      option,
    );
  const file = configFile(context, '{"options": {"a": null}}');
  assert.throws(() => loadConfig({ schema: 'run', file, ...nothing }), refused('E_CONFIG_BAD_VALUE', 'options', file));
});

test("keys of diffusion do not go with a task of the user's own, nor options with diffusion", () => {
  const own = { path: '/t.mjs', source: 'flag --task', keys: [], evaluates: false };
  const diffusion = { path: null, source: 'the default', keys: ['preset', 'classes'], evaluates: true };
  const check = (flags: Record<string, string>, task: TrainedTask) => (): void => {
    const { config, given } = loadGiven({ schema: 'up', env: {}, flags });
    checkTaskKeys(config, given, task);
  };
  for (const flags of [{}, { preset: 'tiny', classes: '0' }, { 'evaluate-every': '1' }])
    assert.doesNotThrow(check(flags, diffusion));
  assert.throws(
    check({ option: 'a=1' }, diffusion),
    refused('E_CONFIG_CONFLICT', 'options is {"a":"1"} (from flag --option)', 'task is null (from the default)'),
  );
  assert.throws(
    check({ classes: '0' }, own),
    refused('E_CONFIG_CONFLICT', 'classes is 0 (from flag --classes)', 'task is "/t.mjs" (from flag --task)'),
  );
  assert.throws(check({ preset: 'default' }, own), refused('E_CONFIG_CONFLICT', 'preset is "default"'));
  assert.throws(check({ 'evaluate-every': '1' }, own), refused('E_CONFIG_CONFLICT', 'evaluateEvery is 1'));
  assert.doesNotThrow(check({ classes: '0', option: 'a=1' }, { ...own, keys: ['classes'] }));
  for (const flags of [{}, { classes: 'null' }, { option: 'a=1' }, { steps: '5', data: 'x' }])
    assert.doesNotThrow(check(flags, own));
});
