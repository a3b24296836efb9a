// A template from its settings: the program, the mounts, and the environment are read and checked.

import {isAbsolute} from 'node:path';
import {parseEnv} from 'node:util';
import {TunlError} from '../core/errors.js';
import type {SettingsOf} from '../core/settings.js';
import {readTextFile} from '../core/text-file.js';
import type {SandboxMount} from '../sandbox/spec.js';
import {codeServerProgram} from './programs/code-server.js';
import {commandProgram} from './programs/command.js';
import {jupyterProgram} from './programs/jupyter.js';
import {terminalProgram} from './programs/terminal.js';
import type {TEMPLATE_SETTINGS} from './settings-table.js';
import type {Program, Template} from './template.js';

export type TemplateSettings = SettingsOf<typeof TEMPLATE_SETTINGS>;

const invalid = (reason: string, next: string) => new TunlError('OPTION_INVALID', {reason, next});

/** @throws TunlError OPTION_INVALID, FILE_UNREADABLE */
export async function makeTemplate(name: string, settings: TemplateSettings): Promise<Template> {
  if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(name)) {
    throw invalid(
      `${JSON.stringify(name.slice(0, 80))} cannot be the name of a template.`,
      'Use 1 to 40 small letters, digits and hyphens.',
    );
  }
  const env = await envOf(settings);
  const program = programOf(settings, env);
  const {port, backend, image, runtime, memory, cpu, pids, disk, openFiles, bestEffort, egress} = settings;
  const {home, timeoutMs, maxLifetimeMs, idleMs, readyTimeoutMs, restart, title} = settings;
  return {
    name,
    title: title ?? program.title,
    program,
    port,
    backend,
    image,
    runtime,
    limits: {memoryBytes: memory, cpus: cpu, pids, diskBytes: disk, openFiles},
    bestEffort,
    egress,
    mounts: settings.mounts.map(readMount),
    env: program.fillsEnv ? {} : env,
    home,
    timeoutMs:
      maxLifetimeMs > 0 && (timeoutMs === 0 || timeoutMs > maxLifetimeMs) ? maxLifetimeMs : timeoutMs,
    maxLifetimeMs,
    idleMs,
    readyTimeoutMs,
    restart,
  };
}

function programOf(
  {program, command, bin, args, path, readyPath, title}: TemplateSettings,
  env: Readonly<Record<string, string>>,
): Program {
  const kind = program ?? (command.length > 0 ? 'command' : undefined);
  if ((kind === 'jupyter' || kind === 'code-server') && command.length > 0)
    throw invalid(`The program ${kind} takes no command.`, 'Leave it out, or use args.');
  switch (kind) {
    case 'jupyter':
      return jupyterProgram({bin, args});
    case 'code-server':
      return codeServerProgram({bin, args});
    case 'terminal':
      return terminalProgram(command.length === 0 ? {} : {command});
    case 'command':
      if (command.length === 0) throw invalid('The program command needs a command.', 'Add it.');
      checkPath(path, 'path');
      checkPath(readyPath ?? '', 'ready-path');
      if (command.some((word) => word.includes('{secret}')))
        throw invalid('Everybody on this machine could read the secret in a command.', 'Use it in env.');
      return commandProgram({command, title, env, path, readyPath});
    case undefined:
      throw invalid('The template has no program.', 'Add `program: jupyter`, or a command.');
  }
}

function checkPath(path: string, key: string): void {
  if (path !== '' && !/^\/(?!\/)[^\s#]*$/.test(path))
    throw invalid(`${key} is no path of an address.`, 'Begin it with a slash, like /?token={secret}.');
}

/** `/opt/data`, `/opt/data:/data`, `/srv/files:/files:rw` */
export function readMount(text: string): SandboxMount {
  const [source = '', ...rest] = text.split(':');
  const mode = rest.at(-1) === 'rw' || rest.at(-1) === 'ro' ? rest.pop() : 'ro';
  const [target = source, ...more] = rest;
  if (more.length === 0 && isAbsolute(source) && isAbsolute(target))
    return {source, target, readOnly: mode === 'ro'};
  throw invalid(
    `${JSON.stringify(text.slice(0, 80))} is no mount.`,
    'Write /SOURCE, /SOURCE:/TARGET or /SOURCE:/TARGET:rw.',
  );
}

async function envOf({env, envFile}: TemplateSettings): Promise<Readonly<Record<string, string>>> {
  const own = env.map((line): [string, string] => {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(line) ?? [];
    if (name !== undefined && value !== undefined) return [name, value];
    throw invalid('An entry of env is not NAME=VALUE.', 'Write it like LANG=C.UTF-8.');
  });
  const secret = envFile === undefined ? {} : parseEnv(await readTextFile(envFile));
  return {...secret, ...Object.fromEntries(own)} as Record<string, string>;
}
