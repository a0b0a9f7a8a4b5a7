/** What a coordinator says of itself at GET /status: asked for, checked, and as a table. */
import { z } from 'zod';
import { readCoordinatorAddress } from '@lockstep/run';
import { statusSchema, type Status } from '@lockstep/coordinator';
import { CliError } from '../errors.js';
import { duration, figureTexts } from './view.js';

/** A coordinator answers at once; one that does not within this is lost or stands still. Milliseconds. */
const ANSWER_MS = 5_000;

/** 4,096 workers, the most there can be, take about 1 MiB. */
const MAX_STATUS_BYTES = 8 * 1024 * 1024;

export interface Answer {
  readonly status: Status;
  /** The answer as it came. */
  readonly text: string;
}

/**
 * The coordinator's address (http://host:port) from what a person gives: that address, the ws:// one that workers dial, or a
 * run's directory, in which the coordinator left it.
 * @throws CliError E_STATUS_ADDRESS; CheckpointError E_RUN_CORRUPT
 */
export async function coordinatorAddress(addressOrDirectory: string): Promise<string> {
  if (/^[a-z]+:\/\//i.test(addressOrDirectory)) {
    const url = URL.canParse(addressOrDirectory) ? new URL(addressOrDirectory) : null;
    if (url !== null && /^(https?|wss?):$/.test(url.protocol))
      return `${url.protocol.replace(/^ws/, 'http')}//${url.host}`;
    throw new CliError(
      'E_STATUS_ADDRESS',
      `${addressOrDirectory} is no address of a coordinator; write http://host:port`,
    );
  }
  const left = await readCoordinatorAddress(addressOrDirectory);
  if (left !== null) return left.address;
  throw new CliError(
    'E_STATUS_ADDRESS',
    `no coordinator has left its address in ${addressOrDirectory}; check the directory, or give the address as http://host:port`,
  );
}

/** Asks the coordinator at `address`. @throws CliError E_STATUS_UNREACHABLE, E_STATUS_FORMAT */
export async function askStatus(address: string): Promise<Answer> {
  const text = await fetchText(`${address}/status`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw notStatus(address, 'the answer is not JSON');
  }
  const parsed = statusSchema.safeParse(json);
  if (!parsed.success) throw notStatus(address, z.prettifyError(parsed.error));
  return { status: parsed.data, text };
}

async function fetchText(url: string): Promise<string> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (response.ok) return await bounded(response, url);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new CliError(
      'E_STATUS_UNREACHABLE',
      `nothing answers at ${url} (${why}); if the run is over or its coordinator is down, give the directory of the run to see how far ` +
        'it is, go on with lockstep up --resume, or give the address of a coordinator that runs',
      { cause: error },
    );
  }
  throw notStatus(url, `it answers with status ${response.status}`);
}

async function bounded(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  let bytes = 0;
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.done) break;
    bytes += part.value.length;
    if (bytes > MAX_STATUS_BYTES) throw notStatus(url, `the answer is longer than ${MAX_STATUS_BYTES} bytes`);
    chunks.push(part.value);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function notStatus(address: string, why: string): CliError {
  return new CliError(
    'E_STATUS_FORMAT',
    `what answers at ${address} is no coordinator of this version of Lockstep: ${why}; check the address, and run one version everywhere`,
  );
}

const COLUMNS = ['worker', 'host', 'state', 'ring', 'share', 'ms/microbatch', 'cpu', 'note'] as const;
/** Columns left out where there is no room, the first one first. */
const LESS_NEEDED: readonly (typeof COLUMNS)[number][] = ['host', 'state', 'cpu', 'ring', 'share', 'ms/microbatch'];

/**
 * Lines for a person: the run, a table of its workers, and each straggler's reason. The table is at most `columns` wide, if its
 * names are not wider; columns of least weight are left out for that.
 */
export function describeStatus(status: Status, columns = Infinity): string[] {
  const { run, phase, step, steps, generation, loss, figures, imagesPerSecond, etaSeconds, checkpoint, reproducible } =
    status;
  const orDash = (value: number | null, text: (value: number) => string): string =>
    value === null ? '-' : text(value);
  const rows = status.workers.map((worker) => [
    worker.id,
    worker.host,
    orDash(worker.step, String),
    worker.inRing ? 'yes' : 'no',
    String(worker.share),
    orDash(worker.millisecondsPerMicrobatch, (value) => value.toFixed(1)),
    orDash(worker.cpuShare, (value) => `${(100 * value).toFixed(0)}%`),
    worker.straggler === null ? '' : 'straggler',
  ]);
  return [
    `run ${run}`,
    `step ${step} of ${steps}, ${phase}, generation ${generation}`,
    [`loss ${orDash(loss, (value) => value.toFixed(4))}`, ...figureTexts(figures)].join(', ') +
      `, ${imagesPerSecond.toFixed(0)} samples/s, ` +
      `ETA ${orDash(etaSeconds, duration)}, checkpoint ${orDash(checkpoint, (value) => `of step ${value}`)}`,
    `bits reproducible: ${reproducible ? 'yes' : 'no, workers of several numerics classes took part'}`,
    ...(status.evaluation === null ? [] : [describeEvaluation(status.evaluation)]),
    '',
    ...(rows.length === 0 ? ['no worker is connected'] : table([[...COLUMNS], ...rows], columns)),
    ...status.workers.flatMap(({ id, straggler }) =>
      straggler === null ? [] : [`E_STRAGGLER: ${id} is a straggler: ${straggler}`],
    ),
  ];
}

function describeEvaluation(evaluation: NonNullable<Status['evaluation']>): string {
  const { step, samples, frechetDistance, frechetFloor, frechetCeiling, precision, recall, classDeviation } =
    evaluation;
  return (
    `samples of step ${step} (${samples}): LeNet-FD ${frechetDistance.toFixed(1)} (real images ${frechetFloor.toFixed(1)}, noise ` +
    `${frechetCeiling.toFixed(0)}), precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}, ` +
    `classes within ${(100 * classDeviation).toFixed(0)} % of equal`
  );
}

function table(rows: readonly (readonly string[])[], room: number): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const left = new Set(rows[0].keys());
  const total = (): number => [...left].reduce((sum, column) => sum + widths[column] + 2, -2);
  for (const name of LESS_NEEDED) if (total() > room) left.delete(COLUMNS.indexOf(name));
  return rows.map((row) =>
    [...left]
      .map((column) => row[column].padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
}

/** The first of the lines, as many as a screen shows with the cursor below: what is wrapped takes several rows. */
export function firstScreen(lines: readonly string[], columns: number, rows: number): string[] {
  const shown: string[] = [];
  let room = rows - 1;
  for (const [index, line] of lines.entries()) {
    const needed = Math.max(1, Math.ceil(line.length / columns));
    const isLast = index + 1 === lines.length;
    if (needed > (isLast ? room : room - 1))
      return [...shown, `... ${lines.length - index} more lines`.slice(0, columns)];
    shown.push(line);
    room -= needed;
  }
  return shown;
}
