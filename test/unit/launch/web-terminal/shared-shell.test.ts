// One shell and many pages: back-pressure, slow pages, and the output that everybody sees.
import {expect, test} from 'vitest';
import type {Exit} from '../../../../src/lib/launch/exit.js';
import type {PageMessage, ServerMessage} from '../../../../src/lib/launch/web-terminal/messages.js';
import type {PtyOptions} from '../../../../src/lib/launch/web-terminal/pty.js';
import {SharedShell} from '../../../../src/lib/launch/web-terminal/shared-shell.js';
import {until} from '../../../helpers/launching.js';

const SIZE = {cols: 80, rows: 24};
const seen = (size = SIZE): PageMessage => ({type: 'size', size});
const hidden: PageMessage = {type: 'size', size: undefined};
const MOST = 768 * 1_024;

function make({readOnly = false} = {}) {
  let room: Promise<void> | undefined;
  const pty = {isHeld: false, holds: 0, input: '', sizes: [] as string[], hungUp: false};
  let started: PtyOptions | undefined;
  let exit: Exit | undefined;
  const shell = new SharedShell({
    command: ['/bin/sh'],
    env: {},
    cwd: '/',
    readOnly,
    onEnd: (how) => (exit = how),
    startPty: (options) => {
      started = options;
      return {
        write: (data) => {
          pty.input += Buffer.from(data as Uint8Array).toString();
        },
        get full() {
          return room;
        },
        resize: ({cols, rows}) => void pty.sizes.push(`${cols}x${rows}`),
        hold: (isHeld) => {
          if (isHeld && !pty.isHeld) pty.holds += 1;
          pty.isHeld = isHeld;
        },
        hangUp: () => {
          pty.hungUp = true;
        },
      };
    },
  });
  const join = () => {
    const messages: ServerMessage[] = [];
    const chunks: Uint8Array[] = [];
    const visitor = shell.join({
      send: (data) => {
        if (typeof data === 'string') messages.push(JSON.parse(data));
        else chunks.push(data);
      },
    });
    let read = 0;
    return {
      messages,
      visitor,
      get text() {
        return Buffer.concat(chunks).toString();
      },
      get bytes() {
        return chunks.reduce((sum, {length}) => sum + length, 0);
      },
      get drawings() {
        return chunks.filter((chunk) => chunk[0] === 0x1b && chunk[1] === 0x63).length;
      },
      say: (message: PageMessage) => shell.message(visitor, message),
      /** Acknowledges all output so far. */
      read() {
        const bytes = this.bytes - read;
        read += bytes;
        return shell.message(visitor, {type: 'ack', bytes});
      },
    };
  };
  return {
    shell,
    pty,
    join,
    get started() {
      return started;
    },
    /** Input finds no room until the returned function is called. */
    fill() {
      const {promise, resolve} = Promise.withResolvers<void>();
      room = promise;
      return () => {
        room = undefined;
        resolve();
      };
    },
    get exit() {
      return exit;
    },
    output: (data: string | Uint8Array) => started?.onData(Buffer.from(data)),
    /** Prints whenever the shell may, until a condition holds. */
    async flood(enough: () => boolean) {
      await until(() => {
        if (!enough() && !pty.isHeld) started?.onData(Buffer.alloc(65_536, 'y'));
        return enough();
      });
    },
  };
}

const settled = async (page: {text: string}, text: string) => await until(() => page.text.includes(text));

test('it starts when the first page reports its size, with that size', () => {
  const made = make();
  const page = made.join();
  expect(made.started).toBeUndefined();
  page.say(seen({cols: 100, rows: 30}));
  expect(made.started?.size).toEqual({cols: 100, rows: 30});
  expect(page.messages.at(-1)).toEqual({type: 'size', cols: 100, rows: 30, readOnly: false});
});

test('a later page gets the screen, then the same output as the others', async () => {
  const made = make();
  const first = made.join();
  first.say(seen());
  made.output('before');
  await settled(first, 'before');
  const second = made.join();
  second.say(seen());
  expect(second.text).toContain('before');
  made.output(' after');
  await settled(second, ' after');
  expect(second.text.endsWith(' after')).toBe(true);
  expect(first.text.endsWith('before after')).toBe(true);
});

test('a page that does not read makes the shell wait, and gets no more than its bound', async () => {
  const made = make();
  const page = made.join();
  page.say(seen());
  await made.flood(() => page.bytes >= 256 * 1_024);
  expect(made.pty.isHeld).toBe(true);
  expect(page.bytes).toBeLessThanOrEqual(MOST);
  page.read();
  expect(made.pty.isHeld).toBe(false);
  made.output('\r\nmore');
  await settled(page, 'more');
  expect(page.drawings).toBe(1);
});

test('an acknowledgement of more than was sent does not count', () => {
  const page = make().join();
  page.say(seen());
  expect(page.say({type: 'ack', bytes: page.bytes + 1})).toBe(false);
  expect(page.say({type: 'ack', bytes: page.bytes})).toBe(true);
});

test('a slow page does not delay another: it gets the screen when it has read', async () => {
  const made = make();
  const [quick, slow] = [made.join(), made.join()];
  quick.say(seen());
  slow.say(seen());
  await made.flood(() => {
    quick.read();
    return quick.bytes > 3 * MOST;
  });
  made.output('\r\nthe end');
  await settled(quick, 'the end');
  expect(slow.bytes).toBeLessThanOrEqual(MOST);
  expect(slow.text).not.toContain('the end');
  slow.read();
  expect(slow.text).toContain('the end');
  expect(slow.drawings).toBe(2);
});

test('a hidden page delays nothing, and is drawn when it is visible again', async () => {
  const made = make();
  const page = made.join();
  page.say(seen());
  page.say(hidden);
  for (let i = 0; i < 40; i += 1) {
    made.output(Buffer.alloc(65_536, 'y'));
    await until(() => !made.pty.isHeld);
  }
  made.output('\r\nthe end');
  await until(() => !made.pty.isHeld);
  page.read();
  expect(page.text).not.toContain('the end');
  await new Promise((resolve) => setImmediate(resolve));
  page.say(seen());
  await until(() => page.text.includes('the end'));
});

test('without pages the shell continues', async () => {
  const made = make();
  const page = made.join();
  page.say(seen());
  await made.flood(() => page.bytes >= 256 * 1_024);
  expect(made.pty.isHeld).toBe(true);
  made.shell.leave(page.visitor);
  await until(() => !made.pty.isHeld);
});

test('as large as fits into every visible window', () => {
  const made = make();
  const [wide, tall] = [made.join(), made.join()];
  wide.say(seen({cols: 200, rows: 30}));
  tall.say(seen({cols: 50, rows: 100}));
  expect(made.pty.sizes.at(-1)).toBe('50x30');
  expect(wide.messages.at(-1)).toMatchObject({cols: 50, rows: 30});
  tall.say(hidden);
  expect(made.pty.sizes.at(-1)).toBe('200x30');
  tall.say(seen({cols: 60, rows: 100}));
  made.shell.leave(wide.visitor);
  expect(made.pty.sizes.at(-1)).toBe('60x100');
});

test('input reaches the shell, but not with readOnly', () => {
  for (const readOnly of [false, true]) {
    const made = make({readOnly});
    const page = made.join();
    page.say(seen());
    expect(made.shell.input(page.visitor, Buffer.from('ls\r'))).toBe(true);
    expect(made.pty.input).toBe(readOnly ? '' : 'ls\r');
    expect(page.messages[0]).toMatchObject({readOnly});
  }
});

test('a page is told when its input has room, and may send no more than its bound before', async () => {
  const made = make();
  const page = made.join();
  page.say(seen());
  const piece = Buffer.alloc(64 * 1_024);
  made.shell.input(page.visitor, Buffer.from('a'));
  expect(page.messages.at(-1)).toEqual({type: 'taken', bytes: 1});
  const makeRoom = made.fill();
  expect(made.shell.input(page.visitor, piece)).toBe(true);
  expect(page.messages.at(-1)).toEqual({type: 'taken', bytes: 1});
  expect(page.say({type: 'ack', bytes: page.bytes})).toBe(true);
  expect(made.shell.input(page.visitor, piece)).toBe(true);
  expect(made.shell.input(page.visitor, Buffer.from('b'))).toBe(false);
  makeRoom();
  await until(() => page.messages.filter(({type}) => type === 'taken').length === 4);
  expect(made.shell.input(page.visitor, piece)).toBe(true);
});

test('programs get one answer to a question, also with readOnly', async () => {
  const made = make({readOnly: true});
  for (let i = 0; i < 3; i += 1) made.join().say(seen());
  made.output('\x1b[c');
  await until(() => made.pty.input !== '');
  expect(made.pty.input).toBe('\x1b[?1;2c');
});

test('the end comes after the last output, with an unfinished sequence', async () => {
  const made = make();
  const page = made.join();
  page.say(seen());
  made.output('bye \x1b');
  made.started?.onExit({code: 0, signal: 15});
  await until(() => made.exit !== undefined);
  expect(page.text.endsWith('bye \x1b')).toBe(true);
  expect(made.exit).toEqual({code: null, signal: 'SIGTERM'});
  made.shell.tellEnd({code: null, signal: 'SIGTERM'});
  expect(page.messages.at(-1)).toEqual({type: 'end', code: null, signal: 'SIGTERM'});
});
