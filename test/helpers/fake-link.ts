// A link of a test's own: it answers as a relay would, without one.

import {refusedStream} from '../../src/lib/agent/refused-stream.js';
import type {RelayLink} from '../../src/lib/open-link.js';
import type {StreamCode} from '../../src/lib/protocol/wire.js';

export interface FakeLink {
  link: RelayLink;
  /** What was asked for, in order. */
  asked: object[];
}

/** Each answer is for one question or stream: a refusal `[code, message]`, or the value. */
export function fakeLink(...answers: (object | readonly [StreamCode, string?])[]): FakeLink {
  const asked: object[] = [];
  const answer = async (about: object): Promise<unknown> => {
    asked.push(about);
    const next = answers.shift();
    if (Array.isArray(next)) throw refusedStream(next[0], next[1]);
    return next;
  };
  const link = {
    ask: answer,
    connect: (_kind: number, about: object) => answer(about),
  } as unknown as RelayLink;
  return {link, asked};
}
