// What every command has in common: --json, -q, --log-level, exit codes, and the one way in which errors are told.

import type {Command, Interfaces} from '@oclif/core';
import {report} from './failure.js';
import {outputFlags} from './flags.js';
import {parseWords} from './parse-words.js';
import {createPresenter, type Presenter} from './presenter.js';
import {usageError} from './usage.js';
import {wishes} from './words.js';

type Output = Record<string, unknown>;

/**
 * A command as oclif knows it, without oclif's own base class: that one loads configuration, plugins, help and errors
 * before it does anything. oclif reads the static properties for its help and its manifest.
 */
export abstract class BaseCommand {
  static id = '';
  static summary: string;
  static usage: string | string[];
  static examples: string[];
  static strict = true;
  static args: Command.Class['args'] = {};
  static flags: Command.Class['flags'] = {};
  static baseFlags = outputFlags;

  /** Whether words after `--` are another program's; else they are nobody's, and an error. */
  static passesWords = false;

  protected readonly argv: readonly string[];
  #presenter: Presenter | undefined;

  constructor(argv: readonly string[]) {
    this.argv = argv;
  }

  /** oclif's way in; from the manifest see `quickRun`. */
  static async run(
    this: new (
      argv: readonly string[],
    ) => BaseCommand,
    argv: readonly string[],
  ): Promise<void> {
    await new this(argv).runToEnd();
  }

  /** What the command does. */
  abstract run(): Promise<void>;

  /** Runs it, and tells of its failure if it fails. */
  async runToEnd(): Promise<void> {
    try {
      await this.run();
    } catch (error) {
      await this.catch(error);
    } finally {
      this.#presenter?.end();
    }
  }

  /** There from `parse` on. */
  protected get presenter(): Presenter {
    if (!this.#presenter) throw new Error('a command parses before it speaks');
    return this.#presenter;
  }

  /** The words after `--`; undefined without it. There from `parse` on. */
  protected passedWords: readonly string[] | undefined;

  /** @param _command the class itself, for the types of what it declares. */
  protected async parse<F extends Output, B extends Output, A extends Output>(
    _command: Interfaces.Input<F, B, A>,
  ): Promise<Pick<Interfaces.ParserOutput<F, B, A>, 'args' | 'flags'>> {
    const words = this.#ownWords();
    const {args, strict} = this.#class;
    const flags: Command.Class['flags'] = {...this.#class.baseFlags, ...this.#class.flags};
    const parsed =
      (await parseWords(words, {args, flags})) ?? (await parseByOclif(words, {args, flags, strict}));
    const {json = false, quiet = false, 'log-level': logLevel} = parsed.flags as Wanted;
    this.#presenter = await createPresenter({json, quiet, logLevel});
    return parsed as Pick<Interfaces.ParserOutput<F, B, A>, 'args' | 'flags'>;
  }

  protected async catch(error: unknown): Promise<void> {
    this.#presenter?.end();
    process.exitCode = report(usageError(error, this.#declared()) ?? error, wishes(this.argv), this.argv);
  }

  get #class(): typeof BaseCommand {
    return this.constructor as typeof BaseCommand;
  }

  #ownWords(): readonly string[] {
    const at = this.#class.passesWords ? this.argv.indexOf('--') : -1;
    if (at < 0) return this.argv;
    this.passedWords = this.argv.slice(at + 1);
    return this.argv.slice(0, at);
  }

  #declared() {
    const {id, flags, baseFlags, args} = this.#class;
    return {
      name: id.replaceAll(':', ' '),
      flags: [...Object.keys(flags), ...Object.keys(baseFlags), 'help'],
      args: Object.keys(args).map((name) => name.toUpperCase()),
    };
  }
}

/** What is unusual or wrong. @throws oclif's errors. */
async function parseByOclif(
  words: readonly string[],
  input: Pick<typeof BaseCommand, 'args' | 'flags' | 'strict'>,
) {
  const {parse} = await import('@oclif/core/parser');
  return await parse([...words], input);
}

type Wanted = {
  [K in keyof typeof outputFlags]?: Awaited<ReturnType<(typeof outputFlags)[K]['parse']>>;
};
