// A drawing of the screen, on another terminal, shows the same and leaves the same state.
import {expect, test} from 'vitest';
import {Screen} from '../../../../src/lib/launch/web-terminal/screen.js';

const SIZE = {cols: 40, rows: 6};

async function screenWith(text: string, answers: string[] = []): Promise<Screen> {
  const screen = new Screen(SIZE, (data) => answers.push(data));
  await write(screen, text);
  return screen;
}

const write = (screen: Screen, text: string | Uint8Array) =>
  new Promise<void>((resolve) => screen.write(Buffer.from(text), resolve));

test.each([
  ['text and colours', 'one\r\n\x1b[1;31mtwo\x1b[0m \x1b[38;2;1;2;3mthree'],
  ['wide characters', 'ä 漢字 🙂 ✓'],
  ['more than fits', Array.from({length: 50}, (_, i) => `line ${i}`).join('\r\n')],
  ['the alternate screen', 'before\x1b[?1049h\x1b[2J\x1b[3;4Hin vi\x1b[?1h\x1b[?2004h'],
  ['a hidden cursor', 'x\x1b[?25l'],
  ['the mouse', '\x1b[?1002h\x1b[?1006h'],
  ['margins', 'a\r\nb\r\nc\x1b[2;4r\x1b[3;2H'],
  ['a title', '\x1b]2;my title\x07text'],
])('%s', async (_, text) => {
  const screen = await screenWith(text);
  const other = await screenWith('something else\x1b[?1049h\x1b[?25l\x1b[?1006h\x1b[2;3r\x1b[?2004h');
  await write(other, screen.drawing());
  expect(other.drawing().toString()).toBe(screen.drawing().toString());
  // The same for later output: its position, and what it scrolls.
  for (const each of [screen, other]) await write(each, 'after\r\n\n\n\nend');
  expect(other.drawing().toString()).toBe(screen.drawing().toString());
});

test('modes that the serializer does not know are in the drawing while they are on', async () => {
  const screen = await screenWith('\x1b[?25l\x1b[?1006h\x1b[2;4r');
  for (const mode of ['\x1b[?25l', '\x1b[?1006h', '\x1b[2;4r']) {
    expect(screen.drawing().toString()).toContain(mode);
  }
  await write(screen, '\x1b[?25h\x1b[?1006l\x1b[r');
  for (const mode of ['\x1b[?25l', '\x1b[?1006h', '\x1b[2;4r']) {
    expect(screen.drawing().toString()).not.toContain(mode);
  }
});

test('it answers questions of programs', async () => {
  const answers: string[] = [];
  await screenWith('ab\x1b[6n\x1b[c', answers);
  expect(answers).toEqual(['\x1b[1;3R', '\x1b[?1;2c']);
});

test('a screen that is expensive to draw is drawn without its scrollback', async () => {
  const cell = (i: number) => `\x1b[38;2;${i % 256};${i % 7};0;48;2;${i % 5};${i % 3};${i % 256}mx`;
  const screen = new Screen({cols: 200, rows: 6}, () => {});
  const line = Array.from({length: 200}, (_, i) => cell(i)).join('');
  await write(screen, `${line}\r\n`.repeat(1_500));
  expect(screen.drawing().length).toBeLessThan(100_000);
});
