// A PostgreSQL server in a network namespace, which admits whom its pg_hba.conf names.

import {readdirSync} from 'node:fs';
import {chown, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Child, run} from './child.js';
import type {Scope} from './scope.js';

const HOME = '/usr/lib/postgresql';

/** A program of the newest version that is installed; Debian has only some of them in the PATH. */
export function postgresProgram(name: string): string {
  const [newest = ''] = readdirSync(HOME).sort((a, b) => Number(b) - Number(a));
  return join(HOME, newest, 'bin', name);
}

/** The server does not run as root. */
const AS_POSTGRES = ['--reuid=postgres', '--regid=postgres', '--clear-groups', '--'];

export interface Postgres {
  /** Runs SQL beside the server, without a network. */
  sql(text: string): Promise<string>;
  /** Runs a program with these words for the connection, beside the server. */
  beside(program: string, ...words: string[]): Promise<string>;
}

/** Its one database `shop` belongs to `app`, who needs no password. @param admits `host all all ADDRESS/32 trust` lines */
export async function startPostgres(
  scope: Scope,
  {namespace, address, admits}: {namespace: string; address: string; admits: readonly string[]},
): Promise<Postgres> {
  const folder = await scope.tempDir('postgres');
  const id = async (kind: string) => Number((await run(scope, 'id', [kind, 'postgres'])).stdout);
  await chown(folder, await id('-u'), await id('-g'));
  const data = join(folder, 'data');
  const asPostgres = async (program: string, words: readonly string[]) => {
    const ran = await run(scope, 'setpriv', [...AS_POSTGRES, postgresProgram(program), ...words]);
    if (ran.code !== 0) throw new Error(`${program}: ${ran.stderr}`);
    return ran.stdout;
  };
  await asPostgres('initdb', [
    '-D',
    data,
    '-N',
    '-U',
    'app',
    '--auth=trust',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
  ]);
  await writeFile(join(data, 'pg_hba.conf'), ['local all all trust', ...admits, ''].join('\n'));
  const settings = [`listen_addresses=${address}`, `unix_socket_directories=${folder}`, 'fsync=off'];
  const words = [...settings, 'log_connections=on', 'shared_buffers=16MB'].flatMap((each) => ['-c', each]);
  const server = Child.start(
    scope,
    'setpriv',
    [...AS_POSTGRES, postgresProgram('postgres'), '-D', data, ...words],
    {namespace, stopSignal: 'SIGQUIT', name: 'postgres'},
  );
  await server.saidOnStderr(/ready to accept connections/);
  const besides = ['-h', folder, '-U', 'app'];
  await asPostgres('createdb', [...besides, 'shop']);
  return {
    sql: (text) => asPostgres('psql', [...besides, '-XAtc', text, 'shop']),
    beside: (program, ...more) => asPostgres(program, [...besides, ...more]),
  };
}
