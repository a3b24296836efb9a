// All output of a command goes through one presenter. It chooses the renderer once.

import {systemClock} from '../core/clock.js';
import {LOG_LEVELS, type LogLevel, type LogRecord, type LogSink} from '../core/logger.js';
import {forTerminal, oneLine} from '../core/one-line.js';
import {type CliEvent, isExpendable} from './events.js';
import {gatherStderr} from './gather-stderr.js';
import {jsonLogLine} from './json-log.js';
import {logLine} from './log-line.js';
import {nextStep} from './next-steps.js';
import {JsonRenderer} from './renderers/json.js';
import {PlainRenderer} from './renderers/plain.js';
import type {Renderer} from './renderers/renderer.js';
import type {Attendance} from './renderers/status.js';
import {isCongested, writeLine} from './stdout.js';
import {NOTHING_YET, nextState, type TunnelState} from './tunnel-state.js';
import {type Line, result} from './wording.js';

export interface PresenterOptions {
  json: boolean;
  quiet: boolean;
  /** Only lines, even on a terminal that could show more. */
  plain?: boolean | undefined;
  logLevel?: LogLevel | undefined;
  /** stdout belongs to a program, so JSON goes to stderr. */
  sharesStreams?: boolean | undefined;
}

/** Properties of the process that decide the form of the output. */
export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  stderrIsTTY: boolean;
}

export type RendererName = 'json' | 'quiet' | 'spoken' | 'plain' | 'live';

/** `live` only on a real terminal, unless the user asked for less. */
export function chooseRenderer(options: PresenterOptions, around: Surroundings): RendererName {
  if (options.json) return 'json';
  if (options.quiet) return 'quiet';
  const {env, stderrIsTTY} = around;
  if (isSet(env.ACCESSIBLE)) return 'spoken';
  return options.plain || !stderrIsTTY || isSet(env.CI) || env.TERM === 'dumb' ? 'plain' : 'live';
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false'].includes(value);
}

export class Presenter {
  #renderer: Renderer;
  #formatLog: (record: LogRecord) => string = logLine;
  /** True when only errors are shown. */
  readonly isSilent: boolean;
  readonly #json: boolean;
  readonly #isQuiet: boolean;
  #level: number;
  #dropped = 0;
  #state = NOTHING_YET;

  constructor(renderer: Renderer, options: PresenterOptions) {
    this.#renderer = renderer;
    this.isSilent = options.quiet && !options.json;
    this.#json = options.json;
    this.#isQuiet = options.quiet;
    this.#level = LOG_LEVELS.indexOf(options.logLevel ?? (options.quiet ? 'error' : 'warn'));
  }

  /** True when the output is a live view. */
  get isLive(): boolean {
    return this.#renderer.attend !== undefined;
  }

  /** From now on everything on stderr is one JSON object a line. */
  async logAsJson(write = (line: string) => void process.stderr.write(line)): Promise<void> {
    const {JsonLogRenderer} = await import('./renderers/json-log.js');
    this.#formatLog = (record) => jsonLogLine(record);
    if (!this.#json) this.#renderer = new JsonLogRenderer(write, {quiet: this.isSilent});
  }

  /** Shows diagnostics of this level and above, unless only errors are wanted. Undefined: as without a setting. */
  setLevel(level: LogLevel | undefined): void {
    this.#level = LOG_LEVELS.indexOf(this.#isQuiet ? 'error' : (level ?? 'warn'));
  }

  /** True after `logAsJson`. */
  get logsJson(): boolean {
    return this.#formatLog !== logLine;
  }

  /** The state after the events so far. */
  get state(): TunnelState {
    return this.#state;
  }

  /** Shows that something has begun that may take a while. */
  begin(what: string): void {
    this.#renderer.begin(what);
  }

  /** Prints the address first, then the text for people: a script must not wait for it. */
  readonly event = (happened: CliEvent): void => {
    const event = happened.type === 'error' ? {...happened, next: nextStep(happened)} : happened;
    const before = this.#state;
    this.#state = nextState(before, event, systemClock.now());
    // Errors are reported once, with the exit code, when the command ends. One of several tunnels may end before.
    if (event.type === 'error' && event.tunnel === undefined) return;
    if (this.#json && isExpendable(event) && isCongested()) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0 && !isCongested()) this.#tellDropped();
    const line = result(event);
    if (line !== undefined) {
      this.#renderer.settle();
      if (!this.#json) writeLine(event.type === 'log' ? outputLine(line) : cellsOf(line));
    }
    this.#renderer.event(event, before, this.#state);
  };

  attend(attendance: Attendance): void {
    this.#renderer.attend?.(attendance);
  }

  /** One line for people that belongs to no event. */
  readonly tell = (line: Line): void => this.#renderer.tell(line);

  /** A program shares the terminal from now on: tunl only adds lines, and nothing moves. */
  readonly share = (): void => this.#renderer.share?.();

  /** The output of a started program, as it comes. */
  readonly output = (bytes: Uint8Array): void => this.#renderer.output(bytes);

  /** For the library's diagnostics. */
  readonly log: LogSink = (record: LogRecord): void => {
    if (!this.logs(record.level)) return;
    gatherStderr();
    this.#renderer.log(this.#formatLog(record));
  };

  /** Whether diagnostics of this level are shown. */
  logs(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.#level;
  }

  /** Says on stderr why the command ends without a request. */
  readonly readerGone = (): void => {
    this.#renderer.tell({tone: 'plain', text: 'stdout was closed by its reader: closing'});
  };

  /** Restores the terminal. Idempotent. */
  end(): void {
    this.#renderer.end();
  }

  #tellDropped(): void {
    const message = `stdout was not read: ${this.#dropped} connection events are left out`;
    this.#dropped = 0;
    this.#renderer.log(this.#formatLog({level: 'warn', scope: 'cli', message}));
  }
}

/** Tabs separate the cells of a row. */
const cellsOf = (line: string): string => line.split('\t').map(oneLine).join('\t');

/** A line of a program keeps its indentation. */
const outputLine = (line: string): string => forTerminal(line.replace(/\r$/, ''));

/** The presenter for this process. The renderer for terminals is loaded only on a terminal. */
export async function createPresenter(
  options: PresenterOptions,
  around: Surroundings = {env: process.env, stderrIsTTY: process.stderr.isTTY === true},
): Promise<Presenter> {
  const write = (piece: string | Uint8Array) => void process.stderr.write(piece);
  switch (chooseRenderer(options, around)) {
    case 'json':
      return new Presenter(
        new JsonRenderer(options.sharesStreams ? (line) => write(`${line}\n`) : writeLine, write),
        options,
      );
    case 'quiet':
      return new Presenter(new PlainRenderer(write, {quiet: true}), options);
    case 'spoken':
      return new Presenter(new PlainRenderer(write, {inSentences: true}), options);
    case 'plain':
      return new Presenter(new PlainRenderer(write), options);
    case 'live': {
      const {LiveRenderer} = await import('./renderers/live.js');
      return new Presenter(new LiveRenderer(process.stderr, {colours: !around.env.NO_COLOR}), options);
    }
  }
}
