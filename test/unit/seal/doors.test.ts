// The program that makes the listeners of a sealed network, as the bundle has it.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';

const DOORS = fileURLToPath(new URL('../../../dist/bundle/seal/doors.js', import.meta.url));

/** A slow machine on purpose: whatever the program repeats is due once more between its last message and its end. */
const SLOW = `
  const repeated = new Map();
  const {setInterval, clearInterval} = globalThis;
  globalThis.setInterval = (...words) => { const timer = setInterval(...words); repeated.set(timer, words[0]); return timer; };
  globalThis.clearInterval = (timer) => { repeated.delete(timer); clearInterval(timer); };
  const disconnect = process.disconnect.bind(process);
  process.disconnect = () => { disconnect(); process.nextTick(() => { for (const run of repeated.values()) run(); }); };
`;

test('a program that has handed over all listeners ends well, however slow the machine is', async () => {
  const inUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const words = [
    ...[...inUser, '--net', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'],
    ...[process.execPath, '--import', `data:text/javascript,${encodeURIComponent(SLOW)}`, DOORS],
  ];
  const child = spawn('unshare', words, {env: process.env, stdio: ['ignore', 'ignore', 'inherit', 'ipc']});
  const messages: unknown[] = [];
  child.on('message', (message, handle) => {
    messages.push(message);
    (handle as {close(): void} | undefined)?.close();
  });
  const [code, signal] = await once(child, 'exit');
  expect({code, signal}).toEqual({code: 0, signal: null});
  expect(messages.at(-1)).toEqual({isComplete: true});
});
