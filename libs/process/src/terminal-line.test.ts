import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Screen } from './screen.fixture.js';
import { canRedraw, columnsOf, TerminalLine } from '#src/terminal-line.js';

const LONG = 'a warning of many words, with its cause and what to do about it at the very end'.repeat(3);
const bar = (columns: number): string => 'step 7/10 [======----------------------------------]'.slice(0, columns);

for (const columns of [2, 20, 30, 40, 80, 200])
  test(`in ${columns} columns texts above the line are whole, and the line is there once`, () => {
    const screen = new Screen(columns);
    const line = new TerminalLine(screen);
    line.print('before the line');
    line.draw(bar);
    line.print(LONG);
    line.draw(bar);
    line.print('the last text');
    assert.deepEqual(screen.lines(), ['before the line', LONG, 'the last text', bar(columns - 1)]);
    line.close();
    screen.write('$');
    assert.deepEqual(screen.lines(), ['before the line', LONG, 'the last text', bar(columns - 1), '$']);
  });

test('after the terminal gets narrower or wider the line is there once, as long as there is room for', () => {
  const screen = new Screen(80);
  const line = new TerminalLine(screen);
  line.print(LONG);
  line.draw(bar);
  for (const columns of [40, 11, 100, 30]) {
    screen.resize(columns);
    assert.deepEqual(screen.lines(), [LONG, bar(columns - 1)], `${columns} columns`);
    assert.ok(screen.width() <= columns);
  }
  line.close();
  assert.equal(screen.watched, false);
});

test('a shorter line leaves nothing of a longer one', () => {
  const screen = new Screen(30);
  const line = new TerminalLine(screen);
  line.draw(() => 'a long line of words');
  line.draw(() => 'short');
  assert.deepEqual(screen.lines(), ['short']);
});

test('a terminal that does not say its width has 80 columns, and one that knows no codes is not drawn on', () => {
  assert.equal(columnsOf({}), 80);
  assert.equal(columnsOf({ columns: 0 }), 80);
  assert.equal(columnsOf({ columns: 1 }), 2);
  assert.equal(canRedraw({ isTTY: true }, { TERM: 'xterm' }), true);
  assert.equal(canRedraw({ isTTY: true }, { TERM: 'dumb' }), false);
  assert.equal(canRedraw({}, { TERM: 'xterm' }), false);
});
