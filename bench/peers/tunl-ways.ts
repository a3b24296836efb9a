// The other ways of a connection through the same relay, for a comparison with a tunnel: out through an egress, and to a
// member of a private network.

import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {memoryMbOf, type Pids} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {projectRoot} from '../machine/tools.js';
import {loopback, type Peer, type Route, startTimeoutMs, tcpRoutes} from './peer.js';
import {program as here, startTunlRelay} from './tunl-relay.js';

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
      const agent = start(owner, process.execPath, [here, ...words], {
        env: {...env, TUNL_STATE_DIR: await owner.tempDir('bench-agent')},
        name: 'tunl egress forward',
      });
      const line = await within(startTimeoutMs, 'address from tunl egress', agent.line());
      return routeTo(line, relay.pid, agent.pid);
    });
    return {relayBeforeMb, ...routes};
  },
};

/** The ways between two members, with what the processes get for them. */
const WAYS = {
  'tunl-net': {about: 'through the relay, sealed between the members'},
  'tunl-net-plain': {about: 'through the relay, with --trust-relay', words: ['--trust-relay']},
  'tunl-net-direct': {about: 'by TCP without the relay', serves: ['--direct']},
  'tunl-net-machine': {about: 'by a Unix socket', sharesSockets: true},
} satisfies Record<string, Way>;

interface Way {
  about: string;
  /** Arguments of both members. */
  words?: readonly string[];
  /** Arguments of the one that serves. */
  serves?: readonly string[];
  /** Members with the same folder for sockets connect to each other without the relay. */
  sharesSockets?: boolean;
}

export const tunlNet = between('tunl-net');
/** They are measured only when they are named. */
export const tunlNetWays: readonly Peer[] = [
  between('tunl-net-plain'),
  between('tunl-net-direct'),
  between('tunl-net-machine'),
];

/** Module by module, with arguments for `node`, for example those of its profiler. */
export function tunlNetUnderNode(name: keyof typeof WAYS, ...nodeWords: string[]): Peer {
  return between(name, {nodeWords, program: join(projectRoot, 'bench/modules.js')});
}

/** Two agents, one that serves the port and one that visits it; the CPU time and memory are those of both, in this order. */
function between(
  name: keyof typeof WAYS,
  {nodeWords = [], program = here}: {nodeWords?: readonly string[]; program?: string} = {},
): Peer {
  const {about, words = [], serves: servesWords = [], sharesSockets = false}: Way = WAYS[name];
  return {
    name,
    about: `tunl net serve and forward: ${about}`,
    needs: [],
    async start(scope, {upstream}) {
      const {relay, env} = await startTunlRelay(scope, {nodeWords, program});
      const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
      let members = 0;
      const routes = await tcpRoutes(scope, upstream, async (owner, port) => {
        members += 1;
        const folder = await owner.tempDir('bench-member');
        const socketsOf = (role: string) => join(folder, sharesSockets ? 'tmp' : `${role}-tmp`);
        const member = (role: 'serves' | 'visits', ...command: string[]) => {
          mkdirSync(socketsOf(role), {recursive: true});
          return start(owner, process.execPath, [...nodeWords, program, 'net', ...command, ...words], {
            env: {...env, TUNL_STATE_DIR: join(folder, role), TMPDIR: socketsOf(role)},
            name: `tunl net ${command[0]}`,
          });
        };
        const served = `served${members}`;
        const serves = member(
          'serves',
          'serve',
          'bench',
          '--name',
          served,
          String(port),
          '--json',
          ...servesWords,
        );
        await within(
          startTimeoutMs,
          'membership from tunl net serve',
          serves.line((text) => text.includes('"type":"network"')),
        );
        const visits = member('visits', 'forward', 'bench', `${served}:${port}`, '--quiet');
        const line = await within(startTimeoutMs, 'address from tunl net', visits.line());
        return routeTo(line, relay.pid, [serves.pid, visits.pid]);
      });
      return {relayBeforeMb, ...routes};
    },
  };
}

function routeTo(line: string, relayPid: number, agentPid: Pids): Route {
  const place = new URL(`tcp://${line.trim()}`);
  return {scheme: 'tcp', host: place.hostname, port: Number(place.port), relayPid, agentPid};
}
