// The events of a sandbox, as one closed union.

import type {TunnelEvent} from '../agent/events.js';
import type {Refusal} from '../seal/refusals.js';
import type {SandboxEnd, SandboxState, SandboxTunnel} from './control.js';

export type SandboxEvent =
  | {readonly type: 'state'; readonly id: string; readonly state: Exclude<SandboxState, 'ended'>}
  /** Each port has its address. */
  | {readonly type: 'tunnels'; readonly id: string; readonly tunnels: readonly SandboxTunnel[]}
  /** An event of the tunnel of one port. Events about the shared link come once for each port. */
  | {readonly type: 'tunnel'; readonly id: string; readonly port: number; readonly event: TunnelEvent}
  /** `egress` does not allow a look-up or a connection of a program inside. At a bounded rate. */
  | ({readonly type: 'refused'; readonly id: string} & Refusal)
  /** The last one. */
  | {readonly type: 'ended'; readonly id: string; readonly end: SandboxEnd};
