// The library: a tunnel for a local port, a relay, sandboxes, a hub, private networks, clusters, and egress, without the command line.

// First, because modules are evaluated in this order.
import './lib/core/node-version.js';

export type * from './lib/agent/events.js';
export type {ForwardOptions, SocketAddress, Tunnel} from './lib/agent/options.js';
export type {LinkFacts, LinkOptions} from './lib/agent/upstreams/gated/links.js';
export type {SharedLink} from './lib/agent/upstreams/gated/tunnel-gates.js';
export type {ClusterEvent} from './lib/cluster/events.js';
export type {JoinClusterOptions} from './lib/cluster/join-options.js';
export {cluster, joinCluster, runCluster} from './lib/cluster/library.js';
export type {Cluster} from './lib/cluster/local.js';
export type {ClusterEnd, ClusterOptions} from './lib/cluster/options.js';
export {ERRORS, type ErrorCode, type ErrorRow, EXIT, isErrorCode, TunlError} from './lib/core/errors.js';
export type {LogLevel, LogRecord, LogSink} from './lib/core/logger.js';
export {
  type Egress,
  type EgressEvent,
  type EgressFailedEvent,
  type EgressOptions,
  egress,
  type ProxyOptions,
} from './lib/egress/egress.js';
export type {ForwardedPort} from './lib/egress/forward.js';
export type {EgressPort} from './lib/egress/local-port.js';
export type {ProxyPort} from './lib/egress/proxy/proxy-port.js';
export type {EgressRunOptions} from './lib/egress/run.js';
export {forward} from './lib/forward.js';
export {type HubOptions, type HubTemplate, type RunningHub, startHub} from './lib/hub/library.js';
export type {KeptBy, SessionEnd, SessionState, SessionView} from './lib/hub/session.js';
export type {DirectOptions} from './lib/network/direct-door.js';
export type {ForwardedMember} from './lib/network/forward.js';
export {network} from './lib/network/library.js';
export type {MemberRunOptions, MemberStart} from './lib/network/library-run.js';
export type {Member, MemberPath} from './lib/network/member.js';
export type {
  MemberFailedEvent,
  MembersEvent,
  Network,
  NetworkEvent,
  NetworkOptions,
} from './lib/network/network.js';
export type {Relay, RelayOptions, RelayReload, RelayStats} from './lib/relay/options.js';
export {startRelay} from './lib/relay/start.js';
export type {FileEntry, ProcessEnd, SandboxStats} from './lib/sandbox/backend.js';
export type {EndReason, LogPiece, SandboxEnd, SandboxInfo, SandboxState} from './lib/sandbox/control.js';
export type {SandboxEvent} from './lib/sandbox/events.js';
export type {ExecProcess} from './lib/sandbox/exec-process.js';
export type {SandboxOptions} from './lib/sandbox/options.js';
export type {SandboxOutput} from './lib/sandbox/output.js';
export {Probe} from './lib/sandbox/probe.js';
export {type ExecOptions, type PortAddress, Sandbox} from './lib/sandbox/sandbox.js';
export type {SandboxFs} from './lib/sandbox/sandbox-fs.js';
export type {EgressRules} from './lib/sandbox/spec.js';
export type {SealedExit} from './lib/seal/run-sealed.js';
