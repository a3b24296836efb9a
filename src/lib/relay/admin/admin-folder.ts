// The place of admin sockets.

/** The folder of admin sockets in the state folder. */
export const ADMIN_FOLDER = 'admin';
