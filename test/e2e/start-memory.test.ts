// What a relay and an agent take before anybody visits them, beside a Node that does nothing: code that is loaded and not needed
// is found here.

import {createServer} from 'node:net';
import {expect} from 'vitest';
import {Child} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

const MB = 1e6;
const NAME = 'memory after a start';

test('a relay at its first start, and with its first agent; the agent', async ({scope}) => {
  const idle = Child.start(scope, process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log("up")']);
  await idle.line();
  const beyondNode = (child: Child) => (child.rssBytes() - idle.rssBytes()) / MB;

  // One process. It makes its authority and the certificate of its own name.
  const relay = await startRelayProcess(scope, {flags: ['--workers', '1']});
  expect(atMost(NAME, 'relay at its first start, MB beyond Node', beyondNode(relay.cli), 23)).toBe(true);

  const upstream = createServer((socket) => socket.on('error', () => {}));
  const agent = await relay.expose(await scope.listen(upstream));
  // The relay has signed a certificate for the name and has visited it.
  expect(agent.ready.probe).toBe('passed');
  expect(atMost(NAME, 'relay with an agent, MB beyond Node', beyondNode(relay.cli), 27)).toBe(true);
  expect(atMost(NAME, 'agent, MB beyond Node', beyondNode(agent.cli), 23)).toBe(true);
});
