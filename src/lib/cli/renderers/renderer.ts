// The interface of renderers: one form of output behind the presenter.

import type {CliEvent} from '../events.js';
import type {TunnelState} from '../tunnel-state.js';
import type {Line} from '../wording.js';
import type {Attendance} from './status.js';

export interface Renderer {
  /** Shows that something has begun that may take a while. */
  begin(what: string): void;
  /** Ends `begin`: nothing on the screen moves any more, so a line on stdout can follow. */
  settle(): void;
  /** @param before the state that the event changes to `after` */
  event(event: CliEvent, before: TunnelState, after: TunnelState): void;
  /** Only for a live view: the source of current values. */
  attend?(attendance: Attendance): void;
  /** One line for people that belongs to no event. */
  tell(line: Line): void;
  /** Only for a live view: a program writes to the terminal from now on. */
  share?(): void;
  /** Output of a started program, cut anywhere, in any encoding. It is shown unchanged. */
  output(bytes: Uint8Array): void;
  /** One diagnostic line, already filtered by level. */
  log(line: string): void;
  /** Restores the terminal. Idempotent. */
  end(): void;
}
