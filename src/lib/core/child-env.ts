// The environment of the programs that tunl starts.

/** Removes the secrets of the relay and of the gates for visitors: a visitor who gets into the program must not find them. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const {TUNL_TOKEN: _, TUNL_BASIC_AUTH_PASSWORD: __, TUNL_OIDC_SECRET: ___, ...rest} = env;
  return rest;
}
