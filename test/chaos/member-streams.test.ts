// Streams between members through links that are cut and processes that are killed, at a relay with several workers.

import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Duplex} from 'node:stream';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import {streamCodeOf} from '../../src/lib/agent/refused-stream.js';
import type {RunningRelay} from '../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../src/lib/relay/start.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {childrenOf, commandLine, until} from '../helpers/launching.js';
import {MemberAgent} from '../helpers/members.js';
import {startRelayProcess} from '../helpers/relay.js';
import {RelayEar} from '../helpers/relay-events.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const BYTES = 24 * 1024 * 1024;

/** Sends random bytes and ends; resolves with their hash. */
async function send(to: Duplex): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(
    async function* () {
      for (let sent = 0; sent < BYTES; sent += 64 * 1024) {
        const piece = randomBytes(64 * 1024);
        hash.update(piece);
        yield piece;
      }
    },
    async (pieces: AsyncIterable<Buffer>) => {
      for await (const piece of pieces) if (!to.write(piece)) await once(to, 'drain');
      to.end();
    },
  );
  return hash.digest('hex');
}

async function receive(from: Duplex): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of from) hash.update(piece as Buffer);
  return hash.digest('hex');
}

describe.each([1, 2])('at a relay with workers: %i', (workers) => {
  const scope = new Scope();
  const ear = new RelayEar();
  const token = randomBytes(24).toString('base64url');
  let relay: RunningRelay;
  beforeAll(async () => {
    const stateDir = await scope.tempDir('relay');
    const options = {domain: 'r1.localhost', token, trustedSources: ['127.0.0.1'], stateDir, workers};
    relay = scope.own(await startRunningRelay(options, {listeners: [ear.listen]}));
  });
  afterAll(() => scope[Symbol.asyncDispose]());

  async function agentBehind() {
    const proxy = await FaultProxy.start(scope, {target: {port: relay.address.port}});
    const url = `https://${relay.domain}:${proxy.port}`;
    const stateDir = await scope.tempDir('agent');
    const agent = await MemberAgent.open(scope, {relay: url, caFile: relay.caFile ?? '', token, stateDir});
    return {agent, proxy};
  }

  test('24 MiB each way while both links are cut again and again: equal, and each end comes', async () => {
    const [a, b] = [await agentBehind(), await agentBehind()];
    await a.agent.join({name: 'a'});
    await b.agent.join({name: 'b'});
    const near = await a.agent.connect('a', 'b');
    const {duplex: far} = await b.agent.offered();
    let isOver = false;
    const cut = async (proxy: FaultProxy, direction: 'up' | 'down', bytes: number) => {
      while (!isOver) await proxy.cutAfter(direction, bytes);
    };
    void cut(a.proxy, 'up', 5_000_000);
    void cut(b.proxy, 'down', 7_000_000);
    const [sent, got, sentBack, gotBack] = await Promise.all([
      send(near),
      receive(far),
      send(far),
      receive(near),
    ]);
    isOver = true;
    expect([got, gotBack]).toEqual([sent, sentBack]);
    expect(a.proxy.counters.cuts + b.proxy.counters.cuts).toBeGreaterThan(4);
  });
});

test('kill -9 of a worker: its members leave, their streams end, and they join again', async ({scope}) => {
  const tmp = await scope.tempDir('tmp');
  const relay = await startRelayProcess(scope, {
    ...{flags: ['--workers=2', '--log-level=info'], env: {TMPDIR: tmp}, stopSignal: 'SIGKILL'},
  });
  const {url, caFile, token, cli} = relay;
  const folders = async () => (await readdir(tmp)).filter((name) => name.startsWith('tunl-relay-'));
  const agent = async () =>
    MemberAgent.open(scope, {relay: url, caFile, token, stateDir: await scope.tempDir('agent')});
  const workerOf = async (name: string) => {
    const line = new RegExp(`a member has joined.* name=${name} .*worker=(\\d+)`);
    await until(() => line.test(cli.stderr));
    return Number(line.exec(cli.stderr)?.[1]);
  };

  const first = await agent();
  const a = await first.join({name: 'a'});
  const here = await workerOf('a');
  let [second, name] = [first, 'a'];
  // The relay deals agents out to its workers in turns.
  for (let at = 1; (await workerOf(name)) === here; at += 1) {
    name = `b${at}`;
    second = await agent();
    await second.join({name});
  }
  const out = await first.connect('a', name);
  const broken = new Promise((resolve) => out.once('close', () => resolve(streamCodeOf(out.errored))));
  const again = new Promise<void>((resolve) => void second.link.onSession(resolve));
  const there = String(await workerOf(name));
  const pid = childrenOf(cli.pid).find((each) => commandLine(each).split('\0').at(-2) === there);
  process.kill(pid ?? 0, 'SIGKILL');
  expect(await broken).toBe('UPSTREAM_RESET');
  await a.until(() => !a.names().includes(name));
  await again;
  await second.join({name});
  await a.until(() => a.names().includes(name));
  (await first.connect('a', name)).end('hello');
  // The first one broke with its session.
  await second.offered();
  expect(await text((await second.offered()).duplex)).toBe('hello');

  const [folder = ''] = await folders();
  expect((await stat(join(tmp, folder))).mode & 0o777).toBe(0o700);
  cli.signal('SIGKILL');
  await cli.exited;
  await expect.poll(folders, {timeout: 20_000}).toEqual([]);
});
