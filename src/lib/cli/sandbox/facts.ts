// A sandbox as an event: from what its owner says, or from its journal after its end.

import type {BackendName, BackendReport, Finding} from '../../sandbox/backend.js';
import type {SandboxEnd, SandboxInfo, SandboxTunnel} from '../../sandbox/control.js';
import {withoutToken} from '../../sandbox/journal.js';
import type {ListedSandbox} from '../../sandbox/roster.js';
import type {EgressRules} from '../../sandbox/spec.js';
import {given} from '../flags.js';
import type {
  BackendEvent,
  FindingFacts,
  FinishedEvent,
  PortEvent,
  SandboxEndFacts,
  SandboxEvent,
  StartedEvent,
} from './events.js';

const iso = (ms: number) => new Date(ms).toISOString();
const date = (ms: number | undefined) => (ms === undefined ? undefined : iso(ms));

export function sandboxEvent(info: SandboxInfo): SandboxEvent {
  const {id, name, state, backend, command, pid, createdAt, stopsAt, unreal, activity, end} = info;
  return {
    type: 'sandbox',
    id,
    ...given({name}),
    state,
    ...given({backend}),
    command,
    pid,
    createdAt: iso(createdAt),
    ...given({stopsAt: date(stopsAt)}),
    ports: portsOf(info.tunnels),
    egress: egressWords(info.egress),
    unreal: limitNames(unreal),
    ...(activity !== undefined && {activity: {source: activity.source, at: iso(activity.at)}}),
    ...(end !== undefined && {end: endFacts(end)}),
  };
}

/** One whose owner is gone, or does not answer. */
export function listedSandbox({journal}: ListedSandbox): SandboxEvent {
  const {id, name, state, backend, command, owner, createdAt, stopsAt, tunnels, unreal, end, endedAt} =
    journal;
  return {
    type: 'sandbox',
    id,
    ...given({name}),
    state,
    ...given({backend}),
    command,
    pid: owner.pid,
    createdAt: iso(createdAt),
    ...given({stopsAt: end === undefined ? date(stopsAt) : undefined}),
    ports: portsOf(tunnels),
    unreal: limitNames(unreal),
    ...(end !== undefined && {end: endFacts(end, endedAt)}),
  };
}

/** The wishes. */
export interface Asked {
  readonly ports: readonly number[];
  /** As in `SandboxLimits`. */
  readonly limits: readonly string[];
}

export function startedEvent(info: SandboxInfo, {ports, limits}: Asked, detached: boolean): StartedEvent {
  const {id, name, backend, unreal, egress, stopsAt} = info;
  return {
    type: 'started',
    id,
    ...given({name}),
    // One that has started has a backend.
    backend: backend as BackendName,
    ports,
    limits: limitNames(limits.filter((each) => !unreal.includes(each))),
    unreal: limitNames(unreal),
    egress: egressWords(egress),
    ...given({stopsAt: date(stopsAt)}),
    ...(detached && {detached}),
  };
}

/** As the flags name them. */
const LIMIT_NAMES: Readonly<Record<string, string>> = {
  memoryBytes: 'memory',
  cpus: 'cpu',
  pids: 'pids',
  diskBytes: 'disk',
  openFiles: 'open-files',
};

function limitNames(limits: readonly string[]): string[] {
  return limits.map((name) => LIMIT_NAMES[name] ?? name);
}

function portsOf(tunnels: readonly SandboxTunnel[]): SandboxEvent['ports'] {
  return tunnels.flatMap((tunnel) => {
    const address = addressOf(tunnel);
    return address === undefined ? [] : [{port: tunnel.port, address: withoutToken(address)}];
  });
}

export function addressOf({url, tcpSocket}: SandboxTunnel): string | undefined {
  return tcpSocket === undefined ? url : tcpSocket.join(':');
}

export function portEvent(id: string, tunnel: SandboxTunnel): PortEvent {
  const {port, url, tlsSocket, tcpSocket} = tunnel;
  const side = (socket: readonly [string, number] | undefined) =>
    socket && {host: socket[0], port: socket[1]};
  return {
    type: 'port',
    id,
    port,
    address: addressOf(tunnel) ?? '',
    ...given({url, tls: side(tlsSocket), tcp: side(tcpSocket)}),
  };
}

export function finishedEvent(id: string, end: SandboxEnd): FinishedEvent {
  return {type: 'finished', id, ...endFacts(end)};
}

function endFacts({reason, code, signal, error, detail}: SandboxEnd, endedAt?: number): SandboxEndFacts {
  return {reason, ...given({code, signal, error, detail, at: date(endedAt)})};
}

export function egressWords(rules: EgressRules): string[] {
  return rules.kind === 'list' ? rules.allow.map(({host, port}) => `${host}:${port}`) : [rules.kind];
}

export function backendEvent(report: BackendReport): BackendEvent {
  const {name, available, version, why, mend, limits, egress, notes} = report;
  return {
    type: 'backend',
    name,
    available,
    ...given({version, why, mend}),
    findings: [
      finding('memory', limits.memoryBytes),
      finding('cpu', limits.cpus),
      finding('pids', limits.pids),
      finding('disk', limits.diskBytes),
      finding('open-files', limits.openFiles),
      finding('egress', egress),
    ],
    notes,
  };
}

function finding(what: FindingFacts['what'], {reality, why, mend}: Finding): FindingFacts {
  return {what, reality, ...given({why, mend})};
}
