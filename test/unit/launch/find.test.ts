// How programs are found, and the errors for a missing or an old one.
import {mkdir, writeFile} from 'node:fs/promises';
import {join, relative} from 'node:path';
import {describe, expect} from 'vitest';
import {find, tooOld, which} from '../../../src/lib/launch/find.js';
import type {Program} from '../../../src/lib/launch/program.js';
import {codeServer} from '../../../src/lib/launch/programs/code-server.js';
import {command} from '../../../src/lib/launch/programs/command.js';
import {jupyter} from '../../../src/lib/launch/programs/jupyter.js';
import {terminal} from '../../../src/lib/launch/programs/terminal.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

async function binFolder(scope: Scope, files: Record<string, string>, mode = 0o755): Promise<string> {
  const folder = await scope.tempDir('bin');
  for (const [name, body] of Object.entries(files)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`, {mode});
  }
  return folder;
}

describe('PATH', () => {
  test('the first executable file of the name', async ({scope}) => {
    const [one, two] = [await binFolder(scope, {tool: ''}, 0o644), await binFolder(scope, {tool: ''})];
    await mkdir(join(one, 'other'));
    expect(await which('tool', {PATH: `${one}:${two}`})).toBe(join(two, 'tool'));
    expect(await which('other', {PATH: one})).toBeUndefined();
    expect(await which('tool', {})).toBeUndefined();
  });

  test('entries that mean the current folder are ignored', async ({scope}) => {
    const folder = await binFolder(scope, {tool: ''});
    expect(await which('tool', {PATH: `:${relative(process.cwd(), folder)}:.`})).toBeUndefined();
    expect(await which(relative(process.cwd(), join(folder, 'tool')), {})).toBe(join(folder, 'tool'));
  });
});

describe('programs', () => {
  const names = (program: Program) => program.candidates({}).map(({bin}) => bin);

  test('Lab before Notebook, code-server before the others, tunl’s own terminal unless another is named', () => {
    const jupyters = names(jupyter({token: false}));
    expect(jupyters.indexOf('jupyter-lab')).toBeLessThan(jupyters.indexOf('jupyter-notebook'));
    const shell = terminal({password: 'x'});
    expect(shell.candidates({}).map(({kind}) => kind)).toEqual(['own']);
    expect(shell.named?.('/opt/ttyd')).toEqual({bin: '/opt/ttyd', kind: 'ttyd'});
    expect(shell.named?.('gotty')).toEqual({bin: 'gotty', kind: 'gotty'});
    const codes = names(codeServer({password: 'x'}));
    expect(codes.indexOf('code-server')).toBeLessThan(codes.indexOf('openvscode-server'));
    expect(codes.indexOf('openvscode-server')).toBeLessThan(codes.indexOf('code'));
  });

  test('Notebook where JupyterLab is not installed', async ({scope}) => {
    const folder = await binFolder(scope, {'jupyter-notebook': '', jupyter: 'exit 1', python3: 'exit 1'});
    expect(await find(jupyter({token: false}), {PATH: folder})).toMatchObject({
      bin: join(folder, 'jupyter-notebook'),
      kind: 'notebook',
    });
  });

  test('a command installed in the project, in this folder or above', async ({scope}) => {
    const project = await scope.tempDir();
    await mkdir(join(project, 'node_modules/.bin'), {recursive: true});
    await mkdir(join(project, 'packages/app'), {recursive: true});
    await writeFile(join(project, 'node_modules/.bin/vite'), '', {mode: 0o755});
    const vite = command({argv: ['vite'], portGiven: false, cwd: join(project, 'packages/app')});
    expect((await find(vite, {PATH: '/usr/bin'})).bin).toBe(join(project, 'node_modules/.bin/vite'));
  });
});

describe('versions', () => {
  const program = (version: string): Program => ({
    ...command({argv: ['tool'], portGiven: false}),
    title: 'Tool',
    install: 'Update it.',
    oldest: () => ({version, args: ['--version']}),
  });
  const check = async (scope: Scope, says: string, oldest: string) => {
    const folder = await binFolder(scope, {tool: says});
    const env = {PATH: folder};
    return tooOld(program(oldest), await find(program(oldest), env), env);
  };

  test('older, the same, newer', async ({scope}) => {
    expect(await check(scope, 'echo tool version 1.9.12-dev', '1.10.0')).toMatchObject({
      code: 'PROGRAM_TOO_OLD',
      message: expect.stringContaining('is version 1.9.12; 1.10.0 or newer is needed'),
      next: 'Update it.',
    });
    expect(await check(scope, 'echo 1.10.0', '1.10.0')).toBeUndefined();
    expect(await check(scope, 'echo v2.0 >&2', '1.10.0')).toBeUndefined();
  });

  test('a program without a known version does not count as old', async ({scope}) => {
    expect(await check(scope, 'echo unknown_version', '1.0')).toBeUndefined();
    expect(await check(scope, 'echo 0.1; exit 1', '1.0')).toBeUndefined();
  });
});
