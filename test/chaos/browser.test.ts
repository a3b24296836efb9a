// A page in a real browser with an open WebSocket and server-sent events, while the link is cut: no event of either is lost.
import {createServer} from 'node:http';
import {expect} from 'vitest';
import {type WebSocket, WebSocketServer} from 'ws';
import {startBrowser} from '../helpers/browser.js';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {sized, sleep, startRig} from './rig.js';

const cuts = sized(4, 40);

/** Runs in the page: keeps everything that comes, and sends a number every 20 ms. */
const page = `<!doctype html><title>counting</title><script>
const seen = {events: [], messages: [], trouble: []};
const events = new EventSource('/events');
events.onmessage = ({data}) => seen.events.push(Number(data));
events.onerror = () => seen.trouble.push('events');
const socket = new WebSocket('wss://' + location.host + '/socket');
socket.onmessage = ({data}) => seen.messages.push(Number(data));
socket.onerror = () => seen.trouble.push('socket error');
socket.onclose = () => seen.trouble.push('socket closed');
let said = 0;
const talking = setInterval(() => socket.readyState === 1 && socket.send(String(said++)), 20);
const hush = () => { clearInterval(talking); return said; };
</script>`;

/** Sends numbers on `/events` and `/socket`, and keeps what it gets. */
async function countingUpstream(scope: Scope) {
  const told: number[] = [];
  const opened = {events: 0, sockets: 0};
  const count = {events: 0, sockets: 0};
  const timers: NodeJS.Timeout[] = [];
  const server = createServer((request, response) => {
    if (request.url !== '/events') {
      response.writeHead(200, {'content-type': 'text/html'});
      response.end(request.url === '/' ? page : '');
      return;
    }
    opened.events += 1;
    response.writeHead(200, {'content-type': 'text/event-stream', 'cache-control': 'no-store'});
    timers.push(setInterval(() => response.write(`data: ${count.events++}\n\n`), 20));
  });
  const sockets = new WebSocketServer({server, path: '/socket', perMessageDeflate: false});
  sockets.on('connection', (socket: WebSocket) => {
    opened.sockets += 1;
    socket.on('message', (data) => told.push(Number(String(data))));
    timers.push(setInterval(() => socket.send(String(count.sockets++)), 20));
  });
  const hush = () => {
    for (const timer of timers) clearInterval(timer);
  };
  scope.onEnd(hush);
  return {port: await scope.listen(server), told, opened, count, hush};
}

const gaps = (numbers: readonly number[], length: number): number =>
  numbers.filter((number, i) => number !== i).length + Math.abs(length - numbers.length);

interface SeenByPage {
  events: number[];
  messages: number[];
  trouble: string[];
}

test('a WebSocket and server-sent events in Chromium survive cuts', async ({scope}) => {
  const rig = await startRig(scope, {quickRetry: true});
  const upstream = await countingUpstream(scope);
  const {cli, ready} = await rig.expose(upstream.port);
  const browser = await startBrowser(scope, {caFile: rig.caFile});
  const tab = await browser.newPage();
  await tab.goto(ready.url ?? '');
  const look = () => tab.evaluate('seen') as Promise<SeenByPage>;
  await tab.waitForFunction('seen.events.length > 10 && seen.messages.length > 10');
  for (let cut = 1; cut <= cuts; cut += 1) {
    // In turn: back at once, and away for a while.
    if (cut % 2 === 0) await rig.proxy.refuse();
    rig.proxy.reset();
    if (cut % 2 === 0) {
      await sleep(600);
      await rig.proxy.accept();
    }
    // Only now: the page may still be getting bytes that came before the cut.
    await cli.line(() => cli.events.filter(({type}) => type === 'resumed').length >= cut);
    const before = (await look()).events.length;
    await tab.waitForFunction(`seen.events.length > ${before + 20} && seen.messages.length > ${before + 20}`);
  }
  upstream.hush();
  const said = (await tab.evaluate('hush()')) as number;
  const {events, sockets} = upstream.count;
  await tab.waitForFunction(`seen.events.length >= ${events} && seen.messages.length >= ${sockets}`);
  while (upstream.told.length < said) await sleep(20);
  const seen = await look();
  const name = `browser, ${cuts} cuts`;
  expect.soft(atMost(name, 'server-sent events lost', gaps(seen.events, events), 0)).toBe(true);
  expect.soft(atMost(name, 'messages to the page lost', gaps(seen.messages, sockets), 0)).toBe(true);
  expect.soft(atMost(name, 'messages from the page lost', gaps(upstream.told, said), 0)).toBe(true);
  expect(seen.trouble).toEqual([]);
  expect(upstream.opened).toEqual({events: 1, sockets: 1});
  expect(cli.events.filter(({type}) => type === 'resumed').length).toBe(cuts);
});
