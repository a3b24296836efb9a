// Any command: `tunl expose 3000 -- npm run dev`. It gets the port and the public address if it asks for them.
import {addressOf} from '../address.js';
import type {NamedProgram, NamedSite, Readiness} from '../program.js';
import {projectBins} from '../project-bins.js';

export interface CommandOptions {
  /** The command and its arguments, as given after `--`; `{port}` and `{url}` are filled in. Not empty. */
  readonly argv: readonly [string, ...string[]];
  /** True when the user named the port. Without it and without `{port}` tunl finds the port that the program opens. */
  readonly portGiven: boolean;
  /** Ready when GET of this path returns 2xx or 3xx. Default: when a connection is accepted. */
  readonly readyPath?: string;
  /** True: the command reads the terminal. Default: a pipe without data. */
  readonly inheritStdin?: boolean;
  /** Default: the current folder. */
  readonly cwd?: string;
}

export function command(options: CommandOptions): NamedProgram {
  const [bin, ...args] = options.argv;
  const wantsPort = args.some((arg) => arg.includes('{port}'));
  const toldPort = options.portGiven || wantsPort;
  return {
    name: 'command',
    title: nameOf(bin),
    candidates: () => [bin, ...projectBins(bin, options.cwd ?? process.cwd())].map((each) => ({bin: each})),
    install: whenMissing(bin),
    choosesPort: !toldPort,
    anyLoopback: true,
    needsName: true,
    start: (site) => ({
      args: args.map((arg) => fill(arg, site)),
      env: environment(site, toldPort),
      stdin: options.inheritStdin ? 'inherit' : 'open',
      ...(options.cwd !== undefined && {cwd: options.cwd}),
    }),
    ready: () => readiness(options.readyPath),
    address: (site) => addressOf(site.public),
    login: () => [],
  };
}

/** The value of a variable may be a secret. */
function nameOf(bin: string): string {
  return bin.replace(/^([A-Za-z_]\w*)=.*/s, '$1=…');
}

/** No shell reads the words of a command, so some of what works in a shell is not found. */
function whenMissing(bin: string): string {
  const name = nameOf(bin);
  if (name !== bin)
    return `No shell reads these words: write \`env\` before the variable, as in \`env ${name} COMMAND\`.`;
  if (/^(cd|export|source|set|ulimit|umask)( |$)|[|&;<>$`*]/.test(bin))
    return `No shell reads these words: start one with \`sh -c 'cd app && npm start'\`.`;
  if (/ /.test(bin)) return 'Write the command as separate words, without quotes around all of it.';
  return `Check the spelling of ${bin}, or install it.`;
}

function readiness(path: string | undefined): Readiness {
  if (path === undefined) return {kind: 'tcp'};
  return {kind: 'http', path, accept: (status) => status >= 200 && status < 400};
}

function fill(arg: string, site: NamedSite): string {
  return arg.replaceAll('{port}', String(site.port)).replaceAll('{url}', addressOf(site.public));
}

function environment(site: NamedSite, toldPort: boolean): Record<string, string> {
  return {
    TUNL_URL: addressOf(site.public),
    // Vite refuses requests for unknown names; this variable allows the public name.
    __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: site.public.name ?? site.public.host,
    // Without PORT a program keeps its usual port.
    ...(toldPort && {PORT: String(site.port)}),
  };
}
