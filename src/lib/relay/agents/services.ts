// Services of the relay for its agents: streams of kind `service`, each named in its OPEN.

import type {Stream} from '../../mux/stream.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import {parseServiceOpen} from '../../protocol/control-messages.js';
import {answerLine} from './answer-line.js';
import type {Opener} from './opened-streams.js';

/** Facts about the relay that an agent can ask for. */
export interface RelayFacts {
  software: string;
  domain: string;
  maxTunnelsPerAgent: number;
  resumeWindowMs: number;
}

/**
 * @param facts as they are now.
 * @param more the services of other parts of the relay, by name.
 */
export function services(
  facts: () => RelayFacts,
  more: ReadonlyMap<string, StreamHandler<Opener>>,
): StreamHandler<Opener> {
  return (stream, about, opener) => {
    const {service} = parseServiceOpen(about);
    if (service === 'relay') return answerLine(stream, factsFor(opener, facts()));
    if (service === 'echo') return echo(stream);
    const take = more.get(service);
    if (take === undefined) stream.refuse('SERVICE_UNKNOWN', `There is no service ${service} here.`);
    else take(stream, about, opener);
  };
}

/** Each field is named: other fields of the caller's object are not for agents. */
function factsFor({principal: {keyId}}: Opener, facts: RelayFacts): RelayFacts & {key: string | undefined} {
  const {software, domain, maxTunnelsPerAgent, resumeWindowMs} = facts;
  return {software, domain, maxTunnelsPerAgent, resumeWindowMs, key: keyId};
}

/** Sends back what it receives, and ends when its peer ends. Reads no faster than the agent does. */
function echo(stream: Stream): void {
  let owed = 0;
  stream.sink = {
    onData: (piece) => {
      owed += piece.length;
      if (stream.write(piece)) pay();
    },
    onEnd: () => stream.end(),
    onWritable: () => pay(),
    onReset: () => {},
  };
  const pay = () => {
    const bytes = owed;
    owed = 0;
    if (bytes > 0) stream.consumed(bytes);
  };
  stream.accept();
}
