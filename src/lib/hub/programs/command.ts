// Any command with a port. `{port}`, `{url}`, `{host}` and `{secret}` in its arguments and environment are replaced.

import type {Program, ProgramSite} from '../template.js';

export interface CommandOptions {
  readonly command: readonly string[];
  readonly title?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The path of the address, which may have placeholders: `/?token={secret}`. */
  readonly path?: string | undefined;
  /** The path that answers 2xx or 3xx when it is ready. Undefined: an open port is enough. */
  readonly readyPath?: string | undefined;
}

export function commandProgram({command, title, env = {}, path = '', readyPath}: CommandOptions): Program {
  const [name = 'command'] = command;
  return {
    title: title ?? name,
    fillsEnv: true,
    plan: (site) => ({
      command: command.map((each) => fill(each, site)),
      env: Object.fromEntries(Object.entries(env).map(([key, value]) => [key, fill(value, site)])),
    }),
    ...(readyPath !== undefined && {
      ready: {path: readyPath, accept: (status: number) => status >= 200 && status < 400},
    }),
    address: (site) => `${site.url}${fill(path, site)}`,
    login: path.includes('{secret}') ? 'in-address' : 'none',
  };
}

function fill(text: string, {port, url, host, secret, home}: ProgramSite): string {
  const values: Readonly<Record<string, string>> = {port: String(port), url, host, secret, home};
  return text.replace(/\{(port|url|host|secret|home)\}/g, (whole, name: string) => values[name] ?? whole);
}
