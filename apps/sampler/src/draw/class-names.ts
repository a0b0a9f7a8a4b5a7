/** What the classes of a run's data are called: asked for by --class, and written beside rows. run.json has the names, by label. */
import { CheckpointError, readRun } from '@lockstep/run';
import { shownName, shownNames } from '@lockstep/diffusion';
import { SamplerError } from '../errors.js';
import { isDrawable } from '../picture/glyphs.js';

/** A row's name is drawn in some pixels a letter, beside images of a few dozen. */
const MOST_DRAWN = 24;

/** By label; null where a run does not say, as older ones do not, or as there is only its checkpoint. */
export async function classNamesOf({
  run,
  warn,
}: {
  readonly run: string;
  readonly warn: (text: string) => void;
}): Promise<readonly string[] | null> {
  try {
    return (await readRun(run)).dataset?.classNames ?? null;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    if (error.code !== 'E_RUN_MISSING') warn(`${error.code}: classes have numbers for names: ${error.text}`);
    return null;
  }
}

/**
 * The label that was asked for. A name comes before a number; where all names are numbers, a number is a name: 7 is the class 07.
 * @throws SamplerError E_SAMPLE_OPTION if there is no such class
 */
export function chosenClass(asked: string | number | null, names: readonly string[] | null): number | 'none' | null {
  if (asked === null || asked === 'none' || typeof asked === 'number') return asked;
  const known = names ?? [];
  const named = known.indexOf(asked);
  if (named >= 0) return named;
  const number = /^\d+$/.test(asked) ? Number(asked) : NaN;
  const numbers = known.every((name) => /^\d+$/.test(name));
  const equal = numbers ? known.findIndex((name) => Number(name) === number) : -1;
  if (equal >= 0) return equal;
  // A network may know more classes than its data has.
  if (Number.isSafeInteger(number) && (!numbers || number >= known.length)) return number;
  throw new SamplerError(
    'E_SAMPLE_OPTION',
    names === null
      ? `--class is ${shownName(asked)}: write a class's number, or none`
      : `--class is ${shownName(asked)}: the run has the classes ${shownNames(names)}; write one of them${numbers ? '' : ', its number,'} or none`,
  );
}

/** What is drawn beside rows: the names if all can be drawn and told apart, else each row's number. */
export function rowLabels(names: readonly string[] | null): { readonly labels?: readonly string[] } {
  if (names === null) return {};
  const drawable = names.every((name) => name.length <= MOST_DRAWN && isDrawable(name));
  // Small letters are drawn as capitals.
  const distinct = new Set(names.map((name) => name.toUpperCase())).size === names.length;
  return drawable && distinct ? { labels: names } : {};
}

/** The names of `rows` classes; none where they say no more than the rows' numbers. */
export function namedRows(names: readonly string[] | null, rows: number): readonly string[] {
  const named = Array.from({ length: rows }, (_, row) => names?.[row] ?? String(row));
  return named.some((name, row) => name !== String(row)) ? named : [];
}
