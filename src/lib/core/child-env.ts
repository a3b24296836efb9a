// The environment of the programs that tunl starts.

/** Removes the relay's token and the password of visitors: a visitor who gets into the program must not find them. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const {TUNL_TOKEN: _, TUNL_BASIC_AUTH_PASSWORD: __, ...rest} = env;
  return rest;
}
