// A registry of npm packages and an index of Python packages over HTTPS, with files that it makes itself.
// `node package-registry.js CERT KEY ADDRESS`; it listens on port 443 of the address and says whom it has answered.

import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:https';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const [cert = '', key = '', address = ''] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'tunl-registry-'));
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
process.on('SIGTERM', () => process.exit(0));

/** The files that clients download, by their paths. */
const files = new Map();

/** A tarball as `npm pack` makes it. */
function npmPackage(name, manifest, code) {
  mkdirSync(join(folder, name, 'package'), {recursive: true});
  const full = {name, version: '1.0.0', main: 'index.js', ...manifest};
  writeFileSync(join(folder, name, 'package/package.json'), JSON.stringify(full));
  writeFileSync(join(folder, name, 'package/index.js'), code);
  const tarball = execFileSync('tar', ['-czf', '-', '-C', join(folder, name), 'package']);
  files.set(`/${name}-1.0.0.tgz`, tarball);
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  const dist = {tarball: `https://files.example/${name}-1.0.0.tgz`, integrity};
  const text = {name, 'dist-tags': {latest: '1.0.0'}, versions: {'1.0.0': {...full, dist}}};
  files.set(`/${name}`, Buffer.from(JSON.stringify(text)));
}

/** A wheel without compiled parts. */
function pythonPackage(name, code, needs = []) {
  const wheel = `${name}-1.0-py3-none-any.whl`;
  const info = `${name}-1.0.dist-info`;
  const script = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as made:
    for path, text in json.loads(sys.argv[2]).items():
        made.writestr(path, text)`;
  const requires = needs.map((each) => `Requires-Dist: ${each}\n`).join('');
  const content = {
    [`${name}.py`]: code,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n${requires}`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${info}/RECORD`]: '',
  };
  execFileSync('python3', ['-c', script, join(folder, wheel), JSON.stringify(content)]);
  const bytes = readFileSync(join(folder, wheel));
  files.set(`/${wheel}`, bytes);
  const hash = createHash('sha256').update(bytes).digest('hex');
  const link = `<a href="https://files.example/${wheel}#sha256=${hash}">${wheel}</a>`;
  files.set(`/simple/${name}/`, Buffer.from(`<!doctype html><html><body>${link}</body></html>`));
}

npmPackage('needed', {}, 'module.exports = 6;');
npmPackage('wanted', {dependencies: {needed: '^1.0.0'}}, "module.exports = require('needed') * 7;");
pythonPackage('needed', 'six = 6');
pythonPackage('wanted', 'import needed\nanswer = needed.six * 7', ['needed']);

createServer({cert: readFileSync(cert), key: readFileSync(key)}, (req, res) => {
  const {host = ''} = req.headers;
  console.log(`${host} ${req.url} from ${req.socket.remoteAddress}`);
  const body = files.get(req.url ?? '');
  const type = req.url?.startsWith('/simple/') ? 'text/html' : 'application/json';
  res.writeHead(body === undefined ? 404 : 200, {'Content-Type': type}).end(body);
}).listen(443, address, () => console.log('up'));
