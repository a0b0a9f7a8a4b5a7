/** The plots in docs/results/, drawn from latest.json alone. */
import { contestsSchema } from '../step/contest-details.js';
import { pointsSchema } from '../ring/ring-points.js';
import { networkDetailsSchema } from '../scale/network-details.js';
import type { Latest } from './latest.js';
import { ringPlot } from './ring-plot.js';
import { scalePlot } from './scale-plot.js';
import { stepPlot } from './step-plot.js';

/** [file name, SVG] of each part that is known. */
export function drawPlots({ parts }: Latest): [string, string][] {
  const plots: [string, string][] = [];
  const { step, ring, scale } = parts;
  if (step !== undefined) plots.push(['bench-step.svg', stepPlot(step, contestsSchema.parse(step.details['step']))]);
  if (ring?.details['ring'] !== undefined)
    plots.push(['bench-ring.svg', ringPlot(ring, pointsSchema.parse(ring.details['ring']))]);
  if (scale?.details['scale-network'] !== undefined)
    plots.push(['bench-scale.svg', scalePlot(scale, networkDetailsSchema.parse(scale.details['scale-network']))]);
  return plots;
}
