// Starts park.js, many agents in one process, and reads its events.
import {Child} from './child.js';
import {projectRoot} from './cli.js';
import type {Scope} from './scope.js';

export interface ParkEvent {
  type: string;
  agent: number;
  port: number;
  at: number;
  tls?: {host: string; port: number};
  tcp?: {host: string; port: number};
}

export interface Park {
  child: Child;
  /** All events of the type so far. */
  eventsOf(type: string): readonly ParkEvent[];
  /** Resolves when there are `count` events of the type. */
  heard(type: string, count: number): Promise<void>;
}

/** Resolves when all agents have all their tunnels. Each agent dials its upstreams by its own loopback address. */
export async function startPark(
  scope: Scope,
  {agents, ports, env}: {agents: number; ports: readonly number[]; env: Record<string, string>},
): Promise<Park> {
  const words = [`${projectRoot}test/helpers/park.js`, ...[agents, ...ports].map(String)];
  const child = Child.start(scope, process.execPath, words, {
    name: 'park',
    env: {...env, TUNL_PARK: await scope.tempDir('park')},
  });
  const byType = new Map<string, ParkEvent[]>();
  let read = 0;
  // Each line is read once: thousands of agents print ten thousand lines, and wait until they are read.
  const catchUp = () => {
    for (; read < child.lines.length; read += 1) {
      const event = JSON.parse(child.lines[read] ?? '') as ParkEvent;
      const same = byType.get(event.type);
      if (same === undefined) byType.set(event.type, [event]);
      else same.push(event);
    }
  };
  const eventsOf = (type: string) => {
    catchUp();
    return byType.get(type) ?? [];
  };
  const heard = async (type: string, count: number) => {
    await child.line(() => eventsOf(type).length >= count);
  };
  await heard('all', 1);
  return {child, eventsOf, heard};
}
