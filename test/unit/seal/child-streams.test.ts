import {expect} from 'vitest';
import {run} from '../../helpers/child.js';
import {root} from '../../helpers/launching.js';
import {test} from '../../helpers/test.js';

const MEMBERS = `{size: 1, prefix: 'fdaa:1:2', hosts: '', hasWayOut: false}`;

test.for([
  ['seal', `openSeal({rules: {kind: 'internet'}})`, 'SANDBOX_EGRESS'],
  ['fabric/fabric', `Fabric.open(${MEMBERS})`, 'CLUSTER_UNAVAILABLE'],
] as const)('a process that may open no more files is told so by %s', async ([file, open, code], {scope}) => {
  const script = `
    import {openSync} from 'node:fs';
    import * as own from '${root}/src/lib/seal/${file}.ts';
    const {openSeal, Fabric} = own;
    console.log('full');
    try { for (;;) openSync('/dev/null'); } catch {}
    await ${open}.then(() => console.log('opened'), ({code, next}) => console.log(code, next));`;
  const hook = `${root}/test/helpers/ts-hook.js`;
  const words = [process.execPath, '--import', hook, '--input-type=module', '-e', script];
  const {
    code: exitCode,
    stdout,
    stderr,
  } = await run(scope, 'sh', [...['-c', 'ulimit -n 100; exec "$@"', 'sh'], ...words]);
  expect({exitCode, stdout}, stderr).toEqual({
    exitCode: 0,
    stdout: `full\n${code} Raise the limit of open files: ulimit -n 4096\n`,
  });
});
