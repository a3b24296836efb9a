import {once} from 'node:events';
import {createConnection, createServer, type Socket} from 'node:net';
import {describe, expect} from 'vitest';
import {FaultProxy} from '../../helpers/fault-proxy.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** A pair of sockets joined by a proxy; the test controls both. */
async function joined(scope: Scope) {
  const accepted: Socket[] = [];
  const server = createServer({allowHalfOpen: true}, (socket) => accepted.push(socket));
  // One of the tests listens on the port a second time.
  const port = await unusedPort();
  const proxy = await FaultProxy.start(scope, {target: {port: await scope.listen(server)}, port});
  const connect = async () => {
    const arrived = once(server, 'connection');
    const near = createConnection({port: proxy.port, host: '127.0.0.1', allowHalfOpen: true});
    scope.onEnd(() => void near.destroy());
    await once(near, 'connect');
    await arrived;
    const far = accepted.at(-1);
    if (far === undefined) throw new Error('no connection');
    return {near: collect(near), far: collect(far)};
  };
  return {proxy, connect};
}

function collect(socket: Socket) {
  const chunks: Buffer[] = [];
  let error: NodeJS.ErrnoException | undefined;
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    socket.emit('counted');
  });
  socket.on('error', (failure: NodeJS.ErrnoException) => {
    error = failure;
  });
  const ended = once(socket, 'end').then(() => undefined);
  ended.catch(() => {});
  const closed = new Promise<string | undefined>((resolve) => socket.on('close', () => resolve(error?.code)));
  return {
    socket,
    ended,
    closed,
    data: () => Buffer.concat(chunks),
    async received(wanted: number) {
      while (bytes < wanted) await once(socket, 'counted');
      return Buffer.concat(chunks);
    },
  };
}

/** A limit for busy machines; vitest's default of a second is too short. */
const PATIENT = {timeout: 20_000};

const pattern = (length: number) => Buffer.from(Array.from({length}, (_, i) => i % 251));

describe('fault proxy', () => {
  test('passes on bytes and half-closes in both directions', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    near.socket.end(pattern(100_000));
    await far.ended;
    expect(far.data()).toEqual(pattern(100_000));
    far.socket.end('reply');
    await near.ended;
    expect(near.data().toString()).toBe('reply');
    await proxy.idle();
    expect(proxy.counters).toEqual({accepted: 1, cuts: 0, up: 100_000, down: 5});
  });

  test.for(['reset', 'fin'] as const)('cuts after exactly n bytes (%s)', async (kind, {scope}) => {
    const {proxy, connect} = await joined(scope);
    for (const cutAt of [0, 1, 70_001]) {
      const {near, far} = await connect();
      const cut = proxy.cutAfter('up', cutAt, kind);
      far.socket.write('still unread at the other side');
      near.socket.write(pattern(200_000));
      const link = await cut;
      expect(link.id).toBe(proxy.counters.accepted);
      if (kind === 'fin') {
        await far.ended;
        near.socket.end();
        far.socket.end();
        expect(await far.closed).toBeUndefined();
      } else {
        expect(await far.closed).toBe('ECONNRESET');
        expect(await near.closed).toBe('ECONNRESET');
      }
      expect(far.data()).toEqual(pattern(200_000).subarray(0, cutAt));
    }
    await proxy.idle();
    expect(proxy.counters.cuts).toBe(3);
  });

  test('several cuts count from their calls, across connections', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const cuts = [proxy.cutAfter('down', 10), proxy.cutAfter('down', 15)];
    const one = await connect();
    one.far.socket.write(pattern(100));
    await cuts[0];
    await one.near.closed;
    expect(one.near.data().length).toBe(10);
    const two = await connect();
    two.far.socket.write(pattern(100));
    await cuts[1];
    await two.near.closed;
    expect(two.near.data().length).toBe(5);
    const three = await connect();
    three.far.socket.end(pattern(100));
    await three.near.ended;
    expect(three.near.data().length).toBe(100);
  });

  test('a blackhole that holds loses nothing, and delays ends and resets', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    const other = await connect();
    near.socket.write('before');
    await far.received(6);
    proxy.blackhole('hold');
    near.socket.end(pattern(300_000));
    far.socket.write('down');
    other.near.socket.resetAndDestroy();
    const third = createConnection({port: proxy.port, host: '127.0.0.1'});
    scope.onEnd(() => void third.destroy());
    await once(third, 'connect');
    // The third connection came last, so after its accept the proxy has seen all of the above.
    await proxy.accepted(3);
    expect(far.data().length).toBe(6);
    expect(near.data().length).toBe(0);
    expect(other.far.socket.destroyed).toBe(false);
    proxy.restore();
    await far.ended;
    expect(far.data().subarray(6)).toEqual(pattern(300_000));
    expect((await near.received(4)).toString()).toBe('down');
    expect(await other.far.closed).toBe('ECONNRESET');
  });

  test('a blackhole that drops resets the connections that lost bytes', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const lossy = await connect();
    const quiet = await connect();
    proxy.blackhole('drop');
    lossy.near.socket.write('lost');
    // The same bytes on another connection: when the proxy shows these, it has read both.
    await expect.poll(() => proxy.links.some((link) => link.near.bytesRead === 4), PATIENT).toBe(true);
    proxy.restore();
    expect(await lossy.near.closed).toBe('ECONNRESET');
    quiet.near.socket.write('fine');
    expect((await quiet.far.received(4)).toString()).toBe('fine');
    expect(lossy.far.data().length).toBe(0);
  });

  test('half-open: one side is reset, the other gets nothing', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    proxy.halfOpen('far');
    expect(await far.closed).toBe('ECONNRESET');
    near.socket.write(pattern(100_000));
    await expect.poll(() => proxy.links[0]?.near.bytesRead, PATIENT).toBe(100_000);
    expect(near.socket.destroyed).toBe(false);
    expect(near.data().length).toBe(0);
  });

  test('resets every connection', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const pairs = [await connect(), await connect()];
    proxy.reset();
    for (const {near, far} of pairs) {
      expect(await near.closed).toBe('ECONNRESET');
      expect(await far.closed).toBe('ECONNRESET');
    }
    expect(proxy.links).toEqual([]);
  });

  test('refuses new connections, keeps open ones, and accepts again on the same port', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    const {port} = proxy;
    await proxy.refuse();
    const refused = createConnection({port, host: '127.0.0.1'});
    const [error] = await once(refused, 'error');
    expect(error).toMatchObject({code: 'ECONNREFUSED'});
    near.socket.write('still');
    await far.received(5);
    await proxy.accept();
    expect(proxy.port).toBe(port);
    await connect();
  });

  test('a target that refuses resets the connection', async ({scope}) => {
    const proxy = await FaultProxy.start(scope, {target: {port: await unusedPort()}});
    const near = collect(createConnection({port: proxy.port, host: '127.0.0.1'}));
    expect(await near.closed).toBe('ECONNRESET');
  });

  test('a rate is never exceeded, and a delay is never shorter', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    proxy.setRate('up', 1_000_000);
    const start = performance.now();
    near.socket.write(pattern(100_000));
    await far.received(100_000);
    // One burst (20 ms' worth) may go at once. Only the lower bound is certain on a busy machine.
    expect(performance.now() - start).toBeGreaterThanOrEqual(79);
    proxy.setRate('up', undefined);
    proxy.setDelay('down', 50);
    const sent = performance.now();
    far.socket.write('late');
    await near.received(4);
    expect(performance.now() - sent).toBeGreaterThanOrEqual(49);
  });

  test('back-pressure: a reader that stops stops the writer', async ({scope}) => {
    const {proxy, connect} = await joined(scope);
    const {near, far} = await connect();
    far.socket.pause();
    let stalled = false;
    const piece = Buffer.alloc(1 << 20);
    for (let i = 0; i < 64 && !stalled; i++) {
      await new Promise<void>((resolve) => {
        if (near.socket.write(piece)) resolve();
        else {
          const settle = setTimeout(() => {
            stalled = true;
            resolve();
          }, 300);
          near.socket.once('drain', () => {
            clearTimeout(settle);
            resolve();
          });
        }
      });
    }
    expect(stalled).toBe(true);
    expect(proxy.counters.up).toBeLessThan(32 << 20);
  });
});
