// What stands behind the presenter: one way of showing what happens.

import type {CliEvent} from '../events.js';
import type {Line} from '../wording.js';
import type {Attendance} from './status.js';

export interface Renderer {
  /** Something has begun that may take a while. */
  begin(what: string): void;
  /** What was begun is there: nothing that moves is left on the screen, a line on stdout can follow. */
  settle(): void;
  event(event: CliEvent): void;
  /** Only where something is shown all the time: what it has to ask for. */
  attend?(attendance: Attendance): void;
  /** One line for people that belongs to no event. */
  tell(line: Line): void;
  /** Text of a program that was started: its own lines, colours and progress bars. */
  output(text: string): void;
  /** One diagnostic line, already filtered by level. */
  log(line: string): void;
  /** Leaves the terminal as it was. Idempotent. */
  end(): void;
}
