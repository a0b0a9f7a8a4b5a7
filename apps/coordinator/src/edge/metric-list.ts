/** The metrics as docs/reference/metrics.md lists them: read from the registry itself, so that none is forgotten. */
import { Metrics } from './metrics.js';

export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every metric that a coordinator has besides those of any Node process. */
export function describeMetrics(): readonly MetricDescription[] {
  const { registry } = new Metrics(() => {
    throw new Error('a list of metrics asks for no value');
  });
  return registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('lockstep_'))
    .map((metric) => ({ name: metric.name, type: String(metric.type), labels: labelsOf(metric), help: metric.help }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** prom-client's types leave the names of the labels out. */
function labelsOf(metric: object): readonly string[] {
  return 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
}
