/** How much a process logs: of coordinator and workers alike, and `up` hands it on. */
import { choiceKey, type ValuesOf } from '../key.js';

export const logLevelKey = choiceKey({
  default: 'info',
  choices: ['info', 'debug'],
  doc: 'debug: log every step too, about 0.4 kB each in the log of the coordinator',
});

export type LogLevel = ValuesOf<{ readonly level: typeof logLevelKey }>['level'];
