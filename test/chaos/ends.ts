// An upstream that ends its connections in every way, as the visitor's first line asks, and reports afterwards what it saw.
import {createHash} from 'node:crypto';
import type {Socket} from 'node:net';
import type {Scope} from '../helpers/scope.js';
import {record, tcpUpstream} from '../helpers/upstreams.js';

/**
 * Who ends, after both have sent. `visitor`: the upstream answers only after the visitor's end. `upstream`: the visitor
 * ends after the upstream's end. `both`: at the same time.
 */
export const ways = ['visitor', 'upstream', 'both', 'visitor-reset', 'upstream-reset'] as const;
export type Way = (typeof ways)[number];

/** What the upstream of a visit had seen when its connection closed. */
export interface Seen {
  sha256: string;
  /** The error's code; undefined after an orderly end. */
  code: string | undefined;
}

export interface EndsUpstream {
  port: number;
  seen(id: number): Promise<Seen>;
  /** The upstream of the visit now ends or resets, according to its way. */
  act(id: number, way: Way): void;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A different payload for each visit and direction. */
export const payload = (id: number, direction: 'up' | 'down'): Buffer =>
  Buffer.alloc(1 + ((id * 7919) % 100_000), `${direction} ${id} `);

export const firstLine = (id: number, way: Way): string => `${String(id).padStart(8)} ${way.padEnd(15)}\n`;
const firstLineBytes = firstLine(0, 'both').length;

export async function endsUpstream(scope: Scope): Promise<EndsUpstream> {
  const visits = new Map<number, {seen: PromiseWithResolvers<Seen>; socket?: Socket}>();
  const visit = (id: number) => {
    const known = visits.get(id) ?? {seen: Promise.withResolvers<Seen>()};
    visits.set(id, known);
    return known;
  };
  const port = await tcpUpstream(scope, async (socket) => {
    const heard = record(socket);
    const line = await heard.received(firstLineBytes).catch(() => undefined);
    if (line === undefined) return;
    const [word, way] = line.toString().trim().split(' ');
    const id = Number(word);
    const mine = visit(id);
    mine.socket = socket;
    void heard.closed.then((code) => {
      mine.seen.resolve({sha256: sha256(heard.data().subarray(firstLineBytes)), code});
    });
    if (way === 'visitor') await heard.ended;
    socket.write(payload(id, 'down'));
    if (way === 'visitor') socket.end();
  });
  return {
    port,
    seen: (id) => visit(id).seen.promise,
    act: (id, way) => {
      const {socket} = visit(id);
      if (way === 'upstream-reset') socket?.resetAndDestroy();
      else socket?.end();
    },
  };
}
