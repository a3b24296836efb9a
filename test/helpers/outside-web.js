// A web server that answers `/` with the address of its visitor, `/repo.git` as a forge does, and other paths with files of a folder.
// `node outside-web.js ADDRESS FOLDER`; it listens on port 80 and says whom it has answered.
import {createReadStream, statSync} from 'node:fs';
import {createServer} from 'node:http';
import {join, normalize} from 'node:path';
import {gitBackend} from './git-backend.js';

const [address = '', folder = ''] = process.argv.slice(2);

createServer((req, res) => {
  const from = req.socket.remoteAddress ?? '';
  const path = normalize(new URL(req.url ?? '/', 'http://web').pathname);
  console.log(`${path} from ${from}`);
  if (path === '/') return void res.end(from);
  if (path.startsWith('/repo.git/')) return gitBackend(folder, req, res);
  const file = join(folder, path);
  if (statSync(file, {throwIfNoEntry: false})?.isFile()) createReadStream(file).pipe(res);
  else res.writeHead(404).end();
}).listen(80, address, () => console.log('up'));
