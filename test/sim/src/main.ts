/**
 * `node dist/main.js SEED`: replays one schedule and prints its transcript. `node dist/main.js FROM TO`: runs many; with
 * `--first` before them only up to the first that fails.
 */
import { runSchedule } from './schedule.js';

const onlyFirst = process.argv[2] === '--first';
const [from, to] = process.argv.slice(onlyFirst ? 3 : 2).map(Number);
if (from === undefined || !Number.isSafeInteger(from)) {
  process.stderr.write('usage: main.js SEED | [--first] FROM TO\n');
  process.exitCode = 2;
} else if (to === undefined) {
  const result = await runSchedule(from);
  process.stdout.write(`${result.transcript().join('\n')}\n${result.violations.join('\n') || 'all is well'}\n`);
  process.exitCode = result.violations.length > 0 ? 1 : 0;
} else {
  const bad = [];
  for (let seed = from; seed < to && !(onlyFirst && bad.length > 0); seed++) {
    const result = await runSchedule(seed);
    if (result.violations.length > 0) bad.push(`${seed}: ${result.violations.join('; ')}`);
  }
  process.stdout.write(`${to - from} schedules, ${bad.length} failed\n${bad.slice(0, 20).join('\n')}\n`);
  process.exitCode = bad.length > 0 ? 1 : 0;
}
