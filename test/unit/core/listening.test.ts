// The kernel's tables of sockets: which of them listen, whatever else is in the table.

import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {expect, test} from 'vitest';
import {isListening, listeningSockets} from '../../../src/lib/core/listening.js';
import {Scope} from '../../helpers/scope.js';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ';

function row(
  number: number,
  {address = '0100007F', port = 'C350', state = '06', uid = 0, inode = 0},
): string {
  const queues = '00000000:00000000 03:00000176 00000000';
  return `${String(number).padStart(4)}: ${address}:${port} 0100007F:84D2 ${state} ${queues} ${String(uid).padStart(5)}        0 ${inode} 3 000000005ee1c09c`;
}

test('finds the rows that listen among thousands, wherever they are', async () => {
  await using scope = new Scope();
  const table = `${await scope.tempDir()}/tcp`;
  const at = new Map([
    [0, {port: '1F90', uid: 1000, inode: 71}],
    [1234, {port: '01BB', inode: 72}],
    [2999, {port: 'FFFF', uid: 33, inode: 73, address: '00000000000000000000000001000000'}],
  ]);
  const rows = Array.from({length: 3000}, (_, n) => {
    const listening = at.get(n);
    return row(n, listening ? {...listening, state: '0A'} : {});
  });
  await writeFile(table, `${[HEAD, ...rows].join('\n')}\n`);
  expect(await listeningSockets(table)).toEqual([
    {inode: '71', address: '0100007F', port: 8080, uid: 1000},
    {inode: '72', address: '0100007F', port: 443, uid: 0},
    {inode: '73', address: '00000000000000000000000001000000', port: 65535, uid: 33},
  ]);
});

test('a port in the kernel’s own table', async () => {
  await using scope = new Scope();
  const port = await scope.listen(createServer());
  expect(await isListening(['127.0.0.1'], port)).toBe(true);
  expect(await isListening(['127.0.0.2'], port)).toBe(false);
});

test.each(['/proc/self/net/no-such-table', '/proc/self/net'])(
  '%s: without a table nothing listens',
  async (table) => {
    expect(await listeningSockets(table)).toEqual([]);
  },
);
