// --open, --copy and --qr: the actions, and the messages about them.

import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {type Audience, actionsFor, greet, qrLines} from '../../../src/lib/cli/greet.js';

const READY = {
  type: 'ready',
  address: 'https://h3kq9fzt2m6xa7rdw5p4c8vbne.r1.example.net',
  upstream: 'localhost:1',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
} as const;

test('a QR code is a square of half blocks', async () => {
  const lines = await qrLines(READY.address);
  const width = lines[0]?.length ?? 0;
  expect(width).toBeGreaterThan(25);
  expect(lines.every((line) => line.length === width && /^[ ▀▄█]+$/.test(line))).toBe(true);
  expect(lines.length).toBe(Math.ceil(width / 2));
});

test('an address of this machine has no QR code, because a phone could not open it', async () => {
  const {who, told} = audience();
  const here = {...READY, relay: {url: 'https://tunl.localhost:8443', embedded: true}};
  await greet([here], {qr: true}, who);
  expect(told).toEqual(['no QR code: the address works on this machine only']);
  expect(actionsFor([here])).toEqual(['open', 'copy']);
  const given = {...here, relay: {...here.relay, embedded: false}};
  expect(actionsFor([given])).toEqual(['qr', 'open', 'copy']);
});

/** A listener, and a terminal. */
function audience({columns = 80, isScreen = true} = {}) {
  const told: string[] = [];
  const orders: string[] = [];
  const who: Audience = {
    tell: ({text}) => void told.push(text),
    ...(isScreen && {order: (text: string) => orders.push(text), columns: () => columns}),
  };
  return {who, told, orders};
}

test('without these flags nothing is done', async () => {
  const {who, told, orders} = audience();
  await greet([READY], {}, who);
  expect([told, orders]).toEqual([[], []]);
  await greet([READY], {qr: true}, who);
  expect(told).toEqual(await qrLines(READY.address));
});

test('a window that is too narrow for the code: a message says so', async () => {
  const {who, told} = audience({columns: 30});
  await greet([READY], {qr: true}, who);
  expect(told).toEqual(['the QR code needs 33 columns; the window has 30']);
});

describe('without a desktop', () => {
  beforeEach(() => {
    for (const name of ['DISPLAY', 'WAYLAND_DISPLAY', 'BROWSER', 'WSL_DISTRO_NAME']) vi.stubEnv(name, '');
  });
  afterEach(() => void vi.unstubAllEnvs());

  test('the terminal is asked to copy (OSC 52), which works through ssh', async () => {
    const {who, told, orders} = audience();
    await greet([READY], {copy: true}, who);
    expect(told).toEqual(['sent to the clipboard']);
    expect(orders).toEqual([`\u001b]52;c;${Buffer.from(READY.address).toString('base64')}\u0007`]);
  });

  test('without a terminal it does not claim to have copied', async () => {
    const {who, told} = audience({isScreen: false});
    await greet([READY], {copy: true, open: true}, who);
    expect(told).toEqual([
      'there is no clipboard here',
      'no browser could be opened: there is no desktop here',
    ]);
  });
});

test('an address that is no web page is not opened in a browser, and has one key only', async () => {
  const {who, told} = audience();
  const tcp = {...READY, address: 'r1.example.net:20417'};
  await greet([tcp], {open: true}, who);
  expect(told).toEqual(['r1.example.net:20417 is no address for a browser']);
  expect([actionsFor([tcp]), actionsFor([READY])]).toEqual([['copy'], ['qr', 'open', 'copy']]);
});

describe('several addresses', () => {
  const tcp = {...READY, address: 'r1.example.net:20417', tunnel: 'db'};
  const web = {...READY, address: 'https://web.r1.example.net', tunnel: 'web'};
  const api = {...READY, address: 'https://api.r1.example.net', tunnel: 'api-2'};

  test('each page has its code below its name', async () => {
    const {who, told} = audience();
    await greet([web, tcp, api], {qr: true}, who);
    expect(told).toEqual([
      'web  https://web.r1.example.net',
      ...(await qrLines(web.address)),
      'api-2  https://api.r1.example.net',
      ...(await qrLines(api.address)),
    ]);
    expect(actionsFor([tcp, web])).toEqual(['qr', 'open', 'copy']);
  });

  test('all are copied, one on each line', async () => {
    const {who, orders} = audience();
    await greet([web, tcp], {copy: true}, who);
    const text = 'https://web.r1.example.net\nr1.example.net:20417';
    expect(orders).toEqual([`\u001b]52;c;${Buffer.from(text).toString('base64')}\u0007`]);
  });

  test('without a page among them there is a message', async () => {
    const {who, told} = audience();
    await greet([tcp, {...tcp, tunnel: 'cache'}], {qr: true, open: true}, who);
    expect(told).toEqual(Array.from({length: 2}, () => 'none of the addresses is for a browser'));
  });
});
