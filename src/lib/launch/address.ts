// How the public side of a tunnel is written.
import type {PublicSide} from './program.js';

/** The URL, or `host:port` of a TCP tunnel. */
export function addressOf(side: PublicSide): string {
  return side.url ?? `${side.host}:${side.port}`;
}

/** Always a URL, without a slash at its end: over a raw port the program itself is what speaks HTTP. */
export function urlOf(side: PublicSide): string {
  return side.url ?? `http://${side.host}:${side.port}`;
}
