// Smart HTTP of git: `git http-backend` as a CGI program, for a clone and a push as with a forge.
import {spawn} from 'node:child_process';

/** Answers one request for a repository below `folder`. Everybody may push. */
export function gitBackend(folder, req, res) {
  const {pathname, search} = new URL(req.url ?? '/', 'http://git');
  const child = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'http.receivepack',
      GIT_CONFIG_VALUE_0: 'true',
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: req.method,
      REMOTE_ADDR: req.socket.remoteAddress,
      CONTENT_TYPE: req.headers['content-type'] ?? '',
      ...(req.headers['content-length'] !== undefined && {CONTENT_LENGTH: req.headers['content-length']}),
      ...(req.headers['content-encoding'] !== undefined && {
        HTTP_CONTENT_ENCODING: req.headers['content-encoding'],
      }),
      ...(req.headers['git-protocol'] !== undefined && {HTTP_GIT_PROTOCOL: req.headers['git-protocol']}),
    },
  });
  child.stdin.on('error', () => {});
  req.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const onHead = (piece) => {
    head = Buffer.concat([head, piece]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', onHead);
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [, name = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else res.setHeader(name, value);
    }
    res.writeHead(status);
    res.write(head.subarray(end + 4));
    child.stdout.pipe(res);
  };
  child.stdout.on('data', onHead);
  child.on('exit', (code) => code !== 0 && res.destroy());
}
