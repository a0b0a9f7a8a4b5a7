/** The coordinator process. Started by `lockstep up`, by `nx run coordinator:serve`, or in a container. */
import { randomUUID } from 'node:crypto';
import { dirname, resolve, sep } from 'node:path';
import { openTrace, writeCoordinatorAddress, type Trace } from '@lockstep/run';
import { hostInUrl, reachableHere } from '@lockstep/comm';
import { EVALUATE_PROGRAM } from '@lockstep/sampler/evaluate-program';
import { loadGiven, parseFlags, type LoadedConfig, type RunConfig } from '@lockstep/config';
import { endByHangup, guardOutput, Log, machineNames, type LogLineLevel } from '@lockstep/process';
import { failureLine, failureOf, exitStatusOf, makeFolderSync } from '@lockstep/base';
import { systemClocks } from './decide/clocks.js';
import { warningCode } from './decide/note-code.js';
import { openCoordinator } from './edge/open.js';
import { Orders } from './edge/orders.js';
import type { Report } from './edge/monitor.js';
import type { Note, Outcome } from './decide/state.js';

/** A parent that is gone is noticed by the channel's end. */
function tellParent(message: object): void {
  if (process.connected) process.send?.(message, () => undefined);
}

/** logfmt: key=value, in the order of the note; last of a warning, its code. */
function fields(note: Note): string {
  const code = warningCode(note);
  return Object.entries(code === null ? note : { ...note, code })
    .map(
      ([key, value]) => `${key}=${typeof value === 'string' && !/[\s="]/.test(value) ? value : JSON.stringify(value)}`,
    )
    .join(' ');
}

/** What happens in every step, or as often. */
const DETAILS: ReadonlySet<Note['note']> = new Set(['committed', 'reduce-started', 'work-moved', 'audited', 'dropped']);

/** Between two lines of progress, at least; milliseconds. Some 0.1 MB a day. */
const PROGRESS_INTERVAL_MS = 60_000;

function levelOf(told: Note): LogLineLevel {
  if (DETAILS.has(told.note)) return 'debug';
  return warningCode(told) === null ? 'info' : 'warn';
}

/** Logs what is reported, and how far the run is now and then; both go to the parent process too. */
function teller({ line }: Log): (report: Report) => void {
  let told = -Infinity;
  return (report) => {
    const { note, status } = report;
    line(levelOf(note), fields(note));
    const now = systemClocks.monotonicNow();
    if (note.note === 'committed' && now - told >= PROGRESS_INTERVAL_MS) {
      told = now;
      const { step, steps, generation, loss, figures, imagesPerSecond } = status;
      const workers = status.workers.filter(({ inRing }) => inRing).length;
      const rate = imagesPerSecond.toFixed(1);
      const more = Object.keys(figures).length === 0 ? '' : ` figures=${JSON.stringify(figures)}`;
      line(
        'info',
        `progress step=${step} steps=${steps} generation=${generation} workers=${workers} loss=${loss ?? '-'}${more} imagesPerSecond=${rate}`,
      );
    }
    tellParent({ kind: 'report', report });
  };
}

/** One that lies in the run's own folder is opened when that is there, any other at once: it may be one that cannot be written. */
function traceOf({ trace: file, out }: RunConfig): () => Trace {
  const open = (): Trace => openTrace(file === null ? null : { file, process: 'coordinator' }, 'decisions');
  if (file === null || !resolve(file).startsWith(`${resolve(out)}${sep}`)) {
    const opened = open();
    return () => opened;
  }
  return () => {
    makeFolderSync(dirname(file));
    return open();
  };
}

async function coordinate(log: Log, loaded: LoadedConfig<RunConfig>): Promise<Outcome> {
  const { config } = loaded;
  const orders = new Orders(config.warningSignal, log.line);
  const server = await openCoordinator(loaded, {
    clocks: systemClocks,
    freshRunId: randomUUID(),
    machineNames: machineNames(),
    report: teller(log),
    warn: (text) => log.line('warn', text),
    tell: (text) => {
      log.line('info', text);
      tellParent({ kind: 'told', text });
    },
    evaluator: { module: EVALUATE_PROGRAM, env: process.env },
    trace: traceOf(config),
  });
  log.line(
    'info',
    `process ${process.pid}, listening on ${hostInUrl(config.host)}:${server.port}, run directory ${config.out}`,
  );
  const address = `http://${hostInUrl(reachableHere(config.host))}:${server.port}`;
  // Only `lockstep status DIR` needs it: a full disk must not stop the run for that.
  await writeCoordinatorAddress(config.out, { address, pid: process.pid }).catch((error: unknown) =>
    log.line('warn', failureLine(error)),
  );
  tellParent({ kind: 'listening', port: server.port });
  orders.obey(server);
  return server.finished;
}

async function main(): Promise<void> {
  guardOutput(process);
  const logOf = (level: RunConfig['logLevel']): Log =>
    new Log({ stream: process.stdout, level, wallNow: systemClocks.wallNow });
  let log = logOf('info');
  let hungUp = false;
  try {
    const loaded = loadGiven({ schema: 'run', env: process.env, ...parseFlags('run', process.argv.slice(2)) });
    log = logOf(loaded.config.logLevel);
    const { kind, asked } = await coordinate(log, loaded);
    process.exitCode = kind === 'failed' ? 1 : 0;
    hungUp = asked === 'SIGHUP';
  } catch (error) {
    const failure = failureOf(error);
    log.line('error', failureLine(error));
    tellParent({ kind: 'fatal', ...failure });
    process.exitCode = exitStatusOf(failure.code, 'coordinator');
  }
  if (process.connected) process.disconnect();
  // Lines that nobody reads must not keep the process, and with it the run's lock.
  const logged = await log.end();
  if (hungUp) endByHangup();
  if (!logged) process.exit();
}

void main();
