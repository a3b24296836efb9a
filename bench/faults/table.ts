// The fault bench's output: the matrix, and the limits that tunl misses.

import type {CellResult, Fate} from './cell.js';
import type {Fault} from './faults.js';

/** The three connections by name. */
const connections = ['download', 'echo', 'quiet'] as const;

/** One cell of the matrix: the longest stall if all connections survived, else which were lost and how. */
export function shown(result: CellResult | string | undefined): string {
  if (result === undefined) return '–';
  if (typeof result === 'string') return 'failed';
  const {download, longestStallS, endedAfterS, wrongBytes} = result;
  const wrong = wrongBytes > 0 ? ` ${wrongBytes} WRONG BYTES` : '';
  if (download === 'hangs') return `✗ hangs${wrong}`;
  if (download !== 'survived') return `✗ ${download} after ${endedAfterS?.toFixed(0)} s${wrong}`;
  const lost = connections.filter((name) => result[name] !== 'survived');
  const but = lost.length > 0 ? `, ✗ ${lost.map((name) => `${name} ${result[name]}`).join(', ')}` : '';
  const share = result.fault === 'cut-10' ? ` (${(result.deadShare * 100).toFixed(1)} %)` : '';
  return `${longestStallS.toFixed(1)}${share}${but}${wrong}`;
}

/** @param cells by `PEER FAULT`. */
export function matrix(
  peers: readonly {name: string; version: string}[],
  faults: readonly Fault[],
  cells: ReadonlyMap<string, CellResult | string>,
): string {
  const row = (texts: readonly string[]) => `| ${texts.join(' | ')} |`;
  return [
    row(['longest stall of the download, s', ...peers.map(({name, version}) => `${name} ${version}`)]),
    row(['---', ...peers.map(() => '---')]),
    ...faults.map(({name, about}) =>
      row([about, ...peers.map((peer) => shown(cells.get(`${peer.name} ${name}`)))]),
    ),
  ].join('\n');
}

const survives = (fate: Fate) => fate === 'survived';

/** The limits that tunl misses in this cell, one sentence each. */
export function misses(result: CellResult): string[] {
  if (result.peer !== 'tunl') return [];
  const missed = connections
    .filter((name) => !survives(result[name]))
    .map((name) => `${result.fault}: the ${name} connection: ${result[name]}`);
  if (result.wrongBytes > 0) missed.push(`${result.fault}: ${result.wrongBytes} wrong bytes`);
  if (result.fault === 'cut-10' && result.deadShare > 0.05) {
    missed.push(
      `${result.fault}: the download stood still for ${(result.deadShare * 100).toFixed(1)} % of the time (5 %)`,
    );
  }
  return missed;
}
