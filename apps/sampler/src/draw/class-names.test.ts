import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosenClass, namedRows, rowLabels } from '#src/draw/class-names.js';

test("a class is asked for by its name in the data, or by its number where that is no class's name", () => {
  const animals = ['cat', 'dog', '7'];
  const cases: (readonly [string | number | null, readonly string[] | null, number | 'none' | null])[] = [
    ['dog', animals, 1],
    ['0', animals, 0],
    ['7', animals, 2],
    ['none', animals, 'none'],
    [null, animals, null],
    [1, animals, 1],
    ['3', null, 3],
    // Folders 02 and 10.
    ['10', ['02', '10'], 1],
    ['2', ['02', '10'], 0],
    ['11', ['0', '1'], 11],
  ];
  for (const [asked, names, label] of cases)
    assert.equal(chosenClass(asked, names), label, `${asked} of ${names?.join()}`);
});

test('a class that the data does not have is refused with those that it has', () => {
  const refused = (asked: string, names: readonly string[] | null, message: RegExp): void =>
    assert.throws(() => chosenClass(asked, names), { code: 'E_SAMPLE_OPTION', message });
  refused(
    'bird',
    ['cat', 'big dog'],
    /--class is bird: the run has the classes cat "big dog"; write one of them, its number, or none/,
  );
  refused('0', ['5', '7'], /--class is 0: the run has the classes 5 7; write one of them or none/);
  refused('bird', null, /write a class's number, or none/);
  refused('-1', ['0', '1'], /write one of them or none/);
});

test('names are drawn beside rows where they can be drawn and told apart, and are listed where numbers do not say them', () => {
  assert.deepEqual(rowLabels(['cat', 'T-shirt_2']), { labels: ['cat', 'T-shirt_2'] });
  for (const names of [null, ['Katze', 'Hündin'], ['a', 'A'], ['x'.repeat(25)]]) assert.deepEqual(rowLabels(names), {});
  assert.deepEqual(namedRows(['0', '1'], 3), []);
  assert.deepEqual(namedRows(null, 3), []);
  assert.deepEqual(namedRows(['0', '10'], 3), ['0', '10', '2']);
});
