// The process of `tunl terminal`. tunl starts it like any other program, so the tunnel's thread only copies the bytes of a
// shell's output, and the process ends like any other program, whatever happens to tunl.
import {parseArgs} from 'node:util';
import {exitCodeOf} from '../exit.js';
import {PASSWORD_VARIABLE} from './plan.js';
import {openWebTerminal} from './server.js';

const {values, positionals} = parseArgs({
  options: {port: {type: 'string'}, user: {type: 'string'}, 'read-only': {type: 'boolean'}},
  allowPositionals: true,
});
const {[PASSWORD_VARIABLE]: password = '', PASSWORD: _, ...rest} = process.env;
// Code that reads this process's environment, such as a crash report, must not find the password, either.
delete process.env[PASSWORD_VARIABLE];
const [file = '/bin/sh', ...args] = positionals;

const terminal = await openWebTerminal({
  port: Number(values.port),
  user: values.user ?? '',
  password,
  command: [file, ...args],
  cwd: process.cwd(),
  env: shellEnv(rest),
  readOnly: values['read-only'] ?? false,
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => terminal.close());
process.exitCode = exitCodeOf(await terminal.ended);

/** UTF-8 when no language is set: otherwise shells count one character as several. */
function shellEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const hasLanguage = Boolean(env.LC_ALL || env.LC_CTYPE || env.LANG);
  const utf8 = process.platform === 'darwin' ? 'UTF-8' : 'C.UTF-8';
  return {...env, COLORTERM: 'truecolor', ...(!hasLanguage && {LC_CTYPE: utf8})};
}
