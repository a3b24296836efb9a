// The environment of what tunl starts.

/** Without the relay's token, which is tunl's alone: whoever gets into a program must not find it. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const {TUNL_TOKEN: _, ...rest} = env;
  return rest;
}
