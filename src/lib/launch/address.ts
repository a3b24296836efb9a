// Formats the public side of a tunnel.
import type {PublicSide} from './program.js';

/** The URL, or `host:port` of a TCP tunnel. */
export function addressOf(side: PublicSide): string {
  return side.url ?? `${side.host}:${side.port}`;
}

/** Always a URL, without a slash at its end. On a raw port the program itself speaks HTTP. */
export function urlOf(side: PublicSide): string {
  return side.url ?? `http://${side.host}:${side.port}`;
}
