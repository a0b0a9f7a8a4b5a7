/** The result for people: a Markdown table. */
import type { Row } from './scenario.js';
import { median } from './timeline.js';

const HEAD = [
  'fault',
  'injections',
  'seconds to the next committed step: min / median / max',
  'quiet step, s',
  'bits equal',
  'samples lost',
  'goal',
  'met',
];

function seconds(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : '-';
}

function yesNo(value: boolean | null): string {
  return value === null ? '-' : value ? 'yes' : 'no';
}

function cells(row: Row): string[] {
  if (row.skipped !== null) return [row.title, '0', '-', '-', '-', '-', row.goal, `skipped: ${row.skipped}`];
  const figures = [Math.min(...row.seconds), median(row.seconds), Math.max(...row.seconds)];
  return [
    row.title,
    String(row.injections),
    figures.map(seconds).join(' / '),
    seconds(row.quietStep),
    yesNo(row.bitsEqual),
    row.ledgerWhole === null ? '-' : row.ledgerWhole ? '0' : 'see below',
    [row.goal, ...new Set(row.details)].join('; '),
    yesNo(row.goalMet),
  ];
}

/** A run that failed at all, as opposed to one that was slower than its goal. */
export function failed(row: Row): boolean {
  return row.skipped === null && (row.problem !== null || row.bitsEqual !== true || row.ledgerWhole !== true);
}

/** The table, and below it what went wrong. */
export function markdown(rows: readonly Row[]): string {
  const lines = [HEAD, HEAD.map(() => '---'), ...rows.map(cells)].map((line) => `| ${line.join(' | ')} |`);
  const problems = rows.flatMap(({ id, problem }) => (problem === null ? [] : [`\n${id}: ${problem}`]));
  return [...lines, ...problems].join('\n');
}
