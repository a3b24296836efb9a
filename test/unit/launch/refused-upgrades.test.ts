// An upgrade without the password, in front of a program and in the web terminal: its connection ends, whatever the visitor sends.
import {once} from 'node:events';
import {connect} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {openGate} from '../../../src/lib/launch/password-gate.js';
import {openWebTerminal} from '../../../src/lib/launch/web-terminal/server.js';
import {until} from '../../helpers/launching.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const login = {user: 'tunl', password: 'right'};

/** Each listens on the port that it returns. */
const SERVERS: Readonly<Record<string, (scope: Scope) => Promise<number>>> = {
  'the gate of a program': async (scope) => {
    const port = await unusedPort();
    const socketPath = join(await scope.tempDir('gate'), 'none.sock');
    const gate = await openGate({...login, port, socketPath, realm: 'program'});
    scope.onEnd(() => gate.close());
    return port;
  },
  'the web terminal': async (scope) => {
    const shell = {command: ['/bin/sh'] as [string], env: {}, cwd: '/', readOnly: false};
    const terminal = await openWebTerminal({...login, ...shell, port: 0});
    scope.onEnd(async () => {
      terminal.close();
      await terminal.ended;
    });
    return terminal.port;
  },
};

const openSockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;

test.for(Object.entries(SERVERS))(
  '%s keeps no connection of a refused upgrade',
  async ([, open], {scope}) => {
    const port = await open(scope);
    const before = openSockets();
    const visitor = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    scope.onEnd(() => void visitor.destroy());
    visitor.write('GET /shell HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    let answer = '';
    for await (const piece of visitor.iterator({destroyOnReturn: false})) answer += piece;
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    visitor.end('later');
    await once(visitor, 'close');
    await until(() => openSockets() === before);
  },
);
