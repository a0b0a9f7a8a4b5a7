import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { keptGraph } from '#src/program/graph-store.js';

const ROOT = mkdtempSync(join(tmpdir(), 'lockstep-graphs-'));
after(() => rmSync(ROOT, { recursive: true, force: true }));
const GRAPH = Uint8Array.from({ length: 300 }, (_, index) => index * 7);

/** A folder of its own, what was warned of, and a call that counts recordings. */
function store(directory = mkdtempSync(join(ROOT, 'store-'))) {
  const warnings: string[] = [];
  let recordings = 0;
  return {
    directory,
    warnings,
    recordings: () => recordings,
    files: () => readdirSync(directory).sort(),
    kept: (key: string, graph: Uint8Array = GRAPH) => {
      const record = (): Uint8Array => {
        recordings++;
        return graph;
      };
      const { bytes, source } = keptGraph(directory, key, record, (code) => warnings.push(code));
      return { bytes: Uint8Array.from(bytes), source };
    },
  };
}

test('a graph is recorded once and then comes from disk, in a folder that need not exist before', () => {
  const { kept, recordings, warnings, files } = store(join(ROOT, 'made', 'by', 'it'));
  assert.deepEqual(kept('a'), { bytes: GRAPH, source: 'recorded' });
  for (let repeat = 0; repeat < 3; repeat++) assert.deepEqual(kept('a'), { bytes: GRAPH, source: 'disk' });
  assert.deepEqual(kept('b', GRAPH.slice(1)), { bytes: GRAPH.slice(1), source: 'recorded' });
  assert.deepEqual(kept('a'), { bytes: GRAPH, source: 'disk' });
  assert.equal(recordings(), 2);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    files().map((name) => name.replace(/^[0-9a-f]{64}/, '')),
    ['.graph', '.graph'],
  );
});

test('a file that was cut, emptied or changed in any bit is not believed, but recorded again and replaced', () => {
  const { directory, kept, files, recordings, warnings } = store();
  kept('the key');
  const path = join(directory, files()[0]);
  const whole = readFileSync(path);
  fc.assert(
    fc.property(
      fc.nat(whole.length - 1),
      fc.oneof(
        fc.nat(7).map((bit) => ({ bit })),
        fc.constant('cut'),
        fc.constant('longer'),
      ),
      (at, damage) => {
        const file = Buffer.from(whole);
        if (typeof damage === 'object') file[at] ^= 1 << damage.bit;
        writeFileSync(
          path,
          damage === 'cut'
            ? file.subarray(0, at)
            : damage === 'longer'
              ? Buffer.concat([file, file.subarray(at)])
              : file,
        );
        const before = recordings();
        warnings.length = 0;
        assert.deepEqual(kept('the key'), { bytes: GRAPH, source: 'recorded' });
        assert.deepEqual(warnings, ['E_ENGINE_CACHE_FILE']);
        assert.equal(recordings(), before + 1);
        assert.deepEqual(readFileSync(path), whole);
      },
    ),
    { numRuns: 60 },
  );
  assert.equal(files().length, 1);
});

test('a whole file under the name of another key is not believed', () => {
  const { directory, kept, files, warnings } = store();
  kept('one');
  const [one] = files();
  kept('two', GRAPH.slice(2));
  const two = files().find((name) => name !== one) ?? '';
  writeFileSync(join(directory, two), readFileSync(join(directory, one)));
  assert.deepEqual(kept('two', GRAPH.slice(2)), { bytes: GRAPH.slice(2), source: 'recorded' });
  assert.deepEqual(warnings, ['E_ENGINE_CACHE_FILE']);
});

test('what record throws is thrown on, and the next one may try', () => {
  const { directory, kept, files } = store();
  const fail = (): never => {
    throw new Error('from inside');
  };
  assert.throws(() => keptGraph(directory, 'a', fail, fail), /from inside/);
  assert.deepEqual(files(), []);
  assert.equal(kept('a').source, 'recorded');
});

test('where the folder cannot be made or written, everything is recorded, and that is said once', () => {
  const file = join(ROOT, 'a-file');
  writeFileSync(file, '');
  const { kept, recordings, warnings } = store(join(file, 'below'));
  for (let repeat = 0; repeat < 3; repeat++) assert.deepEqual(kept('a'), { bytes: GRAPH, source: 'recorded' });
  assert.equal(recordings(), 3);
  assert.deepEqual(warnings, ['E_ENGINE_CACHE']);
});

test(
  'a folder that may only be read still gives its graphs',
  { skip: process.getuid?.() === 0 && 'root may write' },
  () => {
    const { directory, kept, warnings } = store();
    kept('a');
    chmodSync(directory, 0o500);
    assert.equal(kept('a').source, 'disk');
    assert.equal(kept('b').source, 'recorded');
    assert.deepEqual(warnings, ['E_ENGINE_CACHE']);
    chmodSync(directory, 0o700);
  },
);

test('a folder in the place of a graph is no reason to fail', () => {
  const { directory, kept, files, warnings } = store();
  kept('a');
  const path = join(directory, files()[0]);
  rmSync(path);
  mkdirSync(path);
  assert.equal(kept('a').source, 'recorded');
  assert.deepEqual(warnings, ['E_ENGINE_CACHE']);
});

test('no more than 64 graphs are kept, the newest', () => {
  const { directory, kept, files } = store();
  for (let index = 0; index < 64; index++) {
    kept(`old ${index}`);
    for (const name of files()) {
      const { mtimeMs } = statSync(join(directory, name));
      utimesSync(join(directory, name), mtimeMs / 1000 - 10, mtimeMs / 1000 - 10);
    }
  }
  assert.equal(files().length, 64);
  kept('new');
  assert.equal(files().length, 64);
  assert.equal(kept('new').source, 'disk');
  assert.equal(kept('old 1').source, 'disk');
  assert.equal(kept('old 0').source, 'recorded');
});

test('a lock whose owner is gone holds nobody up', async () => {
  const { directory, kept, files } = store();
  kept('a');
  const path = join(directory, files()[0]);
  rmSync(path);
  const dead = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => dead.once('exit', resolve));
  writeFileSync(`${path}.lock`, `${dead.pid} ${hostname()}`);
  assert.equal(kept('a').source, 'recorded');
  assert.equal(files().length, 1);
});

test('of processes that ask at once for the same graph one records, the others get its bytes', async () => {
  const { directory, files } = store();
  const source = `
    import { keptGraph } from ${JSON.stringify(import.meta.resolve('#src/program/graph-store.js'))};
    process.stdout.write('ready\\n');
    process.stdin.once('data', () => {
      let recorded = 0;
      const record = () => {
        recorded++;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        return Uint8Array.of(1, 2, 3);
      };
      const { bytes, source } = keptGraph(process.argv[1], 'shared', record, (code) => process.stdout.write(code));
      process.stdout.write(JSON.stringify({ recorded, source, bytes: [...bytes] }));
      process.stdin.destroy();
    });`;
  const processes = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', source, directory], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  await Promise.all(processes.map(({ stdout }) => new Promise((resolve) => stdout.once('data', resolve))));
  const answers = processes.map(async ({ stdin, stdout }) => {
    stdin.write('go\n');
    let text = '';
    for await (const chunk of stdout) text += String(chunk);
    return text;
  });
  const texts = (await Promise.all(answers)).sort();
  const answer = (recorded: number, from: string) => `{"recorded":${recorded},"source":"${from}","bytes":[1,2,3]}`;
  assert.deepEqual(texts, [...Array<string>(3).fill(answer(0, 'disk')), answer(1, 'recorded')]);
  assert.equal(files().length, 1);
});
