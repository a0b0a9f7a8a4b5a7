import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agenda } from './agenda.js';

test('an agenda gives out the earliest first, and equal times in the order they were put in', () => {
  const times = [5, 1, 3, 1, 4, 5, 0, 3, 2, 1];
  const agenda = new Agenda<number>();
  times.forEach((at, index) => agenda.put(at, index));
  const found: [number, number][] = [];
  for (let next = agenda.take(); next !== undefined; next = agenda.take()) found.push([next.at, next.event]);
  const expected = times.map((at, index): [number, number] => [at, index]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  assert.deepEqual(found, expected);
});
