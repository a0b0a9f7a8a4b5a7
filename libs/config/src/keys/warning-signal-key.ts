/** What a scheduler's warning does; coordinator, workers and `lockstep up` must agree on it. */
import { choiceKey } from '../key.js';

export const warningSignalKey = choiceKey({
  default: 'stop',
  choices: ['stop', 'checkpoint'],
  doc: 'what SIGUSR1, SIGUSR2 and SIGXCPU do, by which schedulers warn of the end: stop with a checkpoint, or write one and go on',
});
