// What a relay and an agent have written about names and ports: a test kills them after the write, not after some time.
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {until} from '../helpers/launching.js';
import {domain} from './rig.js';

export const leaseTable = (stateDir: string): string => join(stateDir, 'relay', domain, 'leases.json');

/** The names and ports of a relay's lease table, such as `tls:demo` and `tcp:20417`; none before its first write. */
export async function leasesIn(stateDir: string): Promise<Set<string>> {
  const text = await readFile(leaseTable(stateDir), 'utf8').catch(() => '{"leases":[]}');
  const [table = '', ...lines] = text.split('\n');
  const keys = new Set((JSON.parse(table) as {leases: [string][]}).leases.map(([key]) => key));
  // Each line is a changed row, or a key alone whose lease is gone; the last line may be incomplete.
  for (const line of lines.filter((each) => each.endsWith(']'))) {
    const [key, lease] = JSON.parse(line) as [string, object?];
    if (lease === undefined) keys.delete(key);
    else keys.add(key);
  }
  return keys;
}

/** Resolves when the names and ports of the tunnels are in the table, which is written shortly after a change. */
export async function leased(
  stateDir: string,
  tunnels: readonly Pick<ReadyEvent, 'tls' | 'tcp'>[],
): Promise<void> {
  const keys = tunnels.flatMap(({tls, tcp}) => [
    ...(tls ? [`tls:${tls.host.slice(0, -domain.length - 1)}`] : []),
    ...(tcp ? [`tcp:${tcp.port}`] : []),
  ]);
  await until(async () => {
    const table = await leasesIn(stateDir);
    return keys.every((key) => table.has(key));
  });
}

/** Resolves when the agent has written its name, shortly after it is ready. */
export async function remembered(stateDir: string, host: string): Promise<void> {
  const [label = ''] = host.split('.');
  const folder = join(stateDir, 'names');
  await until(async () => {
    // Skips a draft beside it.
    const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.json'));
    const texts = await Promise.all(
      files.map((file) => readFile(join(folder, file), 'utf8').catch(() => '')),
    );
    return texts.some((text) => text.includes(`"${label}"`));
  });
}
