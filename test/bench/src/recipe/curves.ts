// Draws the training curves of finished runs beside each other, at equal compute:
//
//   node test/bench/dist/recipe/curves.js --svg FILE [--title TEXT] [--minutes N] [--processor TEXT] LABEL=DIRECTORY:STEPS ...
//
// STEPS is how many a quiet core does in a minute: the runs themselves may have had more cores, or a busy machine. A curve is the mean loss
// of every 250 steps, from the run's ledger, up to N minutes of one core. TEXT: where
// these speeds were measured; this machine if left out. Prints JSON: of each run its mean loss by tenths.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Ledger } from '@lockstep/run';
import { caption, COLORS, GRID, legend, line, picture, polyline, scale, text, type Point } from '../report/svg.js';
import { describeMachine, processorText } from '../result/machine.js';
import { mean } from '../result/summary.js';

const BLOCK = 250;
const WIDTH = 720;
const HEIGHT = 372;
const LEFT = 60;

/** A committed step. */
interface Step {
  /** Of one core, at its end. */
  readonly minutes: number;
  readonly loss: number;
}

interface Run {
  readonly label: string;
  readonly steps: readonly Step[];
}

/** A run's steps in its first `most` minutes. */
async function stepsOf(directory: string, stepsAMinute: number, most: number): Promise<Step[]> {
  const ledger = await Ledger.openReader(join(directory, 'ledger'));
  try {
    const last = ledger.last()?.step ?? -1;
    const count = Math.min(last + 1, Math.floor(most * stepsAMinute));
    return Array.from({ length: count }, (_, step) => ({
      minutes: (step + 1) / stepsAMinute,
      loss: mean((ledger.get(step)?.losses ?? []).filter((loss) => loss !== null)),
    }));
  } finally {
    await ledger.close();
  }
}

/** Minutes and loss, each the mean of so many steps. */
const blocksOf = (steps: readonly Step[], size: number): Point[] =>
  Array.from({ length: Math.ceil(steps.length / size) }, (_, block) => {
    const part = steps.slice(block * size, (block + 1) * size);
    return [mean(part.map(({ minutes }) => minutes)), mean(part.map(({ loss }) => loss))];
  });

function drawing({ title, processor }: { title: string; processor: string }, runs: readonly Run[]): string {
  const curves = runs.map(({ label, steps }) => ({ label, points: blocksOf(steps, BLOCK) }));
  const all = curves.flatMap(({ points }) => points);
  const losses = all.map(([, loss]) => loss);
  const [low, high] = [Math.min(...losses) * 0.9, Math.max(...losses)];
  const last = Math.max(...all.map(([minutes]) => minutes));
  const x = scale([0, last], [LEFT, WIDTH - 20]);
  const y = scale([low, high], [HEIGHT - 82, 44], { log: true });
  const rows = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01].filter((loss) => loss >= low && loss <= high);
  const between = Math.ceil(last / 6);
  const columns = Array.from({ length: Math.floor(last / between) + 1 }, (_, index) => index * between);
  const small = caption(
    [
      'Losses of different recipes are of different things (noise, v) under different schedules: each shows its own progress. ' +
        `Minutes of ${processor}.`,
    ],
    LEFT,
    HEIGHT - 28,
  );
  return picture({
    width: WIDTH,
    height: HEIGHT,
    title,
    marks: [
      ...rows.flatMap((loss) => [
        line(LEFT, y(loss), WIDTH - 20, y(loss), { color: GRID }),
        text(LEFT - 8, y(loss) + 4, String(loss), { anchor: 'end' }),
      ]),
      ...columns.map((minutes) => text(x(minutes), HEIGHT - 64, String(minutes), { anchor: 'middle' })),
      text((LEFT + WIDTH) / 2, HEIGHT - 48, 'minutes of one core', { anchor: 'middle' }),
      ...curves.map(({ points }, index) =>
        polyline(
          points.map(([minutes, loss]): Point => [x(minutes), y(loss)]),
          { color: COLORS[index] },
        ),
      ),
      ...legend(
        curves.map(({ label }, index) => ({ label, color: COLORS[index], width: 2 })),
        WIDTH - 300,
        64,
      ),
      ...small.marks,
    ],
  });
}

/** What is printed of a run. */
function summaryOf({ label, steps }: Run): object {
  return {
    label,
    steps: steps.length,
    minutes: Number((steps.at(-1)?.minutes ?? 0).toFixed(1)),
    loss: blocksOf(steps, Math.ceil(steps.length / 10)).map(([, loss]) => Number(loss.toFixed(4))),
  };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      svg: { type: 'string' },
      title: { type: 'string', default: 'Training loss' },
      minutes: { type: 'string', default: 'Infinity' },
      processor: { type: 'string' },
    },
  });
  const runs: Run[] = [];
  for (const named of positionals) {
    const [, label, directory, speed] = /^(.+)=(.+):(\d+)$/.exec(named) ?? [];
    if (label === undefined || directory === undefined) {
      console.error(`${named}: write LABEL=DIRECTORY:STEPS`);
      return 2;
    }
    runs.push({ label, steps: await stepsOf(directory, Number(speed), Number(values.minutes)) });
  }
  if (values.svg !== undefined) {
    const { title, processor = processorText(describeMachine()) } = values;
    writeFileSync(values.svg, drawing({ title, processor }, runs));
  }
  console.log(JSON.stringify(runs.map(summaryOf)));
  return 0;
}

process.exitCode = await main();
