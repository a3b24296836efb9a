// The metrics of a relay: sums over all its processes.

import type {RelayEvent} from '../events.js';
import {PROBE_LEGS} from '../probe/probe-state.js';
import type {Admin} from './admin.js';
import {readinessOf} from './health.js';
import type {Family, Sample} from './prometheus.js';

/** Counters of events. */
const COUNTED: readonly (readonly [type: RelayEvent['type'], name: string, help: string])[] = [
  ['agent-connected', 'agent_sessions', 'Sessions of agents that have begun.'],
  ['agent-away', 'agent_link_losses', 'Links of agents that were lost.'],
  ['agent-resumed', 'agent_resumes', 'Sessions that went on over another link.'],
  ['agent-gone', 'agent_session_ends', 'Sessions of agents that have ended.'],
  ['tunnel-bound', 'binds', 'Tunnels that were bound.'],
  ['tunnel-lost', 'tunnel_takeovers', 'Tunnels that another agent of the same owner took over.'],
  ['member-joined', 'member_joins', 'Members of private networks and clusters that have joined.'],
  ['kicked', 'kicks', 'Kicks by the operator.'],
  ['egress-address-lost', 'egress_address_losses', 'Addresses of egresses that the machine lost.'],
  ['egress-address-back', 'egress_address_returns', 'Addresses of egresses that it got back.'],
  ['worker-ended', 'worker_ends', 'Worker processes that ended without being asked.'],
];

export async function metricsOf(admin: Admin): Promise<Family[]> {
  const {options, counters, startedAt, relay} = admin;
  const [counts, egresses] = await Promise.all([options.operations.counts(), options.operations.egresses()]);
  const probe = relay?.probe;
  const gauge = (name: string, help: string, ...samples: (number | Sample)[]): Family => ({
    ...{name: `tunl_relay_${name}`, help, type: 'gauge'},
    samples: samples.map((sample) => (typeof sample === 'number' ? {value: sample} : sample)),
  });
  const counter = (...words: Parameters<typeof gauge>): Family => ({...gauge(...words), type: 'counter'});
  return [
    gauge('info', 'The version of this relay.', {labels: {version: options.software}, value: 1}),
    gauge('start_time_seconds', 'When it started, since 1970.', startedAt.getTime() / 1_000),
    gauge('ready', 'Whether /readyz says that it is ready.', readinessOf(admin).ok ? 1 : 0),
    gauge(
      'agents',
      'Sessions of agents, by the state of their link.',
      {labels: {link: 'up'}, value: counts.agents - counts.agentsAway},
      {labels: {link: 'away'}, value: counts.agentsAway},
    ),
    gauge('tunnels', 'Tunnels.', counts.tunnels),
    gauge('open_visitors', 'Open connections of visitors.', counts.visitors),
    counter('visitors', 'Connections of visitors that reached a tunnel.', counts.visitorsTotal),
    counter(
      'visitor_bytes',
      'Bytes of visitors: in from them, out to them.',
      {labels: {direction: 'in'}, value: counts.bytesIn},
      {labels: {direction: 'out'}, value: counts.bytesOut},
    ),
    gauge('open_egress', 'Open connections by egress.', counts.egress),
    counter('egress', 'Connections by egress.', counts.egressTotal),
    counter(
      'egress_bytes',
      'Bytes of connections by egress: in from destinations, out to them.',
      {labels: {direction: 'in'}, value: counts.egressBytesIn},
      {labels: {direction: 'out'}, value: counts.egressBytesOut},
    ),
    ...(egresses.length === 0
      ? []
      : [
          gauge(
            'egress_address_up',
            'Whether connections can leave by this address of an egress.',
            ...egresses.flatMap(({egress, addresses}) =>
              addresses.map(({address, healthy}) => ({
                labels: {egress, address},
                value: healthy ? 1 : 0,
              })),
            ),
          ),
        ]),
    gauge('networks', 'Private networks and clusters.', counts.networks),
    gauge('network_members', 'Their members.', counts.members),
    gauge('pending_connections', 'Connections without rights yet.', counts.pending),
    ...COUNTED.map(([type, name, help]) => counter(name, help, counters.of(type))),
    counter(
      'refusals',
      'Refusals, by reason.',
      ...counters.refusals.map(([reason, value]) => ({labels: {reason}, value})),
    ),
    gauge('blocked_entries', 'Names, addresses and owners that are blocked.', options.blocked.count),
    gauge(
      'certificate_expiry_timestamp_seconds',
      'The end of the given certificate, or of the own CA, since 1970.',
      options.certificates.expiresAt / 1_000,
    ),
    gauge('workers', 'Worker processes that serve.', options.workers().length),
    gauge('memory_bytes', 'Memory of all processes of the relay.', counts.memoryBytes),
    counter('cpu_seconds', 'Processor time of all processes of the relay.', counts.cpuSeconds),
    counter('audit_lines_lost', 'Lines of the audit file that could not be written.', admin.auditLinesLost),
    ...(probe === undefined
      ? []
      : [
          gauge('probe_success', 'Whether the last probe of its own tunnel went through.', probe.ok ? 1 : 0),
          gauge('probe_timestamp_seconds', 'When the last probe ended, since 1970.', probe.at / 1_000),
          gauge(
            'probe_leg_seconds',
            'The time of each leg of the last probe.',
            ...PROBE_LEGS.flatMap((leg) => {
              const ms = probe.ms[leg];
              return ms === undefined ? [] : [{labels: {leg}, value: ms / 1_000}];
            }),
          ),
        ]),
  ];
}
