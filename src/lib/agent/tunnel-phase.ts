// The phases of a tunnel: opening, open, ended.

import type {TunlError} from '../core/errors.js';
import type {ReadyEvent} from './events.js';
import type {PublicSides} from './tunnel-requests.js';

/** The names that the relay gave, and the event that told them. Both stay readable after the end. */
export interface Known {
  readonly sides?: PublicSides;
  readonly ready?: ReadyEvent;
}

export type Phase =
  /** `open` has not resolved. `stopped` rejects when the end comes before; then the caller of `open` cleans up. */
  | ({readonly is: 'opening'; readonly stopped: PromiseWithResolvers<never>} & Known)
  /** The tunnel cleans up after itself. It is ready as soon as it has an upstream. */
  | ({readonly is: 'open'} & Known)
  | ({readonly is: 'ended'; readonly why: TunlError | undefined} & Known);

export function knownOf({sides, ready}: Known): Known {
  return {...(sides && {sides}), ...(ready && {ready})};
}
