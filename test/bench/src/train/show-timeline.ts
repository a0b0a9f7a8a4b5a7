// Prints the figures of a timeline (timeline.ts) as JSON:
//
//   node test/bench/dist/train/show-timeline.js FILE [WARM-UP STEPS]
import { readTimeline, WARM_UP_STEPS } from './timeline.js';

const [file, warmUp] = process.argv.slice(2);
if (file === undefined) {
  console.error('name the file that `lockstep up --trace` wrote');
  process.exitCode = 2;
} else {
  const timeline = readTimeline(file, warmUp === undefined ? WARM_UP_STEPS : Number(warmUp));
  console.log(JSON.stringify(Object.fromEntries(timeline), null, 2));
}
