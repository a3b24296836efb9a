// `tunl login`: stores a relay with a token, or with a login at its issuer of identities.

import {string} from '@oclif/core/args';
import {LINK_SETTINGS} from '../lib/agent/settings-table.js';
import {askSecret, tokenFrom} from '../lib/cli/ask-secret.js';
import {BaseCommand} from '../lib/cli/base-command.js';
import {contexts, namedOrCurrent, storedPath} from '../lib/cli/contexts.js';
import {flagOf, flagsOf} from '../lib/cli/setting-flags.js';
import {stopSignal} from '../lib/cli/stop-signal.js';
import {lastingState} from '../lib/core/usable-state.js';
import {logIn} from '../lib/login.js';

const {caFile, tokenFile} = LINK_SETTINGS;
const {env: _, ...context} = LINK_SETTINGS.context;

export default class Login extends BaseCommand {
  static override summary = 'Log in at a relay, which commands then use.';
  static override usage = 'login [URL] [FLAGS]';
  static override examples = [
    [
      '<%= config.bin %> login https://t.example.com',
      '<%= config.bin %> login https://t.example.com --token-file token',
      '$ pass tunl | <%= config.bin %> login https://t.example.com --token-file -',
    ].join('\n'),
  ];
  static override args = {
    url: string({ignoreStdin: true, description: 'The relay. Default: that of the current context.'}),
  };
  static override flags = {
    ...flagsOf({caFile}),
    'token-file': flagOf({...tokenFile, help: 'The token is its first line; - is stdin.'}),
    context: flagOf({
      ...context,
      defaultText: 'the relay’s host',
      help: 'Store it under this name.',
    }),
  };

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Login);
    const {presenter} = this;
    using stop = stopSignal();
    const relay = args.url ?? (await contexts().get(await namedOrCurrent(flags.context))).relay;
    const file = flags['token-file'];
    const {context: stored, identity} = await logIn({
      relay,
      caFile: storedPath(flags['ca-file']),
      name: flags.context,
      stateDir: lastingState(),
      token: file === undefined ? undefined : () => tokenFrom(file, stop.signal),
      askToken: () => askSecret('Token: ', stop.signal),
      onDeviceCode: (device) => presenter.event({type: 'device', ...device}),
      signal: stop.signal,
    });
    presenter.event({type: 'login', context: stored.name, relay: stored.relay, ...identity});
  }
}
