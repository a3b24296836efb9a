// The environment of programs that shall use a proxy.

/** Only this machine itself is reached without the proxy: private addresses are what an egress is for. */
const NO_PROXY = 'localhost,127.0.0.1,::1';

/**
 * `ALL_PROXY` is an http URL, because some clients fail on `socks5h`. Both spellings are there, because some programs read one of
 * them alone.
 */
export function proxyEnv(url: string): Record<string, string> {
  const values = {HTTP_PROXY: url, HTTPS_PROXY: url, ALL_PROXY: url, GRPC_PROXY: url, NO_PROXY};
  return {
    ...values,
    ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value])),
    // Without it, fetch of Node ignores the others.
    NODE_USE_ENV_PROXY: '1',
  };
}
