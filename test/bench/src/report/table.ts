/** latest.json as a Markdown table. */
import { processorText, type Machine } from '../result/machine.js';
import type { Goal, Row } from '../result/result.js';
import type { Figures } from '../result/summary.js';
import type { Latest, Part } from './latest.js';

/** In this order. */
const PARTS = ['step', 'train', 'ring', 'sample', 'scale'];

/** Three digits that count. */
function short(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** "median (least .. most)" */
const figures = ({ min, median, max, samples }: Figures): string =>
  samples > 1 ? `${short(median)} (${short(min)} .. ${short(max)})` : short(median);

const goalText = ({ of, atMost, atLeast }: Goal): string =>
  `${of === 'ratio' ? 'ratio ' : ''}${atMost === undefined ? `>= ${atLeast ?? ''}` : `<= ${atMost}`}`;

function metText({ goal, met }: Row): string {
  if (goal === null) return '';
  if (met === null) return 'not measured';
  return met ? 'met' : '**not met**';
}

function line(row: Row): string[] {
  const { name, unit, ours, peer, ratio, goal } = row;
  return [
    name,
    unit,
    figures(ours),
    peer === null ? 'none' : `${figures(peer)}: ${peer.name} ${peer.version}`,
    ratio === null ? '' : figures(ratio),
    goal === null ? 'none' : goalText(goal),
    metText(row),
  ];
}

const tableOf = (lines: readonly (readonly string[])[]): string =>
  lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const HEAD = ['What', 'unit', 'Lockstep', 'peer', 'ratio', 'goal', ''];

function machineText(machine: Machine): string {
  const { memoryGiB, kernel, node } = machine;
  return `${processorText(machine)}; ${memoryGiB} GiB, Linux ${kernel}, Node ${node}`;
}

function section([name, part]: readonly [string, Part]): string {
  const { date, commit, seconds, quick, machine, rows, notes = [] } = part;
  const when = `${date.slice(0, 16).replace('T', ' ')} UTC, commit ${commit ?? 'unknown'}, ${seconds} s${quick ? ', **quick form: too few samples to be quoted**' : ''}`;
  return [
    `## ${name}`,
    `${when}. ${machineText(machine)}.`,
    tableOf([HEAD, HEAD.map(() => '---'), ...rows.map(line)]),
    ...notes.map((note) => `- ${note}`),
  ].join('\n\n');
}

/** The parts' tables, and how many goals are met. */
export function markdown({ parts }: Latest): string {
  const known = Object.entries(parts).sort(([a], [b]) => PARTS.indexOf(a) - PARTS.indexOf(b));
  const goals = known.flatMap(([, part]) => part.rows).filter(({ goal }) => goal !== null);
  const met = goals.filter((row) => row.met === true).length;
  return [
    '# Benchmarks',
    'Written by `npm run bench`; each part by its last run. Figures are median (least .. most) of the samples; the median of the ratio decides.',
    `Goals met: ${met} of ${goals.length}.`,
    ...known.map(section),
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n');
}
