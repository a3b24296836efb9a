// tunl as a user runs it: a relay and agents from this checkout's build, each process with its own state folder.

import {join} from 'node:path';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {projectRoot} from '../machine/tools.js';
import {type Peer, type Route, startTimeoutMs} from './peer.js';
import {program as here, startTunlRelay} from './tunl-relay.js';

export const tunl = peer('tunl', 'tunl, resume on: its normal state', {});

export const tunlWithoutReplay = peer('tunl-noreplay', 'tunl that keeps nothing for a resume', {
  TUNL_BENCH_NO_REPLAY: '1',
});

/** tunl of another revision. @param program its bin/run.js. */
export function tunlOf(revision: string, program: string): Peer {
  return peer(revision, `tunl of ${revision}`, {}, {program});
}

/** tunl module by module, with arguments for `node`, for example those of its profiler. */
export function tunlUnderNode(...nodeWords: string[]): Peer {
  const program = join(projectRoot, 'bench/modules.js');
  return peer('tunl', 'tunl under the eyes of a tool', {}, {nodeWords, program});
}

function peer(
  name: string,
  about: string,
  environment: Record<string, string>,
  {nodeWords = [], program = here}: {nodeWords?: readonly string[]; program?: string} = {},
): Peer {
  return {
    name,
    about,
    needs: [],
    async start(scope, {upstream}) {
      const {relay, env} = await startTunlRelay(scope, {env: environment, nodeWords, program});
      const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');

      const agent = (owner: Scope, stateDir: string, port: number, ...words: string[]): Child =>
        start(owner, process.execPath, [...nodeWords, program, 'expose', String(port), ...words], {
          env: {...environment, ...env, TUNL_STATE_DIR: stateDir},
          name: 'tunl expose',
        });
      // Quiet like the others: otherwise the output for each connection would be measured as well.
      const expose = async (scheme: Route['scheme'], port: number, ...words: string[]): Promise<Route> => {
        const child = agent(scope, await scope.tempDir('bench-agent'), port, '--quiet', ...words);
        const line = await within(startTimeoutMs, 'address from tunl', child.line());
        const place = new URL(line.includes('://') ? line : `tcp://${line}`);
        return {
          scheme,
          host: place.hostname,
          port: Number(place.port),
          relayPid: relay.pid,
          agentPid: child.pid,
        };
      };

      // One folder for all timed agents, as on a user's machine, but not that of the serving agents.
      const {uploadTls, echo, grpc} = upstream.services;
      const timedState = await scope.tempDir('bench-timed');
      return {
        relayBeforeMb,
        tcp: await expose('tcp', upstream.port, '--tcp'),
        https: await expose('https', upstream.port),
        upload: await expose('tcp', upstream.sinkPort, '--tcp'),
        ...(uploadTls && {uploadTls: await expose('https', uploadTls.port)}),
        ...(echo && {echo: await expose('tcp', echo.port, '--tcp')}),
        ...(grpc && {grpc: await expose('https', grpc.port, '--h2')}),
        timeAgent: async (owner) => {
          const began = performance.now();
          const child = agent(owner, timedState, upstream.port, '--tcp');
          await within(startTimeoutMs, 'address from tunl', child.line());
          return performance.now() - began;
        },
      };
    },
  };
}
