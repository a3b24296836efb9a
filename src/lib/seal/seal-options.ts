// The options of a seal, and its interface.

import type {ChildProcess, SpawnOptions} from 'node:child_process';
import type {Socket} from 'node:net';
import type {LogSink} from '../core/logger.js';
import type {ResolveName} from '../net/name-lookup.js';
import type {InsideDial} from './inside-dials.js';
import type {MemberHost, MemberNetwork} from './member-network.js';
import type {OnMissed} from './missed.js';
import type {SealedView} from './namespace-options.js';
import type {PrefixOptions} from './namespace-words.js';
import type {DialOut} from './passage.js';
import type {Refusal} from './refusals.js';
import type {SealRules} from './rules.js';
import type {DatagramsOut} from './udp/flows.js';
import type {IncomingFlow, WayBack, WayIn} from './udp/incoming-flows.js';
import type {UdpState} from './udp/seal-udp.js';

export interface SealOptions extends SealedView {
  readonly rules: SealRules;
  readonly log?: LogSink | undefined;
  /** A look-up or a connection was refused. At a bounded rate. */
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  /** The seal broke and has been closed: its programs have ended. */
  readonly onLost?: ((detail: string) => void) | undefined;
  /** Looks up allowed names. Default: this machine's name servers and /etc/hosts. */
  readonly resolve?: ResolveName | undefined;
  /** Opens the connections. Default: this machine's network, public addresses and those that a rule names. */
  readonly dialOut?: DialOut | undefined;
  /**
   * Carries UDP to destinations outside of a private network. Default: it is refused. Where this machine cannot, it is refused as
   * well, and `udp` of the seal has the reason. Not with `joins`.
   */
  readonly datagramsOut?: DatagramsOut | undefined;
  /** An allowed destination could not be reached, or `dialOut` has refused it. */
  readonly onUnreachable?: ((host: string, port: number, error: unknown) => void) | undefined;
  /** A program inside has missed something, for the first time: UDP, or a service of this machine. */
  readonly onMissed?: OnMissed | undefined;
  /** Open connections at once. Default 512. */
  readonly maxConnections?: number | undefined;
  /**
   * Seals the network of this process instead of a new one: that of a container which has none but loopback. Closing ends its
   * ways out, and nothing else. Root can do it, and the user who owns the container.
   */
  readonly joins?: {readonly pid: number} | undefined;
  /**
   * Programs have processes of their own, and see no others: the kernel ends all of them with the seal. Where the system does not
   * allow it, they are looked for at the end. Not with `joins`.
   */
  readonly ownProcesses?: boolean | undefined;
  /** Makes the programs a member of a private network, beside the rules. Not with `joins`. */
  readonly member?: MemberNetwork | undefined;
  /** True: `openSeal` resolves when programs can start inside. Until `ready` they have no way out yet. */
  readonly early?: boolean | undefined;
  /** Ends the start. Later it has no effect. */
  readonly signal?: AbortSignal | undefined;
}

export type SealedOptions = PrefixOptions & Pick<SpawnOptions, 'stdio' | 'env' | 'detached'>;

export interface Seal {
  readonly rules: SealRules;
  /** The rules of the start hold. @throws TunlError SANDBOX_EGRESS; the seal is closed then */
  readonly ready: Promise<void>;
  /** The path of the network namespace, for engines that join it. It is gone when the seal is closed. */
  readonly netns: string;
  /** A process in front of each command waits for it, holds signals back, and ends as the command does. */
  readonly ownProcesses: boolean;
  /** Connections to the outside that are open or on their way. */
  readonly connections: number;
  /** Grows while they move bytes out. */
  readonly movedBytes: number;
  /** Whether UDP leaves the seal, or why not, once it is ready. Undefined: nobody carries it. */
  readonly udp: UdpState | undefined;
  /** Why the seal broke; undefined while it holds, and after `close`. */
  readonly lostBecause: string | undefined;
  /** Resolves with it, also when the loss is not known yet: the kernel may end programs before anybody hears why. */
  whyLost(): Promise<string | undefined>;
  /**
   * The words before a command that runs inside, without capabilities. Only this process can use them, and only while the
   * seal is open.
   */
  prefix(options?: PrefixOptions): string[];
  /** Starts a command inside. It is killed when the seal is closed. */
  spawn(argv: readonly string[], options?: SealedOptions): ChildProcess;
  /**
   * Connects to a program inside. The socket allows half-open connections.
   * @throws Error with the system's code: ECONNREFUSED for a closed port
   */
  dialInside(dial: InsideDial): Promise<Socket>;
  /** A flow of UDP that another member has begun. Undefined: nothing comes in; `udp` may say why. */
  takeFlow(flow: IncomingFlow, back: WayBack): WayIn | undefined;
  /** The other members of the private network from now on. */
  setHosts(hosts: readonly MemberHost[]): void;
  /** From now on only these rules hold. Connections that they do not allow are cut before this returns. @throws TunlError EGRESS_INVALID, SANDBOX_EGRESS */
  setRules(rules: SealRules): Promise<void>;
  /** Resolves when the other ends have taken the datagrams that programs have sent so far, or after a limited time. */
  lastDatagrams(): Promise<void>;
  /** Kills everything that runs inside, and removes the namespace. Idempotent. */
  close(): Promise<void>;
}
