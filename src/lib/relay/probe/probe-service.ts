// The service `probe`: this relay dials the public side of an agent's own tunnel, with the agent's secret. For agents that
// cannot reach the name themselves, and for TCP ports.

import type {ProbeEnd} from '../../carrier/probe.js';
import type {Clock} from '../../core/clock.js';
import {systemCode} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import {
  encodeMessage,
  type ProbeAnswer,
  type ProbeOpen,
  parseProbeOpen,
} from '../../protocol/control-messages.js';
import {labelUnder} from '../../protocol/names.js';
import type {Opener} from '../agents/opened-streams.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {TunnelTable} from '../tunnels/tunnel-table.js';
import type {PublicDial} from './public-dial.js';

/** The probes of one session at once, twice the tunnels that agents share a link for, and those a second after that. */
const BURST = 80;
const PER_SECOND = 1;
/** A probe costs two handshakes. The other agents are told to try later. */
const MOST_AT_ONCE = 16;

export interface ProbeServiceOptions {
  domain: string;
  tunnels: Pick<TunnelTable, 'named' | 'ofPort'>;
  dial: Pick<PublicDial, 'name' | 'port'>;
  clock: Clock;
}

export function probeService({domain, tunnels, dial, clock}: ProbeServiceOptions): StreamHandler<Opener> {
  const buckets = new TokenBuckets({burst: BURST, perSecond: PER_SECOND, clock});
  let running = 0;
  const tunnelOf = (asked: ProbeOpen) => {
    if (asked.kind === 'tcp') return tunnels.ofPort(asked.port);
    const label = labelUnder(asked.host, domain);
    return label === undefined ? undefined : tunnels.named(label);
  };
  return (stream, about, {session, principal}) => {
    const asked = parseProbeOpen(about);
    if (tunnelOf(asked)?.owner !== principal.owner) {
      stream.refuse('TUNNEL_UNKNOWN', 'No tunnel of this agent has this name or port.');
      return;
    }
    if (running >= MOST_AT_ONCE || !buckets.has(session)) {
      stream.refuse('TOO_MANY_STREAMS', 'Too many probes in a row.');
      return;
    }
    buckets.spend(session);
    running += 1;
    const gone = new AbortController();
    tell(stream, gone);
    const {secret} = asked;
    const {signal} = gone;
    const end =
      asked.kind === 'tcp'
        ? dial.port(asked.port, {secret, signal})
        : dial.name(asked.host, {secret, signal});
    void end.then(answerOf, failure).then((answer) => {
      running -= 1;
      stream.write(Buffer.concat([encodeMessage(answer), Buffer.from('\n')]));
      stream.end();
    });
  };
}

function answerOf(end: ProbeEnd): ProbeAnswer {
  return end.ok ? {ok: true} : {ok: false, leg: end.leg, reason: end.reason};
}

/** The probe could not even begin. */
function failure(error: unknown): ProbeAnswer {
  const code = systemCode(error) || 'unknown reason';
  return {ok: false, leg: 'tcp', reason: `The relay cannot dial its own port (${code}).`};
}

/** Accepts the stream. When the agent needs no answer any more, the probe ends. */
function tell(stream: Stream, gone: AbortController): void {
  stream.sink = {
    onData: (piece) => stream.consumed(piece.length),
    onEnd: () => {},
    onWritable: () => {},
    onReset: () => gone.abort(),
  };
  stream.accept();
}
