// The other ways of a connection through the same relay, for a comparison with a tunnel: out through an egress, and to a
// member of a private network.

import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {memoryMbOf, type Pids} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {loopback, type Peer, type Route, startTimeoutMs, tcpRoutes} from './peer.js';
import {program, startTunlRelay} from './tunl-relay.js';

/** Its destinations are on loopback, which a relay dials only when its operator allows it. */
export const tunlEgress: Peer = {
  name: 'tunl-egress',
  about: 'tunl egress forward: from a local port out through the relay',
  needs: [],
  async start(scope, {upstream}) {
    const flags = ['--egress', `bench=${loopback}`, '--egress-allow-private', `${loopback}/32`];
    const {relay, env} = await startTunlRelay(scope, {flags});
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const routes = await tcpRoutes(scope, upstream, async (owner, port) => {
      const words = ['egress', 'forward', '--via', 'bench', `0:${loopback}:${port}`, '--quiet'];
      const agent = start(owner, process.execPath, [program, ...words], {
        env: {...env, TUNL_STATE_DIR: await owner.tempDir('bench-agent')},
        name: 'tunl egress forward',
      });
      const line = await within(startTimeoutMs, 'address from tunl egress', agent.line());
      return routeTo(line, relay.pid, agent.pid);
    });
    return {relayBeforeMb, ...routes};
  },
};

/** Two agents, one that serves the port and one that visits it; the CPU time and memory are those of both. */
export const tunlNet: Peer = {
  name: 'tunl-net',
  about: 'tunl net serve and forward: through the relay, with TLS between the members',
  needs: [],
  async start(scope, {upstream}) {
    const {relay, env} = await startTunlRelay(scope, {});
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    let members = 0;
    const routes = await tcpRoutes(scope, upstream, async (owner, port) => {
      members += 1;
      const folder = await owner.tempDir('bench-member');
      for (const name of ['serves', 'visits']) mkdirSync(join(folder, `${name}-tmp`));
      const member = (name: string, ...words: string[]) =>
        start(owner, process.execPath, [program, 'net', ...words], {
          // Members with the same folder for sockets would connect to each other without the relay.
          env: {...env, TUNL_STATE_DIR: join(folder, name), TMPDIR: join(folder, `${name}-tmp`)},
          name: `tunl net ${words[0]}`,
        });
      const name = `served${members}`;
      const serves = member('serves', 'serve', 'bench', '--name', name, String(port), '--json');
      await within(
        startTimeoutMs,
        'membership from tunl net serve',
        serves.line((text) => text.includes('"type":"network"')),
      );
      const visits = member('visits', 'forward', 'bench', `${name}:${port}`, '--quiet');
      const line = await within(startTimeoutMs, 'address from tunl net', visits.line());
      return routeTo(line, relay.pid, [serves.pid, visits.pid]);
    });
    return {relayBeforeMb, ...routes};
  },
};

function routeTo(line: string, relayPid: number, agentPid: Pids): Route {
  const place = new URL(`tcp://${line.trim()}`);
  return {scheme: 'tcp', host: place.hostname, port: Number(place.port), relayPid, agentPid};
}
