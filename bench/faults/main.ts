// `npm run bench:faults`: breaks the network between relay and agent and reports what happens to open connections, with tunl and
// with other tools. Needs root. Each cell makes three network namespaces and removes them.

import {loadavg} from 'node:os';
import {parseArgs} from 'node:util';
import {Tools} from '../machine/tools.js';
import {positive} from '../report-line.js';
import {type CellResult, runCell} from './cell.js';
import {type Fault, faults} from './faults.js';
import {chisel} from './peers/chisel.js';
import {frpQuic, frpTcp} from './peers/frp.js';
import type {FaultPeer} from './peers/peer.js';
import {ssh} from './peers/ssh.js';
import {tunl} from './peers/tunl.js';
import {wireguard} from './peers/wireguard.js';
import {matrix, misses} from './table.js';

const allPeers: readonly FaultPeer[] = [tunl, frpTcp, frpQuic, chisel, ssh, wireguard];

/** Peers that this bench cannot run, with the reason. */
const missing = ['newt is left out: it needs a Pangolin server, which is more than one program'];

/** For one cell. The longest one takes half an hour. */
const CELL_TIMEOUT_MS = 45 * 60_000;

const usage = `npm run bench:faults -- [--only PEER,…] [--fault FAULT,…] [--short] [--together 6]

  --only      ${allPeers.map(({name}) => name).join(', ')}
  --fault     ${faults.map(({name}) => name).join(', ')}
  --short     shorter faults, few times: shows that everything works; ten minutes for all
  --together  so many cells at the same time (6)

One line of JSON for each cell, then the matrix. The exit code is 1 when tunl misses what it has to hold or a cell fails.
`;

interface Cell {
  peer: FaultPeer;
  fault: Fault;
}

function chosen<T extends {name: string}>(
  flag: string,
  text: string | undefined,
  all: readonly T[],
): readonly T[] {
  const names = text?.split(',') ?? all.map(({name}) => name);
  const unknown = names.filter((name) => !all.some((each) => each.name === name));
  if (unknown.length > 0)
    throw new Error(`--${flag} ${unknown.join(',')}: known are ${all.map(({name}) => name).join(', ')}`);
  return all.filter(({name}) => names.includes(name));
}

async function available(
  peers: readonly FaultPeer[],
  tools: Tools,
  signal: AbortSignal,
): Promise<FaultPeer[]> {
  const found: FaultPeer[] = [];
  for (const peer of peers) {
    const reason = await tools.provide(peer.needs, signal);
    if (reason === undefined) found.push(peer);
    else process.stderr.write(`${peer.name} is left out: ${reason}\n`);
  }
  return found;
}

async function main(signal: AbortSignal): Promise<boolean> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      only: {type: 'string'},
      fault: {type: 'string'},
      short: {type: 'boolean', default: false},
      together: {type: 'string', default: '6'},
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return true;
  }
  if (process.getuid?.() !== 0) throw new Error('network namespaces are needed: run it as root, on Linux');
  const tools = new Tools(['ip', 'ss', 'nft']);
  const peers = await available(chosen('only', values.only, allPeers), tools, signal);
  const rows = chosen('fault', values.fault, faults);
  if (values.only === undefined) for (const line of missing) process.stderr.write(`${line}\n`);
  process.stderr.write(`load average before: ${loadavg()[0]?.toFixed(1)}\n`);

  // The longest row comes last in the table and starts first.
  const waiting: Cell[] = [...rows].reverse().flatMap((fault) => peers.map((peer) => ({peer, fault})));
  const cells = new Map<string, CellResult | string>();
  const missed: string[] = [];
  const work = async () => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const {peer, fault} = cell;
      const key = `${peer.name} ${fault.name}`;
      try {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(CELL_TIMEOUT_MS)]);
        const result = await runCell({tools, peer, fault, short: values.short, signal: limit});
        cells.set(key, result);
        missed.push(...misses(result));
        process.stdout.write(`${JSON.stringify(result)}\n`);
      } catch (error) {
        signal.throwIfAborted();
        cells.set(key, 'failed');
        missed.push(`${key} failed: ${error instanceof Error ? error.message : error}`);
        process.stderr.write(`${missed.at(-1)}\n`);
      }
    }
  };
  await Promise.all(Array.from({length: positive('together', values.together)}, work));
  const named = peers.map((peer) => ({name: peer.name, version: peer.version(tools) ?? ''}));
  process.stdout.write(`\n${matrix(named, rows, cells)}\n`);
  for (const line of missed) process.stdout.write(`miss: ${line}\n`);
  return missed.length === 0;
}

/** The first signal ends every cell, and each removes its namespaces. The second signal ends this process at once. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort(new Error(`${signal}: everything that was started has ended`));
  });
}
try {
  process.exitCode = (await main(interrupted.signal)) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
