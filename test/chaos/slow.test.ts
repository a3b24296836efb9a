// Thousands of slow strangers, wherever a relay waits for bytes: they use little memory, and are gone in time.
import {once} from 'node:events';
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';
import {domain, long, sized} from './rig.js';

const count = sized(2_000, 5_000);

/** The relay gives up after 4 s of a ClientHello; the fifth second is for the machine. */
const helloMs = 5_000;
const anyMs = 15_000;

/** V8 optimises what serves a visitor at about the 500th, which takes 10 to 20 MB once, with or without strangers. */
const warmUp = 600;

const kinds = [
  {what: 'the first kilobyte of a ClientHello', kind: 'cut', mostMs: helloMs, mostBytes: sized(32, 50) * MiB},
  {what: 'a byte of a ClientHello each second', kind: 'slow', mostMs: anyMs, mostBytes: 50 * MiB},
  // Connections after the handshake have the memory of TLS, 128 MiB together.
  {what: 'a byte of a request each second', kind: 'headers', mostMs: anyMs, mostBytes: 200 * MiB},
  {what: 'a byte of a plain request each second', kind: 'plain', mostMs: anyMs, mostBytes: 100 * MiB},
];

test.for(long ? kinds : kinds.filter(({kind}) => kind === 'cut' || kind === 'headers'))(
  '$what',
  async ({what, kind, mostMs, mostBytes}, {scope}) => {
    const relay = await startRelayProcess(scope, {flags: ['--listen-http', '127.0.0.1:0']});
    const {http} = await relay.cli.event('listening');
    const {ready} = await relay.expose(await echoUpstream(scope));
    const {host, port} = ready.tls ?? {host: '', port: 0};
    const greet = async () => {
      const visitor = await tlsVisitor(scope, {host, port}, {caFile: relay.caFile});
      visitor.write('hello');
      expect(String((await once(visitor, 'data'))[0])).toBe('hello');
      visitor.destroy();
    };
    for (let i = 0; i < warmUp; i += 1) await greet();
    const before = relay.cli.rssBytes();
    const at = String(kind === 'plain' ? http?.port : relay.port);
    const words = [kind, at, domain, '127.0.0.2', String(count), String(count)];
    const strangers = Child.start(scope, process.execPath, [
      `${projectRoot}test/helpers/strangers.js`,
      ...words,
    ]);
    let over = false;
    const end = strangers.line().finally(() => {
      over = true;
    });
    let peak = before;
    while (!over) {
      await greet();
      peak = Math.max(peak, relay.cli.rssBytes());
    }
    const {closed, longestMs} = JSON.parse(await end) as {closed: number; longestMs: number};
    const name = `${count} with ${what}`;
    expect(closed).toBe(count);
    expect.soft(atMost(name, 'ms until the last is gone', Math.round(longestMs), mostMs)).toBe(true);
    expect(atMost(name, 'relay RSS growth bytes', peak - before, mostBytes)).toBe(true);
    expect(relay.cli.exit).toBeUndefined();
  },
);
