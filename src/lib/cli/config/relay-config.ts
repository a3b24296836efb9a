// The settings of `tunl relay start` from all sources: flags, environment, a YAML file, defaults.

import {systemClock} from '../../core/clock.js';
import {type ErrorCode, toTunlError} from '../../core/errors.js';
import {createLogger, type LogLevel, type LogSink} from '../../core/logger.js';
import {readKeyPair} from '../../relay/certificates/read-key-pair.js';
import {checkEgressAddresses} from '../../relay/egress/egress-addresses.js';
import type {RelayOptions} from '../../relay/options.js';
import {settleRelayOptions} from '../../relay/settings.js';
import type {Reread} from '../../relay/start.js';
import type {Presenter} from '../presenter.js';
import {COMMAND_SETTINGS, CONFIG_SETTINGS, ONLY_FLAGS, type RelayFlags} from '../relay-flags.js';
import {optionsOf} from '../setting-flags.js';
import {errorOf, type Mistake, mistakeOf, type Place} from './mistake.js';
import {type Resolution, type Resolved, resolveSettings, unknownVariables} from './resolve.js';
import {readSettingsFile} from './settings-file.js';

export const VARIABLE_PREFIX = 'TUNL_RELAY_';

type CommandName = keyof typeof COMMAND_SETTINGS;

export interface ReadConfig extends Pick<Resolution<typeof CONFIG_SETTINGS>, 'all'> {
  /** For `startRelay`. */
  options: RelayOptions;
  /** For the command itself. */
  command: {drainTimeoutMs: number; logFormat: 'text' | 'json'; logLevel: LogLevel | undefined};
  path: string | undefined;
  /** The mistakes in the file and in the environment. */
  mistakes: readonly Mistake[];
}

/** @throws TunlError when there is no such file, or it is no text file */
export async function readRelayConfig(
  {config: path, ...flags}: RelayFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ReadConfig> {
  const file = path === undefined ? undefined : await readSettingsFile(path, CONFIG_SETTINGS);
  const {options, all, mistakes} = resolveSettings({
    table: CONFIG_SETTINGS,
    flags: optionsOf(CONFIG_SETTINGS, flags),
    env,
    prefix: VARIABLE_PREFIX,
    file,
  });
  const {drainTimeoutMs, logFormat, logLevel, ...relay} = options;
  const {admin, workers} = CONFIG_SETTINGS;
  // The environment was read already.
  const hasToken = relay.token !== undefined || relay.tokenFile !== undefined;
  return {
    options: {
      admin: admin.default,
      workers: workers.default,
      ...relay,
      ...(hasToken ? {} : {token: ''}),
    } as RelayOptions,
    command: {
      drainTimeoutMs: drainTimeoutMs ?? COMMAND_SETTINGS.drainTimeoutMs.default,
      logFormat: logFormat ?? COMMAND_SETTINGS.logFormat.default,
      logLevel,
    },
    all,
    path,
    mistakes: [...(file?.mistakes ?? []), ...mistakes],
  };
}

/** The settings of a relay that starts, and how it reads them again. */
export class RelayConfig {
  readonly #flags: RelayFlags;
  #now: ReadConfig;
  #presenter: Presenter | undefined;

  private constructor(flags: RelayFlags, now: ReadConfig) {
    this.#flags = flags;
    this.#now = now;
  }

  /** @throws TunlError for the first mistake; it says how many more there are */
  static async open(flags: RelayFlags): Promise<RelayConfig> {
    return new RelayConfig(flags, await withoutMistakes(flags));
  }

  get options(): RelayOptions {
    return this.#now.options;
  }

  get command(): ReadConfig['command'] {
    return this.#now.command;
  }

  /** The log follows the settings, now and after each reload. It names variables that look like settings and are none. */
  async applyTo(presenter: Presenter, env: NodeJS.ProcessEnv = process.env): Promise<void> {
    this.#presenter = presenter;
    const {logFormat, logLevel} = this.command;
    if (logFormat === 'json') await presenter.logAsJson();
    presenter.setLevel(logLevel);
    for (const message of unknownVariables({...CONFIG_SETTINGS, ...ONLY_FLAGS}, env, VARIABLE_PREFIX))
      presenter.log({level: 'warn', scope: 'cli', message});
  }

  /** @throws TunlError */
  readonly reread = async (): Promise<Reread> => {
    const next = await withoutMistakes(this.#flags);
    const before = this.#now.command;
    const names = Object.keys(COMMAND_SETTINGS) as CommandName[];
    const differing = names.filter((name) => before[name] !== next.command[name]);
    const namesOf = (canReload: boolean) =>
      differing
        .map((name) => COMMAND_SETTINGS[name])
        .filter((row) => 'reloads' in row === canReload)
        .map(({flag}) => flag);
    return {
      options: next.options,
      others: {
        changed: namesOf(true),
        needRestart: namesOf(false),
        take: () => {
          this.#now = {...next, command: {...next.command, logFormat: before.logFormat}};
          this.#presenter?.setLevel(next.command.logLevel);
        },
      },
    };
  };
}

/** @throws TunlError for the first mistake; it says how many more there are */
export async function withoutMistakes(flags: RelayFlags): Promise<ReadConfig> {
  const read = await readRelayConfig(flags);
  if (read.mistakes.length > 0) throw errorOf(read.path, read.mistakes);
  return read;
}

/** Every mistake: of the file, and of the files that it names. @throws TunlError when there is no such file */
export async function checkRelayConfig(
  flags: RelayFlags,
  log: LogSink,
  env?: NodeJS.ProcessEnv,
): Promise<readonly Mistake[]> {
  const read = await readRelayConfig(flags, env);
  if (read.mistakes.length > 0) return read.mistakes;
  const {options} = read;
  const mistakes: Mistake[] = [];
  const note = (error: unknown) => void mistakes.push(mistakeOf(error, {at: placeOf(error, read)}));
  const settings = await settleRelayOptions(options).catch(note);
  const {certFile, keyFile} = options;
  if (certFile !== undefined && keyFile !== undefined) {
    const domain = settings?.domain ?? options.domain ?? CONFIG_SETTINGS.domain.default;
    await readKeyPair({certFile, keyFile, domain, log: createLogger('relay', log)}).catch(note);
  }
  if (settings) await checkEgressAddresses(settings.egress, systemClock).catch(note);
  return mistakes;
}

const SETTING_OF: Readonly<Partial<Record<ErrorCode, keyof typeof CONFIG_SETTINGS>>> = {
  TOKEN_NEEDED: 'listen',
  TOKEN_FILE_EMPTY: 'tokenFile',
  CERTIFICATE_INVALID: 'certFile',
  KEY_MISMATCH: 'keyFile',
  EGRESS_ADDRESS: 'egress',
};

/** Where the configuration file has the setting that an error is about. */
function placeOf(error: unknown, {all}: ReadConfig): Place | undefined {
  const {code, message} = toTunlError(error);
  const placesOf = (isMeant: (each: Resolved) => boolean) =>
    all.flatMap((each) => (each.source.from === 'file' && isMeant(each) ? [each.source.at] : []));
  const [named] = placesOf(({name}) => name === SETTING_OF[code]);
  const [path] = placesOf(({row, value}) => row.kind.isPath === true && message.includes(String(value)));
  return named ?? path;
}
