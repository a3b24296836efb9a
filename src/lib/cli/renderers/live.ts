// The renderer for a person at a terminal: first a spinner, then lines with glyphs and colours above a block at the bottom.
// chalk and ora are loaded when the first line or a long wait needs them, because the address must not wait for them.

import type {ChalkInstance} from 'chalk';
import type {Ora} from 'ora';
import {systemClock} from '../../core/clock.js';
import {oneLine} from '../../core/one-line.js';
import {cut} from '../cells.js';
import type {CliEvent} from '../events.js';
import {isForeground} from '../foreground.js';
import {time} from '../format.js';
import {Throttle} from '../throttle.js';
import {NOTHING_YET, type TunnelState} from '../tunnel-state.js';
import {type Line, sentences, type Tone} from '../wording.js';
import {StickyBlock} from './block.js';
import type {Renderer} from './renderer.js';
import {SharedOutput} from './shared-output.js';
import {type Attendance, statusRows} from './status.js';
import {TIMED, timeOfDay} from './timed.js';
import {VisitLines} from './visits.js';

/** A shorter wait needs no spinner, which would only flicker. */
const SPINNER_AFTER_MS = 150;
/** Interval of the check for changes without an event: a lost link, long visits, the terminal's foreground. */
const TICK_MS = 1_000;

const GLYPHS: Readonly<Record<Tone, string>> = {good: '✔ ', warning: '⚠ ', bad: '✗ ', plain: '', faint: ''};

export interface LiveOptions {
  /** Tells whether this process is in the terminal's foreground. */
  isMine?: () => boolean;
  /** False: `NO_COLOR`. */
  colours?: boolean;
}

export class LiveRenderer implements Renderer {
  readonly #stream: NodeJS.WriteStream;
  readonly #throttle = new Throttle();
  readonly #visits = new VisitLines();
  readonly #colours: boolean;
  #state = NOTHING_YET;
  #attendance: Attendance = {rttMs: () => undefined, keys: () => []};
  #isUp = false;
  #ended = false;
  #waiting: NodeJS.Timeout | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #elapsed: NodeJS.Timeout | undefined;
  #spinner: Ora | undefined;
  #chalk: ChalkInstance | undefined;
  #loading = false;
  /** The waiting lines, complete except for colours. */
  #lines: Line[] = [];
  /** Undefined when a program writes to the terminal as well, because it may print half lines and moving bars. */
  #block: StickyBlock | undefined;
  /** Set when a program writes to the terminal as well. */
  #shared: SharedOutput | undefined;

  constructor(stream: NodeJS.WriteStream, {isMine = isForeground, colours = true}: LiveOptions = {}) {
    this.#stream = stream;
    this.#colours = colours;
    this.#block = new StickyBlock(stream, isMine);
    stream.on('resize', this.#resized);
    process.on('SIGCONT', this.#resume);
  }

  begin(what: string): void {
    // A terminal without a known size: ora would clear endless rows.
    if (this.#stream.columns === 0) return;
    this.#waiting = setTimeout(() => void this.#spin(what), SPINNER_AFTER_MS);
    this.#waiting.unref();
  }

  settle(): void {
    this.#isUp = true;
    this.#shared?.settle();
    this.#stopSpinner();
    this.#block?.lift();
    this.#ticking ??= setInterval(this.#tick, TICK_MS).unref();
  }

  attend(attendance: Attendance): void {
    this.#attendance = attendance;
    this.#redraw();
  }

  event(event: CliEvent, before: TunnelState, after: TunnelState): void {
    this.#state = after;
    if (event.type === 'connection') this.#visit(this.#visits.event(event, this.#width));
    else if (!isOldNews(event, before))
      this.#say(sentences(event, before), this.#isUp && TIMED.has(event.type));
    this.#redraw();
  }

  tell(line: Line): void {
    this.#say([line]);
  }

  share(): void {
    if (this.#shared) return;
    this.#stopSpinner();
    this.#block?.end();
    this.#block = undefined;
    this.#shared = new SharedOutput((piece) => this.#stream.write(piece));
  }

  output(bytes: Uint8Array): void {
    this.share();
    this.#shared?.program(bytes);
  }

  log(line: string): void {
    this.#say([{tone: 'plain', text: line}]);
  }

  end(): void {
    this.#ended = true;
    this.#stopSpinner();
    clearInterval(this.#ticking);
    this.#stream.off('resize', this.#resized);
    process.off('SIGCONT', this.#resume);
    this.#flush();
    this.#shared?.settle();
    this.#block?.end();
    this.#block = undefined;
  }

  get #width(): number {
    return this.#stream.columns || 80;
  }

  #redraw = (): void => {
    if (!this.#isUp || this.#ended) return;
    const rows = statusRows(this.#state, this.#attendance, {width: this.#width, now: systemClock.now()});
    this.#block?.show(rows.map((row) => ({...row, paint: (text) => this.#colour(row.tone, text)})));
  };

  /** Redraws at once: rows of another width are counted correctly only until the next change. */
  #resized = (): void => {
    this.#redraw();
    this.#block?.append('');
  };

  #tick = (): void => {
    for (const line of this.#visits.staying(this.#width)) this.#visit(line);
    this.#redraw();
  };

  #resume = (): void => this.#block?.restart();

  #visit(line: Line | undefined): void {
    if (line === undefined) return;
    const {shown, hidden} = this.#throttle.admit();
    if (!shown) return;
    if (hidden > 0) this.#say([{tone: 'faint', text: `… and ${hidden} more lines about connections`}], true);
    this.#say([line], true, true);
  }

  /** `timed` adds the time of day. `short` cuts the line to the width; it is for text that nobody copies. */
  #say(lines: readonly Line[], timed = false, short = false): void {
    if (lines.length === 0) return;
    const at = timed ? `${timeOfDay()}  ` : '';
    for (const {tone, text} of lines) {
      const line = GLYPHS[tone] + oneLine(text);
      this.#lines.push({tone, text: short ? cut(at + line, this.#width - 1) : at + line});
    }
    if (this.#chalk || this.#ended) this.#flush();
    else void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const {chalkStderr, Chalk} = await import('chalk');
    this.#chalk = this.#colours ? chalkStderr : new Chalk({level: 0});
    this.#flush();
  }

  /** Writes all waiting lines at once. The spinner is hidden meanwhile. */
  #flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.map((line) => `${this.#colour(line.tone, line.text)}\n`).join('');
    this.#lines = [];
    this.#spinner?.clear();
    if (this.#block) this.#block.append(text);
    else if (this.#shared) this.#shared.own(text);
    else this.#stream.write(text);
    this.#spinner?.render();
  }

  #colour(tone: Tone, text: string): string {
    const chalk = this.#chalk;
    if (!chalk) return text;
    const colours = {
      good: chalk.green,
      warning: chalk.yellow,
      bad: chalk.red,
      plain: (plain: string) => plain,
      faint: chalk.dim,
    };
    return colours[tone](text);
  }

  async #spin(what: string): Promise<void> {
    const since = systemClock.now() - SPINNER_AFTER_MS;
    const {default: ora} = await import('ora');
    if (this.#isUp || this.#ended || this.#shared) return;
    // The cursor stays visible and stdin is not touched, so a killed process leaves the terminal usable.
    const spinner = ora({text: what, stream: this.#stream, hideCursor: false, discardStdin: false}).start();
    this.#spinner = spinner;
    this.#elapsed = setInterval(() => {
      spinner.text = `${what} (${time(Math.floor((systemClock.now() - since) / 1000) * 1000)})`;
    }, 1000).unref();
  }

  #stopSpinner(): void {
    clearTimeout(this.#waiting);
    clearInterval(this.#elapsed);
    this.#spinner?.stop();
    this.#spinner = undefined;
  }
}

/** The block or the spinner shows that the link is lost. A line follows only for another reason. */
function isOldNews(event: CliEvent, {link}: TunnelState): boolean {
  return event.type === 'reconnecting' && link !== 'up' && event.reason === link.reason;
}
