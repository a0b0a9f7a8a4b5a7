import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { Cli, ENDLESS, IMPATIENT, pause, processOf, temporaryFolder, tinyRun, untilStep } from './harness.js';
import { Undisturbed, stopped } from './undisturbed.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const RECORD = join('node_modules', '.package-lock.json');
/** Besides what is used in production: a compiler and what it reads of the sources' packages. */
const TO_BUILD = /^node_modules\/(typescript|@types\/.*|undici-types)$/;
const installedSchema = z.object({
  packages: z.record(z.string(), z.object({ dev: z.boolean().optional(), link: z.boolean().optional() })),
});

/** A clone of this one, with its outputs. */
class Clone {
  readonly program: string;

  constructor(private readonly folder: string) {
    this.program = join(folder, 'apps/cli/bin/lockstep.mjs');
    for (const name of ['package.json', 'tsconfig.base.json', 'libs', 'apps'])
      cpSync(join(ROOT, name), join(folder, name), { recursive: true, preserveTimestamps: true });
    this.install();
  }

  /** As `npm ci`: the same packages as new files would be, and npm's record last. */
  install(): void {
    const { packages } = installedSchema.parse(JSON.parse(readFileSync(join(ROOT, RECORD), 'utf8')));
    for (const [path, { dev, link }] of Object.entries(packages)) {
      const nested = path.lastIndexOf('node_modules/') > 0 || !path.startsWith('node_modules/');
      if (nested || (dev === true && !TO_BUILD.test(path))) continue;
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      const how = link === true ? ['-a'] : ['-al'];
      const { status } = spawnSync('cp', [...how, join(ROOT, path), join(this.folder, path)], { stdio: 'ignore' });
      if (status !== 0) cpSync(join(ROOT, path), join(this.folder, path), { recursive: true });
    }
    cpSync(join(ROOT, RECORD), join(this.folder, RECORD));
  }

  uninstall(): void {
    rmSync(join(this.folder, 'node_modules'), { recursive: true });
  }

  projects(): string[] {
    return ['libs', 'apps'].flatMap((parent) =>
      readdirSync(join(ROOT, parent)).map((name) => join(this.folder, parent, name)),
    );
  }

  /** As nx before it restores what it has in its cache. */
  deleteOutputs(): void {
    for (const project of this.projects()) rmSync(join(project, 'dist'), { recursive: true });
  }

  restoreOutputs(): void {
    for (const parent of ['libs', 'apps'])
      for (const name of readdirSync(join(ROOT, parent)))
        cpSync(join(ROOT, parent, name, 'dist'), join(this.folder, parent, name, 'dist'), { recursive: true });
  }

  /** As `git clean -fdx`, of what a job runs from. */
  clean(): void {
    rmSync(join(this.folder, '.lockstep'), { recursive: true });
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.folder, path), text);
  }

  compile(project: string): void {
    const tsc = join(this.folder, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-b'], {
      cwd: join(this.folder, project),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  }

  lockstep(...args: readonly string[]): Cli {
    return new Cli(args, {}, this.program);
  }
}

describe('a job in a clone that is built, installed and changed meanwhile', () => {
  it('goes on, also with a worker started anew, and is resumed and sampled by the next build to the same digest', async (test) => {
    const folder = temporaryFolder(test);
    const clone = new Clone(join(folder, 'clone'));
    const out = join(folder, 'run');
    const args = tinyRun(out, 1, ENDLESS, ...IMPATIENT);
    const run = clone.lockstep(...args);
    const { step } = await untilStep(run, 1);
    const first = processOf(out, 'worker-0');
    // It stands still until the clone is another one: its successor finds nothing of what it was itself started from.
    process.kill(first, 'SIGSTOP');

    clone.deleteOutputs();
    clone.uninstall();
    assert.match((await clone.lockstep('digest', out).ended).stderr, /^E_PACKAGES_MISSING: /);
    clone.install();
    assert.match((await clone.lockstep('digest', out).ended).stderr, /^E_NOT_BUILT: .*apps\/cli\/dist\/main\.js/);
    clone.restoreOutputs();
    // Another branch: its worker is not one that this run could use.
    const other = 'export {};\nthrow new Error("the worker of another branch");\n';
    for (const kind of ['src/main.ts', 'dist/main.js']) clone.write(join('apps/worker', kind), other);
    clone.compile('libs/config');

    process.kill(first, 'SIGKILL');
    let successor = first;
    for (; successor === first; successor = processOf(out, 'worker-0')) {
      run.mustRun('there was another worker');
      await pause(20);
    }
    await untilStep(run, step + 3);
    assert.match(readFileSync(`/proc/${successor}/cmdline`, 'utf8'), /\.lockstep\/builds\/[0-9a-f]+\/apps\/worker/);
    const before = await stopped(run, out);

    // The other branch is what runs now; then the first one again, as a build of its own.
    const changed = clone.lockstep(...args, '--resume');
    await changed.printed(/worker-0 ended with status 1/);
    clone.clean();
    await changed.printed(/worker-0 ended with status 1; E_BUILD_GONE: .*worker\/dist\/main\.js was deleted/);
    assert.equal((await changed.ended).status, 1);
    assert.match(readFileSync(join(out, 'logs/worker-0.log'), 'utf8'), /the worker of another branch/);
    clone.restoreOutputs();
    const resumed = clone.lockstep(...args, '--resume');
    await untilStep(resumed, before.step + 4);
    const last = await stopped(resumed, out);
    const sampled = await clone.lockstep('sample', out, '--out', join(folder, 'x.png'), '--steps', '2').ended;
    assert.equal(sampled.status, 0, sampled.stderr);

    assert.equal(await new Undisturbed(join(folder, 'undisturbed')).digestAfter(last.step), last.digest);
  });
});
