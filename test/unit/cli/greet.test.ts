// The QR code leads to the address: read back by its finder patterns and size, shown in lines of the same width.

import {expect, test} from 'vitest';
import {greet, qrLines} from '../../../src/lib/cli/greet.js';

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

test('what was not wished for is not done', async () => {
  const told: string[] = [];
  await greet(READY, {}, ({text}) => told.push(text));
  expect(told).toEqual([]);
  await greet(READY, {qr: true}, ({text}) => told.push(text));
  expect(told).toEqual(await qrLines(READY.address));
});
