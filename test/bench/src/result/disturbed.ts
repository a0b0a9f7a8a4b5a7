/**
 * What makes a measurement worthless: a process of it that ended though it should not have, that a signal ended, or that the others
 * took for lost. Such a measurement is thrown away with a message; never are its figures reported.
 */

/** Its message says who was lost, and how. */
export class Disturbed extends Error {}

/** A script that cannot throw one ends with this status. */
export const DISTURBED_STATUS = 3;

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What `measure` resolves to. Where it was disturbed, it is said and done once more; disturbed again, it throws Disturbed. */
export async function undisturbed<T>(measure: () => Promise<T>): Promise<T> {
  try {
    return await measure();
  } catch (error) {
    if (!(error instanceof Disturbed)) throw error;
    console.error(`thrown away, and measured once more: ${error.message}`);
    return await measure();
  }
}

/** Status or signal, in words. */
export const endText = ({ code, signal }: Ended): string => signal ?? `status ${code ?? 'unknown'}`;

/** Throws unless a process that has ended did so by itself, and well. `said`: its last words. */
export function assertEndedWell(name: string, { code, signal }: Ended, said = ''): void {
  const words = said === '' ? '' : `, saying:\n${said}`;
  if (signal !== null) throw new Disturbed(`${name} was ended by ${signal}${words}`);
  if (code !== 0) throw new Disturbed(`${name} ended with ${endText({ code, signal })}${words}`);
}

/** Notes of a coordinator's log that stand for a step that was not like the others. */
const LOSSES = /\bnote=(?:worker-lost|worker-refused|ring-broken|rolled-back)\b.*/;

/** Throws if a worker was lost or a ring broke in this log of a coordinator, before the run was over. */
export function assertNobodyLost(log: string): void {
  for (const line of log.split('\n')) {
    if (/\bnote=over\b/.test(line)) return;
    const loss = LOSSES.exec(line)?.[0];
    if (loss !== undefined) throw new Disturbed(`the run lost someone: ${loss}`);
  }
}
