// The addresses that are dialled and when, the winner, and the error when all fail. The test moves the time.

import {EventEmitter, once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {afterEach, beforeEach, describe, expect, vi} from 'vitest';
import {type DialOptions, dial, inOrder} from '../../../src/lib/net/dial.js';
import {test} from '../../helpers/test.js';

class Attempt extends EventEmitter {
  destroyed = false;
  readonly address: string;
  constructor(address: string) {
    super();
    this.address = address;
  }
  destroy(): void {
    this.destroyed = true;
  }
  setKeepAlive(): void {}
  fail(code: string): void {
    this.emit('error', Object.assign(new Error(code), {code}));
  }
}

const A = '192.0.2.1';
const B = '192.0.2.2';
const A6 = '2001:db8::1';
const B6 = '2001:db8::2';

function dialAll(addresses: readonly string[], more: Partial<DialOptions> = {}) {
  const attempts: Attempt[] = [];
  const heard: string[] = [];
  const end = dial({
    host: 'relay.example',
    port: 443,
    resolve: (_host, done) => process.nextTick(done, null, addresses),
    open: (address) => {
      const attempt = new Attempt(address);
      attempts.push(attempt);
      return attempt as unknown as Socket;
    },
    onOpen: (_socket, address) => void heard.push(`open ${address}`),
    onFailed: (error) => void heard.push((error as NodeJS.ErrnoException).code ?? error.message),
    ...more,
  });
  return {attempts, heard, end, dialled: () => attempts.map(({address}) => address)};
}

const resolved = () => new Promise((resolve) => process.nextTick(resolve));

describe('a dial', () => {
  beforeEach(() => void vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']}));
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  test('tries an address again for a reason of this machine, and others meanwhile', async () => {
    const again = vi.fn(
      (error: Error, _address: string) => (error as NodeJS.ErrnoException).code === 'EADDRINUSE',
    );
    const {attempts, heard, dialled} = dialAll([A, B], {again});
    await resolved();
    attempts[0]?.fail('EADDRINUSE');
    attempts[1]?.fail('EADDRINUSE');
    expect(dialled()).toEqual([A, A, A]);
    expect(attempts.map(({destroyed}) => destroyed)).toEqual([true, true, false]);
    vi.advanceTimersByTime(250);
    expect(dialled()).toEqual([A, A, A, B]);
    attempts[2]?.fail('ECONNREFUSED');
    attempts[3]?.emit('connect');
    expect(heard).toEqual([`open ${B}`]);
    expect(again.mock.calls.map(([, address]) => address)).toEqual([A, A, A]);
  });

  test('of known addresses looks nothing up', async () => {
    const resolve = vi.fn();
    const {dialled, end} = dialAll([], {addresses: [A], resolve});
    expect(dialled()).toEqual([A]);
    expect(resolve).not.toHaveBeenCalled();
    end();
  });

  test('tries only the addresses that are accepted, and fails without one', async () => {
    const accepts = (address: string) => address === B;
    const some = dialAll([A, B, A6], {accepts});
    const none = dialAll([A, A6], {accepts});
    await resolved();
    expect(some.dialled()).toEqual([B]);
    expect(none.dialled()).toEqual([]);
    expect(none.heard).toEqual(['ADDRESS_REFUSED']);
    some.end();
  });

  test('gives up no address: one that answers late is used', async () => {
    const {attempts, heard, dialled} = dialAll([A6, A], {timeoutMs: 10_000});
    await resolved();
    expect(dialled()).toEqual([A6]);
    vi.advanceTimersByTime(249);
    expect(dialled()).toEqual([A6]);
    vi.advanceTimersByTime(1);
    expect(dialled()).toEqual([A6, A]);
    attempts[1]?.fail('ECONNREFUSED');
    vi.advanceTimersByTime(5_000);
    expect(heard).toEqual([]);
    attempts[0]?.emit('connect');
    expect(heard).toEqual([`open ${A6}`]);
  });

  test('tries the next address at once when one is refused', async () => {
    const {attempts, heard, dialled} = dialAll([A, B]);
    await resolved();
    attempts[0]?.fail('ECONNREFUSED');
    expect(dialled()).toEqual([A, B]);
    attempts[1]?.emit('connect');
    expect(heard).toEqual([`open ${B}`]);
  });

  test('has one winner: the others are closed, even those that connect in the same turn', async () => {
    const {attempts, heard} = dialAll([A, B, A6]);
    await resolved();
    vi.advanceTimersByTime(500);
    attempts[1]?.emit('connect');
    attempts[0]?.emit('connect');
    attempts[2]?.fail('ECONNRESET');
    expect(heard).toEqual([`open ${A6}`]);
    expect(attempts.map(({destroyed}) => destroyed)).toEqual([true, false, true]);
    expect(attempts[1]?.listenerCount('error')).toBe(0);
  });

  test('leaves nothing when it is ended', async () => {
    const {attempts, heard, end, dialled} = dialAll([A, B], {timeoutMs: 1_000});
    await resolved();
    end();
    attempts[0]?.emit('connect');
    vi.advanceTimersByTime(5_000);
    expect([dialled(), heard, attempts[0]?.destroyed]).toEqual([[A], [], true]);
    const early = dialAll([A, B]);
    early.end();
    await resolved();
    expect([early.dialled(), early.heard]).toEqual([[], []]);
  });

  test.each([
    [['EHOSTUNREACH', 'ECONNREFUSED', 'ENETUNREACH'], 'ECONNREFUSED'],
    [['ECONNREFUSED', 'ECONNRESET', 'ECONNREFUSED'], 'ECONNRESET'],
    [['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'], 'EHOSTUNREACH'],
    [['ENETUNREACH', 'ETIMEDOUT', 'ENETUNREACH'], 'ETIMEDOUT'],
    [['EWHATEVER', 'ENETUNREACH', 'EOTHER'], 'ENETUNREACH'],
  ])('that fails reports the most useful error: %j', async (codes, told) => {
    const {attempts, heard} = dialAll([A, B, A6]);
    await resolved();
    for (const [i, code] of codes.entries()) attempts[i]?.fail(code);
    expect(heard).toEqual([told]);
  });

  test('has a deadline, which is reported only without a more useful error', async () => {
    const silent = dialAll([A], {timeoutMs: 1_000});
    await resolved();
    vi.advanceTimersByTime(1_000);
    expect([silent.heard, silent.attempts[0]?.destroyed]).toEqual([['ETIMEDOUT'], true]);
    const refused = dialAll([A, A6], {timeoutMs: 1_000});
    await resolved();
    refused.attempts[0]?.fail('ECONNREFUSED');
    vi.advanceTimersByTime(1_000);
    expect(refused.heard).toEqual(['ECONNREFUSED']);
    const unresolved = dialAll([], {timeoutMs: 1_000, resolve: () => {}});
    vi.advanceTimersByTime(1_000);
    expect(unresolved.heard).toEqual(['ETIMEDOUT']);
  });

  test('of a name without an address fails', async () => {
    const none = dialAll([]);
    await resolved();
    expect(none.heard).toEqual(['ENOTFOUND']);
    const failed = dialAll([], {
      resolve: (_host, done) => done(Object.assign(new Error('EAI_AGAIN'), {code: 'EAI_AGAIN'}), []),
    });
    expect(failed.heard).toEqual(['EAI_AGAIN']);
  });
});

test.each([
  [[A, B, A6, B6], undefined, [A, A6, B, B6]],
  [[A6, B6, A], undefined, [A6, A, B6]],
  [[A6, A, B], B, [B, A6, A]],
  [[A, A], undefined, [A]],
  [[A], '192.0.2.9', [A]],
  [[], undefined, []],
])('of %j, with %s the last to answer: %j', (addresses, prefer, order) => {
  expect(inOrder(addresses, prefer)).toEqual(order);
});

test('`localhost` means both families, and the one that listens is used', async ({scope}) => {
  const server = createServer();
  const port = await scope.listen(server, '::1');
  const answered = await new Promise((resolve, reject) => {
    dial({
      host: 'some.localhost',
      port,
      onOpen: (socket, address) => {
        socket.destroy();
        resolve(address);
      },
      onFailed: reject,
    });
  });
  expect(answered).toBe('::1');
  const refused = connect(port, '127.0.0.1');
  await expect(once(refused, 'connect')).rejects.toMatchObject({code: 'ECONNREFUSED'});
});
