// The library for OAuth, in a file of its own that is read at the first call: most tunnels, hubs and commands have no issuer.

export const loadOauth = () => import('oauth4webapi');
